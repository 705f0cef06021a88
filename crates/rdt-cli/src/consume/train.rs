//! `rdt-consume`: trains the network on a buffer.
//!
//! Flags become [`TrainSettings`], the buffer a [`Loader`]; the loop itself is
//! [`rdt_train::train`]. Progress goes to standard error, the first and the last loss to
//! standard output.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::available_parallelism;

use anyhow::Context;
use clap::ValueEnum;
use rdt_buffer::{Buffer, SampleId};
use rdt_consumer::{BatchShape, Delivery, LastBatch, Loader, LoaderOptions, OnBadSample, Position};
use rdt_schema::Config;
use rdt_train::TrainError;
use rdt_train::device::{self, DeviceChoice};
use rdt_train::metrics_log::{FILE_NAME, StepRecord};
use rdt_train::optimizer::AdamWSettings;
use rdt_train::schedule::{LearningRate, ScheduleKind};
use rdt_train::settings::{MixedPrecision, TrainSettings};
use rdt_train::train::{Ended, Event, Run, Start, train};

use crate::exit::{Outcome, Usage};
use crate::picture;
use crate::progress::Progress;
use crate::signals;

/// Steps whose losses are averaged for the report.
const REPORTED_STEPS: usize = 10;

/// Flags of a training run; names and defaults are RDT's where it has them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The buffer, as rdt-produce filled it
    #[arg(long, value_name = "DIR", required = true)]
    pub buffer: Option<PathBuf>,
    /// Checkpoints, metrics.jsonl and loss.png go here
    #[arg(long, value_name = "DIR", default_value = "checkpoints")]
    pub output_dir: PathBuf,
    /// Sizes of windows and network
    #[arg(long, visible_alias = "config-path", value_name = "FILE", default_value = "configs/base.yaml")]
    pub config: PathBuf,
    /// Samples a micro-step
    #[arg(long, default_value_t = 4)]
    pub train_batch_size: u32,
    /// Micro-steps whose gradients make one optimiser step
    #[arg(long, default_value_t = 1)]
    pub gradient_accumulation_steps: u64,
    /// Optimiser steps of the whole run; goes before --num-train-epochs
    #[arg(long)]
    pub max_train_steps: Option<u64>,
    /// Passes over the buffer
    #[arg(long, default_value_t = 1)]
    pub num_train_epochs: u64,
    /// Highest learning rate (RDT's scripts use 1e-4)
    #[arg(long, default_value_t = 5e-6)]
    pub learning_rate: f64,
    /// How it changes over the run
    #[arg(long, value_enum, default_value_t = Schedule::Constant)]
    pub lr_scheduler: Schedule,
    /// Optimiser steps from learning rate 0 to the highest (no effect on `constant`)
    #[arg(long, default_value_t = 500)]
    pub lr_warmup_steps: u64,
    /// Waves of cosine_with_restarts
    #[arg(long, default_value_t = 1)]
    pub lr_num_cycles: u64,
    /// Exponent of polynomial
    #[arg(long, default_value_t = 1.0)]
    pub lr_power: f64,
    /// Optimiser steps between checkpoints
    #[arg(long, default_value_t = 500)]
    pub checkpointing_period: u64,
    /// Checkpoints kept; the oldest go first [default: all]
    #[arg(long)]
    pub checkpoints_total_limit: Option<usize>,
    /// Go on from a checkpoint: a folder, or `latest` in --output-dir
    #[arg(long, value_name = "PATH|latest")]
    pub resume_from_checkpoint: Option<PathBuf>,
    /// Decay of AdamW's first moment
    #[arg(long, default_value_t = 0.9)]
    pub adam_beta1: f64,
    /// Decay of AdamW's second moment
    #[arg(long, default_value_t = 0.999)]
    pub adam_beta2: f64,
    /// Decoupled weight decay, on all parameters
    #[arg(long, default_value_t = 1e-2)]
    pub adam_weight_decay: f64,
    /// Added to the root of the second moment
    #[arg(long, default_value_t = 1e-8)]
    pub adam_epsilon: f64,
    /// Gradients are scaled down to this norm; 0 leaves them
    #[arg(long, default_value_t = 1.0)]
    pub max_grad_norm: f64,
    /// Seed of order, noise and initial weights
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Threads that read and decode; 0 means one a core
    #[arg(long, default_value_t = 0)]
    pub dataloader_num_workers: usize,
    /// Threads that libtorch computes with on the CPU [default: OMP_NUM_THREADS, else all
    /// cores but one, which is left to the loader]
    #[arg(long)]
    pub cpu_threads: Option<i32>,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceFlag::Auto)]
    pub device: DeviceFlag,
    /// What the network computes in; weights stay f32
    #[arg(long, value_enum, default_value_t = Precision::No)]
    pub mixed_precision: Precision,
    /// A sample that cannot be read: take another one and report it, or stop
    #[arg(long, value_enum, default_value_t = BadSampleFlag::Skip)]
    pub on_bad_sample: BadSampleFlag,
}

