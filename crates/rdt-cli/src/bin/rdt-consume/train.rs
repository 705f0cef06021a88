//! `rdt-consume`: trains the network on a buffer.
//!
//! Flags become [`rdt_train::settings::TrainSettings`], the buffer a [`Loader`]; the loop itself is
//! [`rdt_train::train`]. Progress goes to standard error, the first and the last loss to
//! standard output.

use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, mpsc};
use std::thread::available_parallelism;

use anyhow::Context;
use rdt_consumer::{Delivery, Holdout, Loader, LoaderOptions, Position, SampleSource, prepared};
use rdt_schema::{CameraSlot, Config};
use rdt_train::TrainError;
use rdt_train::device;
use rdt_train::metrics_log::{Record, StepRecord};
use rdt_train::train::{Ended, Evaluation, Event, Run, Start, train};
use rdt_train::trainer::Trainer;

use crate::sample;
use rdt_cli::consume::holdout;
use rdt_cli::consume::order_flags::OrderFlags;
use rdt_cli::consume::source::{ConfigChoice, HowToOpen, OpenedSource};
use rdt_cli::exit::{Outcome, Usage};
use rdt_cli::picture;
use rdt_cli::progress::Progress;
use rdt_cli::signals;

mod bad_samples;
mod flags;
mod follow;
mod inputs_record;
mod rdt_flags;

use bad_samples::{BadSamples, Watched};
pub use flags::{Args, DeviceFlag, EncoderFlags, Precision, ReportTo};
use flags::{loader_options, settings};

/// Steps whose losses are averaged for the report.
const REPORTED_STEPS: usize = 10;

/// Trains.
///
/// # Errors
/// Wrong usage or configuration; a buffer or output folder that cannot be used; a run that
/// fails or is stopped.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    args.rdt.notes()?.iter().chain(&args.report_to.note()).for_each(|line| eprintln!("{line}"));
    let stop = signals::stop_flag("saving a checkpoint")?;
    let source = args.source.open(HowToOpen {
        default_buffer: None,
        complete: !args.follow.follow,
        config: ConfigChoice::File(args.config.clone()),
        stop: Arc::clone(&stop),
    })?;
    follow::check(args)?;
    let OpenedSource { samples, config, data, .. } = &source;
    let workers = match args.dataloader_num_workers {
        0 => available_parallelism().map_or(1, usize::from),
        given => given,
    };
    device::set_cpu_threads(args.cpu_threads).map_err(Usage::from_error)?;
    let holdout = holdout::divide(samples, args.holdout.holdout)?;
    let count = holdout.as_ref().map_or(samples.sample_count(), |holdout| holdout.training.samples());
    let mut options = loader_options(args, &source, workers)?;
    options.selection = holdout.as_ref().map(|holdout| Arc::clone(&holdout.training));
    let delivery = options.delivery;
    if let Delivery::Pixel { size } = delivery {
        prepared::check(samples.frame_size(), Some(size), &options.conditioning)
            .map_err(Usage::from_error)?;
    }
    let settings = settings(args, count).map_err(Usage::from_error)?;
    let (device, why) = device::choose(args.device.into()).map_err(Usage::from_error)?;
    if let Delivery::Pixel { size } = delivery {
        options.delivery = args.images.delivery(device.is_cuda(), size);
    }
    options.order = args.order.kind(source.buffer.as_deref())?;
    let data = &match args.follow.follow {
        // What a live buffer holds changes while it is trained on.
        true => follow::data(samples),
        false => {
            let sides = holdout.as_ref().map(Holdout::note).unwrap_or_default();
            format!("{data}{}{sides}", OrderFlags::note(options.order))
        }
    };
    eprintln!("device: {} ({why})", if device.is_cuda() { "cuda" } else { "cpu" });
    eprintln!("data: {data}, {workers} loader threads");
    if options.delivery == Delivery::Frames {
        eprintln!("images: sent as u8 frames, padded, resized and normalised on the device");
    }
    holdout.iter().for_each(|holdout| eprintln!("{}", holdout.describe()));
    hidden_cameras(samples, config).iter().for_each(|line| eprintln!("{line}"));
    if !args.follow.follow {
        flags::epochs_note(args, count).iter().for_each(|line| eprintln!("{line}"));
    }

    let encoders = args.precomputed.encoders(&args.encoders, &source)?;
    if !args.follow.follow {
        args.precomputed.check_instructions(&source)?;
    }
    let replaced = AtomicU64::new(0);
    let inputs = inputs_record::record(args, &options.conditioning, options.delivery);
    let run = Run {
        config,
        settings: &settings,
        device,
        output_dir: &args.output_dir,
        start: match &args.resume_from_checkpoint {
            None => Start::Fresh,
            Some(word) if word == Path::new("latest") => Start::Latest,
            Some(path) => Start::Checkpoint(path.clone()),
        },
        encoders: &encoders,
        pretrained: args.pretrained_model_name_or_path.as_deref(),
        events: match args.report_to {
            ReportTo::None => None,
            _ => Some(args.logging_dir.as_path()),
        },
        data,
        inputs: &inputs,
        stop: &stop,
        replaced_samples: &replaced,
    };
    let progress = Progress::new("training", settings.max_train_steps, "steps");
    let batches = count.div_ceil(settings.train_batch_size.into()).max(1);
    let (report, bad_samples) = mpsc::channel::<String>();
    let bad = BadSamples::new(report.clone(), &replaced);
    let evaluated = || holdout::evaluated(holdout.as_ref());
    let mut figures = |trainer: &Trainer| {
        let data = |error: anyhow::Error| TrainError::Data { source: error.into() };
        let mut loader =
            sample::loader(samples, config, delivery, args.sample, args.seed, evaluated()).map_err(data)?;
        let names = loader.dataset_names().to_vec();
        let figures = trainer.evaluate(&mut loader, args.sample.num_sample_batches, &names);
        bad.tell(loader.bad_samples());
        figures
    };
    if args.sample_period > 0 {
        // What is wrong with the flags is said before training, not at the first sampling.
        sample::loader(samples, config, delivery, args.sample, args.seed, evaluated())?;
    }
    let period = u64::try_from(args.sample_period).ok().filter(|&period| period > 0);
    let evaluation = period.map(|period| Evaluation { period, figures: &mut figures });
    let ended = train(
        &run,
        |start, micro_steps| {
            if let Some(buffer) = source.buffer.as_deref().filter(|_| args.follow.follow) {
                let stop = Arc::clone(&stop);
                let followed = follow::Followed::new(args, buffer, &options, (start, micro_steps), stop)?;
                return Ok(follow::Batches::Live(Box::new(followed.reporting(report, &replaced))));
            }
            let last = start.batch.saturating_add(micro_steps);
            let end = Some(Position { epoch: start.epoch + last / batches, batch: last % batches });
            let loader = Loader::new(samples.clone(), LoaderOptions { start, end, ..options })?;
            Ok(follow::Batches::Static(Box::new(Watched { loader, bad: &bad })))
        },
        evaluation,
        &mut |event| {
            bad_samples.try_iter().for_each(|line| progress.print(&line));
            match event {
                Event::Note(line) => progress.print(&line),
                Event::Sampled(record) => {
                    let figures: Vec<_> = record
                        .figures
                        .rounded
                        .iter()
                        .map(|(name, value)| format!("{name} {value:.4}"))
                        .collect();
                    progress.print(&format!("step {}: {}", record.step, figures.join(", ")));
                }
                Event::Step(record) => progress.set(record.step, &note(record)),
            }
        },
    );
    progress.finish();
    bad_samples.try_iter().for_each(|line| eprintln!("{line}"));
    let ended = ended.map_err(usage_of_settings)?;
    finish(args, &ended, source.skipped)
}

