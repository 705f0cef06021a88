//! How the learning rate changes over a run: RDT's six schedules.
//!
//! The rate is a function of the optimiser step alone, so there is no state to save.
//! Warm-up starts at exactly 0 and counts optimiser steps (RDT counts scheduler calls, so
//! with several processes its warm-up is as many times shorter).

use rdt_schema::Setting;
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

    /// What the log says of a run that never leaves its warm-up.
    pub fn warning(&self) -> Option<String> {
        let (total, warm_up) = (self.total_steps, self.warmup_steps);
        if self.kind == ScheduleKind::Constant || warm_up == 0 || total > warm_up {
            return None;
        }
        let (last, base) = (self.at(total.saturating_sub(1)), self.base);
        Some(format!(
            "warning: the run's {total} steps all lie in the warm-up of {warm_up}: the learning rate ends at \
             {last:.2e} and never reaches {base:.2e}; raise {}, or lower {}",
            Setting::MAX_TRAIN_STEPS,
            Setting::LR_WARMUP_STEPS
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_never_leaves_its_warm_up_is_warned_of() {
        let said = |kind, warmup_steps, total_steps| {
            LearningRate { kind, base: 1e-4, warmup_steps, total_steps, cycles: 1, power: 1.0 }.warning()
        };
        let warm = ScheduleKind::ConstantWithWarmup;
        let line = said(warm, 5000, 251).unwrap_or_default();
        assert!(line.contains("251 steps") && line.contains("5000") && line.contains("5.00e-6"), "{line}");
        assert!(said(ScheduleKind::Cosine, 10, 10).is_some());
        assert_eq!(said(warm, 10, 11), None);
        assert_eq!(said(warm, 0, 1), None);
        assert_eq!(said(ScheduleKind::Constant, 10, 5), None);
    }
}
