//! The training loop, to be read from top to bottom.
//!
//! It owns the order of things: wait for a batch, loss, gradient, clip, optimiser, moving
//! average, record, checkpoint. What each of them does is elsewhere.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use rdt_buffer::SampleId;
use rdt_consumer::{BadSample, BatchPosition};
use rdt_model::encoder::EncoderFolders;
use rdt_model::weights::pretrained;
use rdt_schema::Setting;
use rdt_schema::{Config, DataAbout};
use serde_json::{Map, Value};
use tch::Device;

use crate::batch::Batches;
use crate::error::TrainError;
use crate::run::checkpoint::{self, Progress};
use crate::run::evaluate::Evaluated;
use crate::run::inputs::Inputs;
use crate::run::lock::RunLock;
use crate::run::log::event_file::EventFile;
use crate::run::log::metrics_log::{MetricsLog, SampleRecord, StepRecord};
use crate::run::micro_steps::{Cut, Gathered, gather};
use crate::run::settings::{TrainSettings, check_ema};
use crate::run::trainer::Trainer;
use crate::run::underway::{Taken, Underway};

/// Where a run starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// At step 0; the output folder must not hold checkpoints.
    Fresh,
    /// At the newest checkpoint of the output folder, or at step 0 where there is none.
    Latest,
    /// At this checkpoint, a path or a name in the output folder, which must hold none later.
    Checkpoint(PathBuf),
}

/// What a run is given.
#[derive(Debug)]
pub struct Run<'a> {
    /// Network and data.
    pub config: &'a Config,
    /// The knobs.
    pub settings: &'a TrainSettings,
    /// Where to compute.
    pub device: Device,
    /// Checkpoints and `metrics.jsonl` go here.
    pub output_dir: &'a Path,
    /// Where to start.
    pub start: Start,
    /// Where the frozen encoders are.
    pub encoders: &'a EncoderFolders,
    /// Weights that a run at step 0 starts from, as [`pretrained`] reads them.
    pub pretrained: Option<&'a Path>,
    /// Folder in `output_dir` of TensorBoard's event files, if there are to be any.
    pub events: Option<&'a Path>,
    /// Set from outside to end at the last whole step.
    pub stop: &'a AtomicBool,
}

/// What a run is trained on, as its checkpoints keep it.
#[derive(Debug)]
pub struct Data<'a> {
    /// Names it (number of samples, digest): a checkpoint resumes on the same.
    pub name: &'a str,
    /// What sampling and serving need to know of it.
    pub about: &'a DataAbout,
    /// How batches are made, by names of settings: a checkpoint lists what changed.
    pub inputs: &'a Map<String, Value>,
}

impl Run<'_> {
    /// Refuses what cannot be, before anything slow: reads no weights, opens no encoder and needs no
    /// data. Says the same as [`train`] would later.
    ///
    /// # Errors
    /// Settings out of range; an output folder with checkpoints under a new run, or a checkpoint that
    /// this run cannot go on from; pretrained weights or encoders that are missing or do not fit.
    pub fn check(&self) -> Result<(), TrainError> {
        self.settings.check()?;
        check_ema(&self.config.model.ema)?;
        match starting_checkpoint(self)? {
            Some(path) => checkpoint::check(&path, self)?,
            None => self.pretrained.map_or(Ok(()), |path| pretrained::check(path, self.config))?,
        }
        Ok(self.encoders.check(self.config)?)
    }
}

/// Sampling while training.
pub struct Evaluation<'a> {
    /// Optimiser steps between two, at least 1.
    pub period: u64,
    /// Samples with the trainer's weights; none where there is nothing to sample for.
    pub figures: &'a mut dyn FnMut(&Trainer) -> Result<Option<Evaluated>, TrainError>,
}