/// A line for each data set with cameras that the samples have and the network does not see.
fn hidden_cameras(samples: &SampleSource, config: &Config) -> Vec<String> {
    let seen = usize::from(config.common.num_cameras);
    let mut lines = Vec::new();
    for schema in samples.datasets() {
        let hidden = CameraSlot::ALL.into_iter().skip(seen).filter(|slot| schema.cameras[slot.index()]);
        let names: Vec<_> = hidden.map(CameraSlot::name).collect();
        if !names.is_empty() {
            let (dataset, names) = (&schema.name, names.join(", "));
            lines.push(format!("data set {dataset}: not trained on, since num_cameras is {seen}: {names}"));
        }
    }
    lines
}

/// A setting that cannot be is wrong usage.
pub(super) fn usage_of_settings(error: TrainError) -> anyhow::Error {
    match error {
        TrainError::Setting { .. } => Usage::from_error(error),
        error => error.into(),
    }
}

fn finish(args: &Args, ended: &Ended, skipped: usize) -> anyhow::Result<Outcome> {
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
    if let Some(peak) = ended.records.last().map(|record| record.peak_memory_mib).filter(|mib| *mib > 0.0) {
        println!("peak_memory_mib {peak:.1}");
    }
    println!("checkpoint {}", ended.checkpoint.display());
    println!("loss_curve {}", curve.display());
    println!("metrics {}", args.output_dir.join(StepRecord::FILE_NAME).display());
    if !ended.finished {
        anyhow::bail!(
            "stopped at step {steps} as asked; {} holds everything: go on with the same flags and \
             --resume-from-checkpoint latest",
            ended.checkpoint.display()
        );
    }
    Ok(if ended.replaced_samples == 0 && skipped == 0 { Outcome::Done } else { Outcome::Incomplete })
}

fn note(record: &StepRecord) -> String {
    let StepRecord { loss, lr, samples_per_s, data_wait, .. } = record;
    format!("loss {loss:.4} lr {lr:.2e} {samples_per_s:.1} samples/s waiting {:.0} %", 100.0 * data_wait)
}