/// Values of `--lr-scheduler`.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Schedule {
    /// Always the highest rate
    Constant,
    /// The highest rate after the warm-up
    ConstantWithWarmup,
    /// Down to 0 in a straight line
    Linear,
    /// Down to 0 in half a cosine wave
    Cosine,
    /// Cosine waves one after another
    CosineWithRestarts,
    /// Down to 1e-7 along a power
    Polynomial,
}

/// Values of `--device`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum DeviceFlag {
    /// CUDA where it works, else the CPU
    Auto,
    /// The CPU
    Cpu,
    /// CUDA, or an error
    Cuda,
}

/// Values of `--mixed-precision`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Precision {
    /// f32
    No,
    /// bf16
    Bf16,
}

/// Values of `--on-bad-sample`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum BadSampleFlag {
    /// Take another sample in its place, name it, and end with exit code 3
    Skip,
    /// Stop
    Fail,
}

/// Trains.
///
/// # Errors
/// Wrong usage or configuration; a buffer or output folder that cannot be used; a run that
/// fails or is stopped.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let config = Config::from_file(&args.config).map_err(Usage::from_error)?;
    let Some(buffer_dir) = &args.buffer else {
        return Err(Usage::new("--buffer is missing; give the folder that rdt-produce filled"));
    };
    let buffer = Arc::new(Buffer::open_complete(buffer_dir)?);
    let workers = match args.dataloader_num_workers {
        0 => available_parallelism().map_or(1, usize::from),
        given => given,
    };
    device::set_cpu_threads(args.cpu_threads).map_err(Usage::from_error)?;
    let options = loader_options(args, &config, workers);
    let settings = settings(args, buffer.sample_count()).map_err(Usage::from_error)?;
    let (device, why) = device::choose(args.device.into()).map_err(Usage::from_error)?;
    let data = format!("{} samples, plan {}", buffer.sample_count(), buffer.manifest().plan_digest);
    eprintln!("device: {} ({why})", if device.is_cuda() { "cuda" } else { "cpu" });
    eprintln!("data: {data}, {workers} loader threads");

    let stop = signals::stop_flag("saving a checkpoint")?;
    let run = Run {
        config: &config,
        settings: &settings,
        device,
        output_dir: &args.output_dir,
        start: match &args.resume_from_checkpoint {
            None => Start::Fresh,
            Some(word) if word == Path::new("latest") => Start::Latest,
            Some(path) => Start::Checkpoint(path.clone()),
        },
        data: &data,
        stop: &stop,
    };
    let progress = Progress::new("training", settings.max_train_steps, "steps");
    let batches = buffer.sample_count().div_ceil(settings.train_batch_size.into()).max(1);
    let (report, bad_samples) = mpsc::channel::<String>();
    let mut lost = 0;
    let ended = train(
        &run,
        |start, micro_steps| {
            let last = start.batch.saturating_add(micro_steps);
            let end = Some(Position { epoch: start.epoch + last / batches, batch: last % batches });
            let loader = Loader::new(Arc::clone(&buffer), LoaderOptions { start, end, ..options })?;
            Ok(Watched { loader, report, reported: HashSet::new() })
        },
        &mut |event| {
            for line in bad_samples.try_iter() {
                lost += 1;
                progress.print(&line);
            }
            match event {
                Event::Note(line) => progress.print(&line),
                Event::Step(record) => progress.set(record.step, &note(record)),
            }
        },
    );
    progress.finish();
    for line in bad_samples.try_iter() {
        lost += 1;
        eprintln!("{line}");
    }
    let ended = ended.map_err(|error| match error {
        TrainError::Setting { .. } => Usage::from_error(error),
        error => error.into(),
    })?;
    finish(args, &ended, lost)
}

