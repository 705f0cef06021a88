//! AdamW and clipping, on whole buffers.
//!
//! Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019. Weight decay is on
//! all parameters: biases, norms and position tables too.
//!
//! An update is one kernel that reads parameters, gradient and moments once and writes them once.
//! Whether it may be made is a number on the device, so nobody waits to find out.

use rdt_model::device::shim::{self, Buffers};
use rdt_model::parameters::ParameterLayout;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, TchError, Tensor};

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
        let AdamWSettings { beta1, beta2, epsilon, weight_decay } = self.settings;
        let numbers = shim::AdamW { learning_rate, beta1, beta2, weight_decay, epsilon };
        shim::adamw(&numbers, &buffers, &number, scale, skip)
    }
}

/// Elements that are summed at a time on the CPU.
const NORM_PIECE: i64 = 1 << 16;

/// 2-norm of a gradient, a flat f32 tensor: one number, f64, on its device.
///
/// On the CPU PyTorch adds the squares one after another in f32 until the sum is too large for the
/// next one to count: a vector of 2^28 equal elements loses 3.7 %, one of 2^30 20 %. So it is the
/// norm of the norms of pieces, that one in f64. CUDA adds in a tree, which does not have this fault.
///
/// # Errors
/// The memory is not there.
pub fn gradient_norm(gradient: &Tensor) -> Result<Tensor, TchError> {
    if !gradient.device().is_cuda() {
        let elements = gradient.numel() as i64;
        let pieces = elements / NORM_PIECE;
        let whole = pieces * NORM_PIECE;
        let rows = gradient.f_narrow(0, 0, whole)?.f_view([pieces, NORM_PIECE])?;
        let norms = rows.f_norm_scalaropt_dim(2.0, [1i64].as_slice(), false)?;
        let rest = gradient.f_narrow(0, whole, elements - whole)?.f_norm()?.f_reshape([1])?;
        return Tensor::f_cat(&[norms, rest], 0)?.f_to_kind(Kind::Double)?.f_norm();
    }
    gradient.f_norm()?.f_to_kind(Kind::Double)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_norm_of_a_large_gradient_is_right() -> Result<(), TchError> {
        let (value, elements) = (1e-3_f32, 1_i64 << 26);
        // A piece more that is not whole.
        let gradient = Tensor::f_full([elements + 1], f64::from(value), (Kind::Float, Device::Cpu))?;
        let expected = f64::from(value) * ((elements + 1) as f64).sqrt();
        let norm = gradient_norm(&gradient)?.f_double_value(&[])?;
        assert!((norm / expected - 1.0).abs() < 1e-4, "{norm}, expected {expected}");
        Ok(())
    }
}
