//! How the learning rate changes over a run: RDT's six schedules.
//!
//! The rate is a function of the optimiser step alone, so there is no state to save.
//! Warm-up starts at exactly 0 and counts optimiser steps (RDT counts scheduler calls, so
//! with several processes its warm-up is as many times shorter).

use serde::{Deserialize, Serialize};

/// Where `polynomial` ends.
const POLYNOMIAL_END: f64 = 1e-7;

/// Names as in RDT's `--lr_scheduler`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// Always the base rate; no warm-up.
    Constant,
    /// The base rate after the warm-up.
    ConstantWithWarmup,
    /// Down to 0 in a straight line.
    Linear,
    /// Down to 0 in half a cosine wave.
    Cosine,
    /// Cosine waves one after another.
    CosineWithRestarts,
    /// Down to 1e-7 along a power.
    Polynomial,
}

/// A schedule with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LearningRate {
    /// Shape.
    pub kind: ScheduleKind,
    /// Highest rate.
    pub base: f64,
    /// Optimiser steps of warm-up.
    pub warmup_steps: u64,
    /// Optimiser steps of the run.
    pub total_steps: u64,
    /// Waves of [`ScheduleKind::CosineWithRestarts`].
    pub cycles: u64,
    /// Exponent of [`ScheduleKind::Polynomial`].
    pub power: f64,
}

impl LearningRate {
    /// The rate of optimiser step `step`, counted from 0.
    pub fn at(&self, step: u64) -> f64 {
        let step_count = step as f64;
        if self.kind == ScheduleKind::Constant {
            return self.base;
        }
        if step < self.warmup_steps {
            return self.base * (step_count / self.warmup_steps as f64);
        }
        let total = self.total_steps as f64;
        let span = self.total_steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let progress = (step_count - self.warmup_steps as f64) / span;
        let wave = |waves: f64| 0.5 * (1.0 + (std::f64::consts::PI * waves).cos());
        match self.kind {
            ScheduleKind::Constant | ScheduleKind::ConstantWithWarmup => self.base,
            ScheduleKind::Linear => self.base * ((total - step_count) / span).max(0.0),
            // Past its end the wave goes up again, as RDT's does.
            ScheduleKind::Cosine => self.base * wave(progress).max(0.0),
            ScheduleKind::CosineWithRestarts if progress >= 1.0 => 0.0,
            ScheduleKind::CosineWithRestarts => {
                self.base * wave((self.cycles as f64 * progress).fract()).max(0.0)
            }
            ScheduleKind::Polynomial if step_count > total => POLYNOMIAL_END,
            ScheduleKind::Polynomial => {
                (self.base - POLYNOMIAL_END) * (1.0 - progress).powf(self.power) + POLYNOMIAL_END
            }
        }
    }
}
