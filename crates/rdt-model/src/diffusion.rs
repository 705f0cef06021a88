//! The diffusion process: how actions are made noisy, and the loss.
//!
//! The network predicts the clean actions; the loss is over all entries, those that the data
//! set does not fill included, and over padded rows too: that is what RDT trains on.

pub mod sampler;

use tch::{Device, Kind, Reduction, TchError, Tensor};

use crate::network::{Conditions, Rdt};
use crate::parameters::Weights;

/// Largest share of variance added in one step.
const MAX_BETA: f64 = 0.999;

/// The cosine noise schedule (`squaredcos_cap_v2`).
#[derive(Debug)]
pub struct NoiseSchedule {
    betas: Tensor,
    /// (steps,) f32: the share of the clean signal's variance left after each step.
    alphas_cumprod: Tensor,
}

impl NoiseSchedule {
    /// Tables of `steps` training steps.
    ///
    /// # Errors
    /// The memory is not there.
    pub fn new(steps: i64, device: Device) -> Result<Self, TchError> {
        // f64, rounded to f32 once, as diffusers computes them.
        let level = |u: f64| {
            let cosine = ((u + 0.008) / 1.008 * std::f64::consts::PI / 2.0).cos();
            cosine * cosine
        };
        let beta = |i: i64| {
            let (from, to) = (i as f64 / steps as f64, (i + 1) as f64 / steps as f64);
            (1.0 - level(to) / level(from)).min(MAX_BETA) as f32
        };
        let betas = Tensor::f_from_slice(&(0..steps).map(beta).collect::<Vec<_>>())?;
        let alphas_cumprod = betas.f_neg()?.f_add_scalar(1.0)?.f_cumprod(0, None::<Kind>)?;
        Ok(Self { betas, alphas_cumprod: alphas_cumprod.f_to_device(device)? })
    }

    /// Number of training steps.
    pub fn steps(&self) -> i64 {
        self.alphas_cumprod.size().first().copied().unwrap_or(0)
    }

    /// Share of variance added in each step, (steps,) f32, on the CPU.
    pub fn betas(&self) -> &Tensor {
        &self.betas
    }

    /// Share of the clean signal's variance left after each step, (steps,) f32.
    pub fn alphas_cumprod(&self) -> &Tensor {
        &self.alphas_cumprod
    }

    /// Rows (B, N, D) with noise of the same shape, at timesteps (B,).
    ///
    /// # Errors
    /// Shapes do not fit, or the memory is not there.
    pub fn add_noise(&self, rows: &Tensor, noise: &Tensor, timesteps: &Tensor) -> Result<Tensor, TchError> {
        let kept = self.alphas_cumprod.f_index_select(0, timesteps)?.f_view([-1, 1, 1])?;
        let signal = kept.f_sqrt()?;
        let spread = kept.f_neg()?.f_add_scalar(1.0)?.f_sqrt()?;
        signal.f_mul(rows)?.f_add(&spread.f_mul(noise)?)
    }
}

/// What the loss of a batch is computed from, all on the device of the weights.
#[derive(Debug)]
pub struct Draw<'a> {
    /// What the prediction rests on.
    pub conditions: &'a Conditions,
    /// (B, horizon, state_dim) f32: the clean actions.
    pub actions: &'a Tensor,
    /// The same shape, f32.
    pub noise: &'a Tensor,
    /// (B,) int64.
    pub timesteps: &'a Tensor,
}

impl Draw<'_> {
    /// State and noisy action rows (B, horizon + 1, state_dim).
    ///
    /// # Errors
    /// Shapes do not fit, or the memory is not there.
    pub fn rows(&self, schedule: &NoiseSchedule) -> Result<Tensor, TchError> {
        let noisy = schedule.add_noise(self.actions, self.noise, self.timesteps)?;
        Tensor::f_cat(&[&self.conditions.state, &noisy], 1)
    }

    /// Mean squared error of the predicted clean actions.
    ///
    /// # Errors
    /// Shapes do not fit, or the memory is not there.
    pub fn error(&self, predicted: &Tensor) -> Result<Tensor, TchError> {
        predicted.f_to_kind(Kind::Float)?.f_mse_loss(self.actions, Reduction::Mean)
    }
}

/// Mean squared error of the predicted clean actions, with its graph.
///
/// # Errors
/// Shapes do not fit, or the memory is not there.
pub fn loss(
    network: &Rdt,
    weights: &Weights,
    schedule: &NoiseSchedule,
    draw: &Draw<'_>,
) -> Result<Tensor, TchError> {
    let conditions = draw.conditions;
    let tokens = network.adapt_rows(weights, &draw.rows(schedule)?, &conditions.mask)?;
    let adapted = network.adapt(weights, conditions)?;
    let usable = conditions.language_usable.as_ref();
    let predicted =
        network.forward(weights, &tokens, &conditions.control_freq, draw.timesteps, &adapted, usable)?;
    draw.error(&predicted)
}
