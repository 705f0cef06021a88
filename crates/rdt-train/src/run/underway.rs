//! Steps that were handed to the device and whose numbers have not come back yet.
//!
//! A step that is not a number is found here, one step late at most: the device has left the
//! weights as they were. Invariant: records come out in the order of the steps.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rdt_model::device::memory;
use tch::Device;

use crate::error::TrainError;
use crate::run::log::metrics_log::StepRecord;
use crate::run::trainer::StepFigures;

/// What the host knows of a step when it has handed it over.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Optimiser steps done with it.
    pub(crate) step: u64,
    /// Pass over the data, from 0.
    pub(crate) epoch: u64,
    /// Learning rate.
    pub(crate) lr: f64,
    /// Ids of its samples.
    pub(crate) samples: Vec<u64>,
    /// Time spent waiting for them.
    pub(crate) waited: Duration,
    /// When its turn of the loop began.
    pub(crate) turn: Instant,
}

/// The steps, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Underway {
    steps: VecDeque<(Taken, StepFigures)>,
    /// When numbers were last read: the device was busy with the next step since then.
    last_done: Option<Instant>,
    /// Time spent waiting for data since then.
    waited: Duration,
}

impl Underway {
    /// Adds the newest step.
    pub(crate) fn push(&mut self, taken: Taken, figures: StepFigures) {
        self.waited += taken.waited;
        self.steps.push_back((taken, figures));
    }

    /// Waits until only `ahead` steps are underway, and adds the records of the others to `records`.
    ///
    /// A step lasts from its beginning, or from when the one before was read, until it is read.
    /// Steps that are read together share that time: which of them the device did when is not known.
    ///
    /// # Errors
    /// A step was not finite: its samples are written to a file in `folder`. Or the device failed.
    /// The records of the steps before are there all the same.
    pub(crate) fn settle(
        &mut self,
        ahead: usize,
        folder: &Path,
        device: Device,
        records: &mut Vec<StepRecord>,
    ) -> Result<(), TrainError> {
        let Some(began) = self.steps.front().map(|(taken, _)| taken.turn) else { return Ok(()) };
        let began = self.last_done.map_or(began, |done| done.max(began));
        let mut settled = Vec::new();
        let mut end = Ok(());
        while end.is_ok()
            && self.steps.len() > ahead
            && let Some((taken, figures)) = self.steps.pop_front()
        {
            let finite = figures.wait().and_then(|(loss, grad_norm)| {
                check_finite(folder, &taken, loss, grad_norm)?;
                Ok((loss, grad_norm))
            });
            match finite {
                Ok((loss, grad_norm)) => settled.push((taken, loss, grad_norm)),
                Err(error) => end = Err(error),
            }
        }
        if settled.is_empty() {
            return end;
        }
        let done = Instant::now();
        self.last_done = Some(done);
        let all_seconds = done.saturating_duration_since(began).as_secs_f64().max(1e-9);
        let seconds = all_seconds / settled.len() as f64;
        let data_wait = std::mem::take(&mut self.waited).as_secs_f64() / all_seconds;
        let peak = memory::peak(device).map_or(0.0, |bytes| bytes.0 as f64 / f64::from(1 << 20));
        records.extend(settled.into_iter().map(|(taken, loss, grad_norm)| StepRecord {
            step: taken.step,
            epoch: taken.epoch,
            loss,
            lr: taken.lr,
            grad_norm,
            samples_per_s: taken.samples.len() as f64 / seconds,
            data_wait,
            peak_memory_mib: peak,
        }));
        end
    }
}

/// Stops a run whose loss or gradient is not a number; its samples are written down.
fn check_finite(folder: &Path, taken: &Taken, loss: f64, grad_norm: f64) -> Result<(), TrainError> {
    let (what, value) = match (loss.is_finite(), grad_norm.is_finite()) {
        (true, true) => return Ok(()),
        (false, _) => ("loss", loss),
        (true, false) => ("gradient norm", grad_norm),
    };
    // Counted from 0: the steps done before it.
    let step = taken.step.saturating_sub(1);
    let list = folder.join(format!("non-finite-step-{step}.json"));
    let content = serde_json::json!({ "step": step, "what": what, "samples": taken.samples });
    fs::write(&list, content.to_string()).map_err(TrainError::file(&list, "write"))?;
    Err(TrainError::NonFinite { step, what, value, list })
}
