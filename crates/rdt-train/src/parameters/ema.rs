//! Moving average of the weights, with a decay that grows.

use rdt_schema::config::EmaConfig;
use tch::{TchError, Tensor};

/// The average, in a buffer of the parameters' layout, and how often it was updated.
#[derive(Debug)]
pub struct Ema {
    settings: EmaConfig,
    average: Tensor,
    updates: u64,
}

impl Ema {
    /// Starts at the given parameters.
    ///
    /// # Errors
    /// The memory is not there.
    pub fn new(settings: EmaConfig, parameters: &Tensor) -> Result<Self, TchError> {
        let average = tch::no_grad(|| parameters.f_detach_copy())?;
        Ok(Self { settings, average, updates: 0 })
    }

    /// The average.
    pub fn average(&self) -> &Tensor {
        &self.average
    }

    /// Updates so far. Saved in checkpoints: RDT restarts it, and so copies twice.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Takes up the count of a checkpoint whose average was read into [`Ema::average`].
    pub fn resume_at(&mut self, updates: u64) {
        self.updates = updates;
    }

    /// Moves the average towards the parameters as `times` updates in a row do, in one pass; not
    /// at all where `skip`, an f32 tensor (1,) on the device, is 1.
    ///
    /// # Errors
    /// The buffers are not of one layout.
    pub fn update(&mut self, parameters: &Tensor, times: u64, skip: &Tensor) -> Result<(), TchError> {
        let mut kept = 1.0;
        for _ in 0..times {
            kept *= self.decay();
            self.updates += 1;
        }
        let weight = skip.f_neg()?.f_add_scalar(1.0)?.f_mul_scalar(1.0 - kept)?;
        tch::no_grad(|| self.average.f_lerp_tensor_(&parameters.detach(), &weight).map(drop))
    }

    /// What is kept of the average in the coming update: 0 in the first two.
    pub fn decay(&self) -> f64 {
        let EmaConfig { update_after_step, inv_gamma, power, min_value, max_value } = self.settings;
        let step = self.updates as i64 - update_after_step - 1;
        if step <= 0 {
            return 0.0;
        }
        let grown = 1.0 - (1.0 + step as f64 / inv_gamma).powf(-power);
        grown.min(max_value).max(min_value)
    }
}