fn finish(args: &Args, ended: &Ended, lost: usize) -> anyhow::Result<Outcome> {
    let curve = args.output_dir.join("loss.png");
    let points: Vec<(u64, f64)> = ended.records.iter().map(|record| (record.step, record.loss)).collect();
    if !points.is_empty() {
        picture::loss_curve(&curve, &points).context("cannot draw the loss curve")?;
    }
    let steps = ended.records.last().map_or(0, |record| record.step);
    let shown = REPORTED_STEPS.min(points.len());
    let mean = |points: &[(u64, f64)]| points.iter().map(|p| p.1).sum::<f64>() / points.len().max(1) as f64;
    println!("steps {steps}");
    println!("first_loss {:.6}", mean(&points[..shown]));
    println!("last_loss {:.6}", mean(&points[points.len() - shown..]));
    println!("checkpoint {}", ended.checkpoint.display());
    println!("loss_curve {}", curve.display());
    println!("metrics {}", args.output_dir.join(FILE_NAME).display());
    if !ended.finished {
        anyhow::bail!(
            "stopped at step {steps} as asked; {} holds everything: go on with the same flags and \
             --resume-from-checkpoint latest",
            ended.checkpoint.display()
        );
    }
    Ok(if lost == 0 { Outcome::Done } else { Outcome::Incomplete })
}

/// A loader that names each unreadable sample as soon as the batch that met it is out.
struct Watched {
    loader: Loader,
    report: mpsc::Sender<String>,
    reported: HashSet<SampleId>,
}

impl Iterator for Watched {
    type Item = <Loader as Iterator>::Item;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.loader.next();
        for bad in self.loader.bad_samples() {
            if self.reported.insert(bad.sample) {
                // Nobody listens once the run has ended.
                let _ = self.report.send(bad.to_string());
            }
        }
        batch
    }
}

fn note(record: &StepRecord) -> String {
    let StepRecord { loss, lr, samples_per_s, data_wait, .. } = record;
    format!("loss {loss:.4} lr {lr:.2e} {samples_per_s:.1} samples/s waiting {:.0} %", 100.0 * data_wait)
}

fn loader_options(args: &Args, config: &Config, workers: usize) -> LoaderOptions {
    LoaderOptions {
        seed: args.seed,
        global_batch: args.train_batch_size,
        world: 1,
        rank: 0,
        last: LastBatch::Keep,
        start: Default::default(),
        end: None,
        shape: BatchShape {
            action_rows: config.common.action_chunk_size.into(),
            history: config.common.img_history_size.into(),
            cameras: config.common.num_cameras.into(),
        },
        delivery: Delivery::Pixel { size: config.model.vision.image_size as usize },
        workers,
        batches_ahead: workers.max(2),
        on_bad_sample: match args.on_bad_sample {
            BadSampleFlag::Skip => OnBadSample::Skip,
            BadSampleFlag::Fail => OnBadSample::Fail,
        },
    }
}

fn settings(args: &Args, samples: u64) -> Result<TrainSettings, TrainError> {
    let batches = samples.div_ceil(args.train_batch_size.max(1).into());
    let an_epoch = batches.div_ceil(args.gradient_accumulation_steps.max(1));
    let total_steps = args.max_train_steps.unwrap_or(args.num_train_epochs.saturating_mul(an_epoch));
    let settings = TrainSettings {
        seed: args.seed,
        train_batch_size: args.train_batch_size,
        gradient_accumulation_steps: args.gradient_accumulation_steps,
        max_train_steps: total_steps,
        learning_rate: LearningRate {
            kind: args.lr_scheduler.into(),
            base: args.learning_rate,
            warmup_steps: args.lr_warmup_steps,
            total_steps,
            cycles: args.lr_num_cycles,
            power: args.lr_power,
        },
        adam: AdamWSettings {
            beta1: args.adam_beta1,
            beta2: args.adam_beta2,
            epsilon: args.adam_epsilon,
            weight_decay: args.adam_weight_decay,
        },
        max_grad_norm: args.max_grad_norm,
        mixed_precision: match args.mixed_precision {
            Precision::No => MixedPrecision::No,
            Precision::Bf16 => MixedPrecision::Bf16,
        },
        checkpointing_period: args.checkpointing_period,
        checkpoints_total_limit: args.checkpoints_total_limit,
    };
    settings.check()?;
    Ok(settings)
}

impl From<Schedule> for ScheduleKind {
    fn from(flag: Schedule) -> Self {
        match flag {
            Schedule::Constant => Self::Constant,
            Schedule::ConstantWithWarmup => Self::ConstantWithWarmup,
            Schedule::Linear => Self::Linear,
            Schedule::Cosine => Self::Cosine,
            Schedule::CosineWithRestarts => Self::CosineWithRestarts,
            Schedule::Polynomial => Self::Polynomial,
        }
    }
}

impl From<DeviceFlag> for DeviceChoice {
    fn from(flag: DeviceFlag) -> Self {
        match flag {
            DeviceFlag::Auto => Self::Auto,
            DeviceFlag::Cpu => Self::Cpu,
            DeviceFlag::Cuda => Self::Cuda,
        }
    }
}
