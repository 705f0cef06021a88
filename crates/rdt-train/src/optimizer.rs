//! AdamW and clipping, on whole buffers.
//!
//! Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019. Weight decay is on
//! all parameters: biases, norms and position tables too.

use serde::{Deserialize, Serialize};
use tch::{Device, TchError, Tensor};

use crate::flat_parameters::ParameterLayout;

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

    /// One update of `parameters` at `learning_rate`. `gradient` is used up as workspace, so
    /// that no buffer is allocated: it holds nothing of meaning afterwards.
    ///
    /// # Errors
    /// The buffers are not of one layout.
    pub fn step(
        &mut self,
        parameters: &Tensor,
        mut gradient: Tensor,
        learning_rate: f64,
    ) -> Result<(), TchError> {
        let AdamWSettings { beta1, beta2, epsilon, weight_decay } = self.settings;
        self.updates += 1;
        let count = self.updates as f64;
        tch::no_grad(|| {
            let mut parameters = parameters.detach();
            let _ = self.first_moment.f_lerp_(&gradient, 1.0 - beta1)?;
            let _ = gradient.f_square_()?;
            let _ = self.second_moment.f_lerp_(&gradient, 1.0 - beta2)?;
            // At rate 0 (the first step of a warm-up) only the moments move.
            if learning_rate > 0.0 {
                let step = learning_rate / (1.0 - beta1.powf(count));
                let root = (1.0 - beta2.powf(count)).sqrt();
                // -(sqrt(v) / root + epsilon) / step, so that adding m over it is the update.
                let _ = self.second_moment.f_sqrt_out(&gradient)?;
                let _ = gradient.f_mul_scalar_(-1.0 / (root * step))?;
                let _ = gradient.f_sub_scalar_(epsilon / step)?;
                let _ = parameters.f_mul_scalar_(1.0 - learning_rate * weight_decay)?;
                let _ = parameters.f_addcdiv_(&self.first_moment, &gradient)?;
            }
            Ok(())
        })
    }
}

/// Scales `gradient` down to a norm of at most `max_norm`, given its norm as a tensor:
/// nothing is read back from the device.
///
/// # Errors
/// The memory is not there.
pub fn clip(gradient: &mut Tensor, norm: &Tensor, max_norm: f64) -> Result<(), TchError> {
    // The small number is PyTorch's.
    let scale = norm.f_add_scalar(1e-6)?.f_reciprocal()?.f_mul_scalar(max_norm)?.f_clamp_max(1.0)?;
    let _ = gradient.f_mul_(&scale)?;
    Ok(())
}
