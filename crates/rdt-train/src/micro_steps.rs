//! The micro-steps of one optimiser step: batches, losses and the gradient they add up to.
//!
//! Cut short, they leave nothing but a gradient, which is dropped: the trainer is at the last whole
//! step again, and so must be whoever counts.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tch::Tensor;

use crate::batch::TrainingBatch;
use crate::checkpoint::Progress;
use crate::error::TrainError;
use crate::train::Run;
use crate::trainer::Trainer;

/// All of an optimiser step but the update.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// Loss of each micro-step.
    pub(crate) losses: Vec<Tensor>,
    /// Ids of the samples.
    pub(crate) samples: Vec<u64>,
    /// Time spent waiting for them.
    pub(crate) waited: Duration,
}

/// Why there is no whole step.
#[derive(Debug)]
pub(crate) enum Cut {
    /// `Run::stop` is set.
    Stopped,
    /// Data or computation failed.
    Failed(TrainError),
}

/// Does the micro-steps of the next optimiser step and moves `progress` past them, or not at all.
pub(crate) fn gather<B: TrainingBatch, E: std::error::Error + Send + Sync + 'static>(
    run: &Run<'_>,
    trainer: &mut Trainer,
    batches: &mut impl Iterator<Item = Result<B, E>>,
    progress: &mut Progress,
) -> Result<Gathered, Cut> {
    let before = *progress;
    let gathered = gather_up(run, trainer, batches, progress);
    if gathered.is_err() {
        trainer.drop_gradient();
        *progress = before;
    }
    gathered
}

fn gather_up<B: TrainingBatch, E: std::error::Error + Send + Sync + 'static>(
    run: &Run<'_>,
    trainer: &mut Trainer,
    batches: &mut impl Iterator<Item = Result<B, E>>,
    progress: &mut Progress,
) -> Result<Gathered, Cut> {
    let stopped = || run.stop.load(Ordering::Relaxed);
    let mut gathered = Gathered::default();
    for _ in 0..run.settings.gradient_accumulation_steps {
        if stopped() {
            return Err(Cut::Stopped);
        }

        // the data
        let asked = Instant::now();
        let batch = match batches.next() {
            Some(batch) => {
                batch.map_err(|error| Cut::Failed(TrainError::Data { source: Box::new(error) }))?
            }
            // Whoever waits for data ends when asked to, or asks for the end itself.
            None if stopped() => return Err(Cut::Stopped),
            None => return Err(Cut::Failed(out_of_data(progress))),
        };
        gathered.waited += asked.elapsed();
        let host = batch.host();
        gathered.samples.extend_from_slice(&host.samples);

        // loss and gradient; each micro-step counts the same, as in RDT
        gathered.losses.push(trainer.accumulate(&host, progress.micro_step).map_err(Cut::Failed)?);
        progress.position = batch.next_position();
        progress.micro_step += 1;
    }
    Ok(gathered)
}

fn out_of_data(progress: &Progress) -> TrainError {
    let message =
        format!("no batch after epoch {} batch {}", progress.position.epoch, progress.position.batch);
    TrainError::Data { source: message.into() }
}
