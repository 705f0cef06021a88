//! The micro-steps of one optimiser step: batches, losses and the gradient they add up to.
//!
//! Cut short, they leave nothing but a gradient, which is dropped: the trainer is at the last whole
//! step again, and so must be whoever counts.

use std::time::{Duration, Instant};

use rdt_consumer::{End, Receipt};
use tch::Tensor;

use crate::batch::{Batches, TrainingBatch};
use crate::error::TrainError;
use crate::run::checkpoint::Progress;
use crate::run::train::Run;
use crate::run::trainer::Trainer;

/// All of an optimiser step but the update.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    /// Loss of each micro-step.
    pub(crate) losses: Vec<Tensor>,
    /// Ids of the samples.
    pub(crate) samples: Vec<u64>,
    /// What is to be said of them once they were used.
    receipts: Vec<Receipt>,
    /// Time spent waiting for them.
    pub(crate) waited: Duration,
}

impl Gathered {
    /// Says that the step has used its samples. Dropped without, samples that were claimed are given
    /// back.
    pub(crate) fn deliver(&mut self) {
        self.receipts.drain(..).for_each(Receipt::deliver);
    }
}

/// Why there is no whole step.
#[derive(Debug)]
pub(crate) enum Cut {
    /// `Run::stop` is set.
    Stopped,
    /// Everything in a live buffer is consumed, and nobody refills it.
    Consumed,
    /// Data or computation failed.
    Failed(TrainError),
}

/// Does the micro-steps of the next optimiser step and moves `progress` past them, or not at all.
pub(crate) fn gather(
    run: &Run<'_>,
    trainer: &mut Trainer,
    batches: &mut impl Batches,
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

fn gather_up(
    run: &Run<'_>,
    trainer: &mut Trainer,
    batches: &mut impl Batches,
    progress: &mut Progress,
) -> Result<Gathered, Cut> {
    let mut gathered = Gathered::default();
    for _ in 0..run.settings.gradient_accumulation_steps {
        // the data
        let asked = Instant::now();
        let Some(batch) = batches.next(run.stop).map_err(Cut::Failed)? else {
            return Err(match batches.end() {
                Some(End::Stopped) => Cut::Stopped,
                Some(End::Consumed) => Cut::Consumed,
                Some(End::Enough) | None => Cut::Failed(out_of_data(progress)),
            });
        };
        gathered.waited += asked.elapsed();
        let host = batch.host();
        gathered.samples.extend_from_slice(&host.samples);

        // loss and gradient; each micro-step counts the same, as in RDT
        gathered.losses.push(trainer.accumulate(&host, progress.micro_step).map_err(Cut::Failed)?);
        progress.position = batch.next_position();
        progress.micro_step += 1;
        gathered.receipts.push(batch.into_receipt());
    }
    Ok(gathered)
}

fn out_of_data(progress: &Progress) -> TrainError {
    let message =
        format!("no batch after epoch {} batch {}", progress.position.epoch, progress.position.batch);
    TrainError::data(message)
}
