//! Steps that were handed to the device and whose numbers have not come back yet.
//!
//! A step that is not a number is found here, one step late at most: the device has left the
//! weights as they were. Invariant: records come out in the order of the steps.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tch::Device;

use crate::error::TrainError;
use crate::memory;
use crate::metrics_log::StepRecord;
use crate::trainer::StepFigures;

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
pub(crate) struct Underway(VecDeque<Step>);

#[derive(Debug)]
struct Step {
    taken: Taken,
    figures: StepFigures,
    /// How long its turn of the loop took, once that has ended: with the device busy all the
    /// time, a turn is as long as a step.
    seconds: Option<f64>,
}

impl Underway {
    /// Adds the newest step.
    pub(crate) fn push(&mut self, taken: Taken, figures: StepFigures) {
        self.0.push_back(Step { taken, figures, seconds: None });
    }

    /// Waits until only `ahead` steps are underway, and ends the newest step's turn.
    ///
    /// # Errors
    /// A step was not finite: its samples are written to a file in `folder`. Or the device failed.
    pub(crate) fn settle(
        &mut self,
        ahead: usize,
        folder: &Path,
        device: Device,
    ) -> Result<Vec<StepRecord>, TrainError> {
        let mut settled = Vec::new();
        while self.0.len() > ahead
            && let Some(Step { taken, figures, seconds }) = self.0.pop_front()
        {
            let (loss, grad_norm) = figures.wait()?;
            check_finite(folder, &taken, loss, grad_norm)?;
            settled.push((taken, loss, grad_norm, seconds));
        }
        if let Some(newest) = self.0.back_mut() {
            newest.seconds.get_or_insert_with(|| newest.taken.turn.elapsed().as_secs_f64());
        }
        let peak = memory::peak(device).map_or(0.0, |bytes| bytes.0 as f64 / f64::from(1 << 20));
        let record = |(taken, loss, grad_norm, seconds): (Taken, f64, f64, Option<f64>)| {
            let seconds = seconds.unwrap_or_else(|| taken.turn.elapsed().as_secs_f64());
            StepRecord {
                step: taken.step,
                epoch: taken.epoch,
                loss,
                lr: taken.lr,
                grad_norm,
                samples_per_s: taken.samples.len() as f64 / seconds,
                data_wait: taken.waited.as_secs_f64() / seconds,
                peak_memory_mib: peak,
            }
        };
        Ok(settled.into_iter().map(record).collect())
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
