//! Every knob of a run, in one place; saved in its checkpoints.

use rdt_schema::Setting;
use rdt_schema::config::EmaConfig;
use serde::{Deserialize, Serialize};
use tch::Kind;

use crate::error::TrainError;
use crate::parameters::optimizer::AdamWSettings;
use crate::run::schedule::LearningRate;

/// What the network computes in. Weights, moments and their average are f32 in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MixedPrecision {
    /// f32.
    #[default]
    No,
    /// bf16.
    Bf16,
}

impl MixedPrecision {
    /// The kind of tensor.
    pub fn kind(self) -> Kind {
        match self {
            Self::No => Kind::Float,
            Self::Bf16 => Kind::BFloat16,
        }
    }
}

/// The knobs of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainSettings {
    /// Seed of order, noise, timesteps and initial weights.
    pub seed: u64,
    /// Samples a micro-step.
    pub train_batch_size: u32,
    /// Micro-steps an optimiser step.
    pub gradient_accumulation_steps: u64,
    /// Optimiser steps of the whole run.
    pub max_train_steps: u64,
    /// The learning rate over the run.
    pub learning_rate: LearningRate,
    /// AdamW's numbers.
    pub adam: AdamWSettings,
    /// Gradients are scaled down to at most this norm; 0 leaves them.
    pub max_grad_norm: f64,
    /// What the network computes in.
    pub mixed_precision: MixedPrecision,
    /// Whether blocks are computed again in the backward pass instead of being kept.
    #[serde(default)]
    pub gradient_checkpointing: bool,
    /// Whether f32 matrix products on CUDA may round to TF32.
    #[serde(default)]
    pub allow_tf32: bool,
    /// Optimiser steps between checkpoints.
    pub checkpointing_period: u64,
    /// Checkpoints kept; older ones are removed. All, if none.
    pub checkpoints_total_limit: Option<usize>,
    /// Share of the episodes that is held out of training; 0 where none is.
    #[serde(default)]
    pub holdout: f64,
}

impl TrainSettings {
    /// Checks the ranges that types cannot hold.
    ///
    /// # Errors
    /// A count of zero, or a number out of its range; named.
    pub fn check(&self) -> Result<(), TrainError> {
        let wrong =
            |what: Setting, found: String, expected: &str| Err(TrainError::setting(what, found, expected));
        let counts = [
            (Setting::TRAIN_BATCH_SIZE, u64::from(self.train_batch_size)),
            (Setting::GRADIENT_ACCUMULATION_STEPS, self.gradient_accumulation_steps),
            (Setting::MAX_TRAIN_STEPS, self.max_train_steps),
            (Setting::CHECKPOINTING_PERIOD, self.checkpointing_period),
        ];
        for (setting, value) in counts {
            if value == 0 {
                return wrong(setting, value.to_string(), "at least 1");
            }
        }
        if self.checkpoints_total_limit == Some(0) {
            return wrong(Setting::CHECKPOINTS_TOTAL_LIMIT, "0".into(), "at least 1, or no limit");
        }
        let not_negative = [
            (Setting::LEARNING_RATE, self.learning_rate.base),
            (Setting::LR_POWER, self.learning_rate.power),
            (Setting::MAX_GRAD_NORM, self.max_grad_norm),
            (Setting::ADAM_WEIGHT_DECAY, self.adam.weight_decay),
            (Setting::ADAM_EPSILON, self.adam.epsilon),
        ];
        for (setting, value) in not_negative {
            if !(value >= 0.0 && value.is_finite()) {
                return wrong(setting, value.to_string(), "a number from 0 on");
            }
        }
        for (setting, value) in
            [(Setting::ADAM_BETA1, self.adam.beta1), (Setting::ADAM_BETA2, self.adam.beta2)]
        {
            if !(0.0..1.0).contains(&value) {
                return wrong(setting, value.to_string(), "at least 0 and less than 1");
            }
        }
        Ok(())
    }
}

/// Checks the ranges of the moving average's configuration.
///
/// # Errors
/// A number out of its range, or not a number; named by its key.
pub(crate) fn check_ema(ema: &EmaConfig) -> Result<(), TrainError> {
    let share = |value: f64| (0.0..=1.0).contains(&value);
    for (key, value, fits, expected) in [
        ("inv_gamma", ema.inv_gamma, ema.inv_gamma > 0.0 && ema.inv_gamma.is_finite(), "more than 0"),
        ("power", ema.power, ema.power >= 0.0 && ema.power.is_finite(), "a number from 0 on"),
        ("min_value", ema.min_value, share(ema.min_value), "0 to 1"),
        ("max_value", ema.max_value, share(ema.max_value), "0 to 1"),
    ] {
        if !fits {
            return Err(TrainError::setting(format!("model.ema.{key}"), value.to_string(), expected));
        }
    }
    Ok(())
}
