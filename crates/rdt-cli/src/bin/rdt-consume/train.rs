//! `rdt-consume`: trains the network on a buffer.
//!
//! Flags become [`rdt_train::run::settings::TrainSettings`] and a [`BatchSpec`]; the loop itself is
//! [`rdt_train::run::train`]. Progress goes to standard error, the first and the last loss to
//! standard output.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rdt_cli::consume::source::{self, Wanted, usage_or_failure};
use rdt_cli::exit::{Outcome, Usage};
use rdt_cli::picture;
use rdt_cli::progress::Progress;
use rdt_cli::signals;
use rdt_consumer::Delivery;
use rdt_data::{BatchSpec, Batches, DataError, Evaluation, Source, check_instructions};
use rdt_model::{ModelError, device};
use rdt_train::TrainError;
use rdt_train::run::log::metrics_log::{Record, StepRecord};
use rdt_train::run::train::{Data, Ended, Event, Run, Start, train};
use rdt_train::run::trainer::Trainer;

mod flags;
mod inputs_record;
mod rdt_flags;

use flags::settings;
pub(crate) use flags::{Args, DeviceFlag, EncoderFlags, Precision, ReportTo};

/// Steps whose losses are averaged for the report.
const REPORTED_STEPS: usize = 10;

/// Trains.
///
/// # Errors
/// Wrong usage or configuration; a buffer or output folder that cannot be used; a run that
/// fails or is stopped.
pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    args.rdt.notes()?.iter().chain(&args.report_to.note()).for_each(|line| eprintln!("{line}"));
    let stop = signals::stop_flag("saving a checkpoint")?;

    // What is asked for, and whether it can be: before anything slow.
    let source = args.source.spec(Wanted {
        default_buffer: None,
        is_complete: !args.follow.follow,
        config: args.config.clone(),
        known_config: None,
        known_data: None,
    })?;
    let config = source.config().map_err(usage_or_failure)?;
    source.check().map_err(usage_or_failure)?;
    device::set_cpu_threads(args.cpu_threads).map_err(Usage::from_error)?;
    let (device, why) = device::choose(args.device.into()).map_err(Usage::from_error)?;
    let batches = args.batches(&config, device.is_cuda())?;
    batches.check(&source).map_err(usage_or_failure)?;
    let encoders = args.precomputed.encoders(&args.encoders, &source, None)?;
    if args.sample_period > 0 {
        args.sample.check()?;
    }
    // How many steps epochs come to is not known yet.
    let asked = settings(args, args.max_train_steps.unwrap_or(1)).map_err(Usage::from_error)?;
    let run = Run {
        config: &config,
        settings: &asked,
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
        stop: &stop,
    };
    run.check().map_err(usage_of_settings)?;

    // The data.
    let source = source::open(&source, Arc::clone(&stop))?;
    let batches = batches.prepare(&source).map_err(usage_or_failure)?;
    let settings = settings(args, args.steps(batches.samples())).map_err(Usage::from_error)?;
    let run = Run { settings: &settings, ..run };
    let data = &batches.name();
    eprintln!("device: {} ({why})", if device.is_cuda() { "cuda" } else { "cpu" });
    eprintln!("data: {data}, {} loader threads", batches.spec().workers.threads);
    if batches.delivery() == Delivery::Frames {
        eprintln!("images: sent as u8 frames, padded, resized and normalised on the device");
    }
    batches.holdout().iter().for_each(|holdout| eprintln!("{}", holdout.describe()));
    source.hidden_cameras().iter().for_each(|line| eprintln!("{line}"));
    if !args.follow.follow {
        flags::epochs_note(args, batches.samples()).iter().for_each(|line| eprintln!("{line}"));
        if args.precomputed.precomp_lang_embed {
            check_instructions(&source).map_err(usage_or_failure)?;
        }
    }

    let inputs = inputs_record::record(args, &batches.spec().disturbance, batches.delivery());
    let data = Data { name: data, about: &source.about, inputs: &inputs };
    let progress = Progress::new("training", settings.max_train_steps, "steps");
    let evaluated = evaluated(args, &batches, &source).map_err(usage_or_failure)?;
    let mut figures = |trainer: &Trainer| {
        let loader = evaluated.as_ref().map(Evaluation::loader).transpose().map_err(TrainError::data)?;
        let Some(mut loader) = loader.flatten() else { return Ok(None) };
        let names = loader.dataset_names().to_vec();
        trainer.evaluate(&mut loader, args.sample.num_sample_batches, &names).map(Some)
    };
    let period = u64::try_from(args.sample_period).ok().filter(|&period| period > 0);
    let evaluation = period.map(|period| rdt_train::run::train::Evaluation { period, figures: &mut figures });
    let ended = train(
        &run,
        &data,
        |start, micro_steps| batches.loader(start, Some(micro_steps)).map_err(TrainError::data),
        evaluation,
        &mut |event| match event {
            Event::Note(line) => progress.print(&line),
            Event::Unreadable(bad) => progress.print(&bad.to_string()),
            Event::Sampled(record) => {
                let figures: Vec<_> =
                    record.scalars().map(|(name, value)| format!("{name} {value:.4}")).collect();
                progress.print(&format!("step {}: {}", record.step, figures.join(", ")));
            }
            Event::Step(record) => progress.set(record.step, &note(record)),
        },
    );
    progress.finish();
    let ended = ended.map_err(usage_of_settings)?;
    finish(args, &ended, source.skipped())
}

/// What is sampled while training: what is held out of it, or all.
fn evaluated(args: &Args, batches: &Batches, source: &Source) -> Result<Option<Evaluation>, DataError> {
    if args.sample_period <= 0 {
        return Ok(None);
    }
    let images = args.precomputed.images(&source.config);
    let (seed, size) = (args.seed, args.sample.sample_batch_size);
    let spec = BatchSpec::evaluation(images, seed, size, args.holdout.holdout);
    Evaluation::beside(batches, source, spec).map(Some)
}

/// A setting that cannot be is wrong usage.
pub(super) fn usage_of_settings(error: impl Into<TrainError>) -> anyhow::Error {
    match error.into() {
        error @ TrainError::Model(ModelError::Setting { .. }) => Usage::from_error(error),
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