/// What the loop tells while it runs.
#[derive(Debug)]
pub enum Event<'a> {
    /// A line for the log.
    Note(String),
    /// A step was done.
    Step(&'a StepRecord),
    /// Actions were sampled.
    Sampled(&'a SampleRecord),
    /// A sample could not be read; told once.
    Unreadable(&'a BadSample),
}

/// How a run ended.
#[derive(Debug)]
pub struct Ended {
    /// Whether all steps were done; otherwise it was stopped from outside.
    pub finished: bool,
    /// The checkpoint that holds where it stands.
    pub checkpoint: PathBuf,
    /// All records of the run, those before a resume included.
    pub records: Vec<StepRecord>,
    /// Samples that could not be read and were replaced, before a resume too.
    pub replaced_samples: u64,
}

/// Trains until all steps are done or `run.stop` is set; both end with a checkpoint.
///
/// `batches` starts the data at a position; it is told how many batches are needed and must
/// give that many, over as many epochs as it takes. `evaluation` samples now and then; it
/// draws nothing that training draws.
///
/// # Errors
/// Settings that cannot be, files that cannot be read or written, data that stops, memory
/// that is not there, or a loss that is not a number. Where data, encoders or sampling fail, the last
/// whole step is saved first.
pub fn train<B: Batches>(
    run: &Run<'_>,
    data: &Data<'_>,
    batches: impl FnOnce(BatchPosition, u64) -> Result<B, TrainError>,
    evaluation: Option<Evaluation<'_>>,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Ended, TrainError> {
    // While the device works on a step, the host prepares the next one. The CPU is both.
    let steps_ahead = usize::from(run.device.is_cuda());
    train_ahead(run, data, steps_ahead, batches, evaluation, tell)
}

/// [`train`], reading a step's numbers when `steps_ahead` more have been handed to the device.
pub(crate) fn train_ahead<B: Batches>(
    run: &Run<'_>,
    data: &Data<'_>,
    steps_ahead: usize,
    batches: impl FnOnce(BatchPosition, u64) -> Result<B, TrainError>,
    evaluation: Option<Evaluation<'_>>,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Ended, TrainError> {
    let settings = run.settings;

    // --- where to start ---
    fs::create_dir_all(run.output_dir).map_err(TrainError::file(run.output_dir, "create"))?;
    let _lock = RunLock::take(run.output_dir)?;
    checkpoint::clean_up(run.output_dir)?;
    let start = starting_checkpoint(run)?;
    let mut trainer = Trainer::new(run.config, settings.clone(), run.device, run.encoders)?;
    trainer.describe().into_iter().for_each(|line| tell(Event::Note(line)));
    let inputs = Inputs::of(run, data)?;
    let mut progress = Progress::default();
    // The checkpoint of exactly where the run stands, if there is one.
    let mut saved: Option<PathBuf> = None;
    match start {
        Some(path) => {
            let (at, changed) = checkpoint::load(&path, &mut trainer, run, data, &inputs)?;
            progress = at;
            tell(Event::Note(format!("resuming from {} at step {}", path.display(), progress.step)));
            if !changed.is_empty() {
                tell(Event::Note(format!("changed since then: {}", changed.join(", "))));
            }
            saved = Some(path);
        }
        None if run.start == Start::Latest => {
            tell(Event::Note(format!(
                "no checkpoint in {} yet: starting at step 0",
                run.output_dir.display()
            )));
        }
        None => {}
    }
    if let Some(path) = run.pretrained {
        if saved.is_some() {
            tell(Event::Note("the checkpoint goes before the pretrained weights".into()));
        } else {
            let file = trainer.start_from(path, run.config)?;
            tell(Event::Note(format!("starting from the weights in {}", file.display())));
        }
    }
    let (mut log, mut records) = MetricsLog::open(run.output_dir, progress.step)?;
    let mut sampling = match evaluation {
        Some(evaluation) => Some((evaluation, MetricsLog::open(run.output_dir, progress.step)?.0)),
        None => None,
    };
    let events = run.events.map(|folder| EventFile::create(&run.output_dir.join(folder), progress.step));
    let mut events = events.transpose()?;
    let steps_left = settings.max_train_steps.saturating_sub(progress.step);
    let micro_steps_left = steps_left.saturating_mul(settings.gradient_accumulation_steps);
    let mut batches = batches(progress.position, micro_steps_left)?;

    // --- the loop: one turn is one optimiser step ---
    let mut unreadable = Unreadable::default();
    let mut underway = Underway::default();
    let mut reported = records.len();
    // What went wrong after a whole step, whose weights are as good as ever.
    let mut failure = None;
    while progress.step < settings.max_train_steps {
        let started = Instant::now();
        let epoch = progress.position.epoch;
        let learning_rate = settings.learning_rate.at(progress.step);

        // data, losses, gradient
        let gathered = gather(run, &mut trainer, &mut batches, &mut progress);
        let replaced = unreadable.tell(batches.take_bad_samples(), tell);
        let mut gathered = match gathered {
            Ok(gathered) => gathered,
            Err(Cut::Stopped) => break,
            Err(Cut::Consumed) => {
                let end = "everything is consumed and no producer works on the buffer: ending";
                tell(Event::Note(end.into()));
                break;
            }
            Err(Cut::Failed(error)) => {
                failure = Some(error);
                break;
            }
        };

        // the update
        let figures = trainer.update(&gathered.losses, learning_rate)?;
        gathered.deliver();
        progress.step += 1;
        progress.replaced_samples += replaced;
        saved = None;
        let Gathered { samples, waited, .. } = gathered;
        let taken = Taken { step: progress.step, epoch, lr: learning_rate, samples, waited, turn: started };
        underway.push(taken, figures);

        // records: here alone the host waits for the device, on CUDA for the step before
        let whole = |period: u64| progress.step.is_multiple_of(period);
        let samples_now = sampling.as_ref().is_some_and(|(evaluation, _)| whole(evaluation.period));
        let saves_now = whole(settings.checkpointing_period);
        let is_last = progress.step == settings.max_train_steps;
        let ahead = if samples_now || saves_now || is_last { 0 } else { steps_ahead };
        let settled = underway.settle(ahead, run.output_dir, run.device, &mut records);
        report(&records, &mut reported, &mut log, &mut events, tell)?;
        settled?;

        // sampling
        if let Some((evaluation, log)) = &mut sampling
            && samples_now
        {
            match (evaluation.figures)(&trainer) {
                Ok(Some(Evaluated { figures, bad_samples })) => {
                    progress.replaced_samples += unreadable.tell(bad_samples, tell);
                    let record = SampleRecord { step: progress.step, figures };
                    log.write(&record)?;
                    log.flush()?;
                    if let Some(events) = &mut events {
                        events.scalars(record.step, record.scalars())?;
                    }
                    tell(Event::Sampled(&record));
                }
                Ok(None) => tell(Event::Note("there is nothing to evaluate on now".into())),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }

        // checkpoints
        if saves_now {
            log.flush()?;
            let path = checkpoint::save(run, &trainer, data, &inputs, progress)?;
            tell(Event::Note(format!("saved {}", path.display())));
            saved = Some(path);
        }
    }

    // --- the end ---
    let settled = underway.settle(0, run.output_dir, run.device, &mut records);
    report(&records, &mut reported, &mut log, &mut events, tell)?;
    // A step that is no number is not saved: steps that were handed over behind it are in the weights.
    settled?;
    log.flush()?;
    let save = || checkpoint::save(run, &trainer, data, &inputs, progress);
    if let Some(error) = failure {
        // At step 0 there is nothing to lose, and the folder stays free for a fresh start.
        if saved.is_none() && progress.step > 0 {
            tell(Event::Note(match save() {
                Ok(path) => format!("saved {}, the last whole step before an error", path.display()),
                Err(error) => format!("step {} could not be saved after an error: {error}", progress.step),
            }));
        }
        return Err(error);
    }
    let checkpoint = match saved {
        Some(path) => path,
        None => save()?,
    };
    let finished = progress.step >= settings.max_train_steps;
    Ok(Ended { finished, checkpoint, records, replaced_samples: progress.replaced_samples })
}

/// The samples that were told to be unreadable.
#[derive(Debug, Default)]
struct Unreadable(HashSet<(SampleId, Option<u64>)>);

impl Unreadable {
    /// Tells those that were not told yet, and counts them: training and evaluation may meet the same.
    fn tell(&mut self, found: Vec<BadSample>, tell: &mut dyn FnMut(Event<'_>)) -> u64 {
        let new = found.into_iter().filter(|bad| self.0.insert((bad.sample, bad.generation)));
        new.inspect(|bad| tell(Event::Unreadable(bad))).count() as u64
    }
}

fn starting_checkpoint(run: &Run<'_>) -> Result<Option<PathBuf>, TrainError> {
    let newest = checkpoint::list(run.output_dir)?.pop();
    match (&run.start, newest) {
        (Start::Checkpoint(path), newest) => {
            let path = find_checkpoint(path, run.output_dir)?;
            let step = checkpoint::step(&path)?;
            match newest {
                Some((later, newest)) if later > step => Err(TrainError::setting(
                    Setting::RESUME_FROM_CHECKPOINT,
                    format!("{} at step {step}, and there is {}", path.display(), newest.display()),
                    format!(
                        "the newest checkpoint of {}; remove the later ones, or use another",
                        Setting::OUTPUT_DIR
                    ),
                )),
                _ => Ok(Some(path)),
            }
        }
        (Start::Latest, newest) => Ok(newest.map(|(_, path)| path)),
        (Start::Fresh, None) => Ok(None),
        (Start::Fresh, Some((_, newest))) => Err(TrainError::setting(
            Setting::OUTPUT_DIR,
            format!("{}, which holds {}", run.output_dir.display(), newest.display()),
            format!("a folder without checkpoints; or go on with {} latest", Setting::RESUME_FROM_CHECKPOINT),
        )),
    }
}

/// A checkpoint by its path, or by its name in the output folder, as RDT takes it.
fn find_checkpoint(given: &Path, output_dir: &Path) -> Result<PathBuf, TrainError> {
    let named = output_dir.join(given);
    [given, &named].into_iter().find(|path| checkpoint::exists(path)).map(Path::to_owned).ok_or_else(|| {
        TrainError::setting(
            Setting::RESUME_FROM_CHECKPOINT,
            given.display().to_string(),
            format!("`latest`, a checkpoint-N folder, or the name of one in {}", output_dir.display()),
        )
    })
}

/// Writes the steps down that are not yet, and tells them.
fn report(
    records: &[StepRecord],
    reported: &mut usize,
    log: &mut MetricsLog<StepRecord>,
    events: &mut Option<EventFile>,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<(), TrainError> {
    for record in records.iter().skip(std::mem::replace(reported, records.len())) {
        log.write(record)?;
        if let Some(events) = events {
            events.scalars(record.step, record.scalars())?;
        }
        tell(Event::Step(record));
    }
    Ok(())
}
