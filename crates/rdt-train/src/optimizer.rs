//! AdamW and clipping, on whole buffers.
//!
//! Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019. Weight decay is on
//! all parameters: biases, norms and position tables too.
//!
//! An update is one kernel that reads parameters, gradient and moments once and writes them once.
//! Whether it may be made is a number on the device, so nobody waits to find out.

use serde::{Deserialize, Serialize};
use tch::{Device, Kind, TchError, Tensor};

use crate::flat_parameters::ParameterLayout;
use crate::shim::{self, Buffers};

/// What never changes during a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdamWSettings {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Share of the weights taken away a step, times the learning rate.
    pub weight_decay: f64,
}

impl Default for AdamWSettings {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 1e-2 }
    }
}

/// Moments of all parameters, and how often they were updated.
#[derive(Debug)]
pub struct AdamW {
    settings: AdamWSettings,
    first_moment: Tensor,
    second_moment: Tensor,
    updates: u64,
}

impl AdamW {
    /// Zero moments.
    ///
    /// # Errors
    /// The memory is not there.
    pub fn new(layout: &ParameterLayout, settings: AdamWSettings, device: Device) -> Result<Self, TchError> {
        Ok(Self {
            settings,
            first_moment: layout.zeros(device)?,
            second_moment: layout.zeros(device)?,
            updates: 0,
        })
    }

    /// Moments, for a checkpoint: first and second.
    pub fn moments(&self) -> (&Tensor, &Tensor) {
        (&self.first_moment, &self.second_moment)
    }

    /// Updates so far.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Takes up the count of a checkpoint whose moments were read into [`AdamW::moments`].
    pub fn resume_at(&mut self, updates: u64) {
        self.updates = updates;
    }

    /// One update of `parameters` at `learning_rate` by `gradient` over `scale`; nothing at all
    /// where `skip` is 1. Both are f32 tensors of one element on the device, of which the host
    /// knows nothing yet. One pass: the gradient is scaled in place, nothing is allocated.
    ///
    /// # Errors
    /// The buffers are not of one layout.
    pub fn step(
        &mut self,
        parameters: &Tensor,
        gradient: &Tensor,
        learning_rate: f64,
        scale: &Tensor,
        skip: &Tensor,
    ) -> Result<(), TchError> {
        self.updates += 1;
        let number = Tensor::f_full([1], self.updates as f64, (Kind::Float, parameters.device()))?;
        let buffers = Buffers {
            parameters,
            gradient,
            first_moment: &self.first_moment,
            second_moment: &self.second_moment,
        };
        shim::adamw(&self.settings, learning_rate, &buffers, &number, scale, skip)
    }
}

/// What a gradient is divided by so that its norm is at most `max_norm` (not at all, if that is 0),
/// given its norm as a tensor: nothing is read back from the device. f32 (1,).
///
/// # Errors
/// The memory is not there.
pub fn clip_scale(norm: &Tensor, max_norm: f64) -> Result<Tensor, TchError> {
    let norm = norm.f_to_kind(Kind::Float)?.f_reshape([1])?;
    if max_norm > 0.0 {
        // The small number is PyTorch's.
        norm.f_add_scalar(1e-6)?.f_mul_scalar(1.0 / max_norm)?.f_clamp_min(1.0)
    } else {
        norm.f_ones_like()
    }
}
