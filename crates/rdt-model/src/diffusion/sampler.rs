//! DPM-Solver++ (2M, midpoint, data prediction): from noise to actions in a few steps.
//!
//! Lu et al., "DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic
//! Models", 2022, in the form that RDT's library computes it: in f32, timesteps linearly
//! spaced, the last step to zero noise and of first order.

use tch::{Kind, TchError, Tensor};

use crate::diffusion::NoiseSchedule;
use crate::network::{Conditions, Rdt};
use crate::parameters::Weights;

/// The timesteps of a run and their noise levels.
#[derive(Debug, Clone, PartialEq)]
pub struct DpmSolver {
    timesteps: Vec<i64>,
    /// One more than timesteps; the last is 0.
    sigmas: Vec<f32>,
}

/// Weights of a noise level: of the clean signal, of the noise, half the log of their ratio squared.
#[derive(Clone, Copy)]
struct Level {
    alpha: f32,
    sigma: f32,
    lambda: f32,
}

impl Level {
    fn of(sigma: f32) -> Self {
        let alpha = 1.0 / (sigma * sigma + 1.0).sqrt();
        let sigma = sigma * alpha;
        Self { alpha, sigma, lambda: alpha.ln() - sigma.ln() }
    }
}

impl DpmSolver {
    /// A run of `steps` steps, at least 1.
    ///
    /// # Errors
    /// libtorch cannot read the schedule back.
    pub fn new(schedule: &NoiseSchedule, steps: i64) -> Result<Self, TchError> {
        let kept = Vec::<f32>::try_from(&schedule.alphas_cumprod().f_to_device(tch::Device::Cpu)?)?;
        let last = (schedule.steps() - 1) as f64;
        // numpy.linspace(0, last, steps + 1) rounded to even, backwards, without the 0.
        let spacing = last / steps as f64;
        let place = |i: i64| if i == steps { last } else { i as f64 * spacing };
        let timesteps: Vec<i64> = (1..=steps).rev().map(|i| place(i).round_ties_even() as i64).collect();
        let level = |&t: &i64| {
            let kept = kept[t as usize];
            ((1.0 - kept) / kept).sqrt()
        };
        let sigmas = timesteps.iter().map(level).chain([0.0]).collect();
        Ok(Self { timesteps, sigmas })
    }

    /// Training timesteps that the network is asked at, in order.
    pub fn timesteps(&self) -> &[i64] {
        &self.timesteps
    }

    /// Noise levels, one more than timesteps.
    pub fn sigmas(&self) -> &[f32] {
        &self.sigmas
    }

    /// Step `i`: from the actions `x`, the clean ones predicted there and, from the second
    /// step on, those predicted one step before, to the actions of the next noise level.
    ///
    /// # Errors
    /// Shapes do not fit, or the memory is not there.
    pub fn step(
        &self,
        i: usize,
        x: &Tensor,
        predicted: &Tensor,
        predicted_before: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        let (here, next) = (Level::of(self.sigmas[i]), Level::of(self.sigmas[i + 1]));
        let h = next.lambda - here.lambda;
        let keep = next.sigma / here.sigma;
        let gain = next.alpha * ((-h).exp() - 1.0);
        let first_order =
            x.f_mul_scalar(f64::from(keep))?.f_sub(&predicted.f_mul_scalar(f64::from(gain))?)?;
        let is_last = i + 1 == self.timesteps.len();
        match predicted_before {
            Some(before) if i > 0 && !is_last => {
                let r = (here.lambda - Level::of(self.sigmas[i - 1]).lambda) / h;
                let slope = predicted.f_sub(before)?.f_mul_scalar(f64::from(1.0 / r))?;
                first_order.f_sub(&slope.f_mul_scalar(f64::from(0.5 * gain))?)
            }
            _ => Ok(first_order),
        }
    }
}

/// Predicted actions (B, horizon, state_dim), zero where the mask is; `start` is standard
/// normal noise of that shape.
///
/// # Errors
/// Shapes do not fit, or the memory is not there.
pub fn sample(
    network: &Rdt,
    weights: &Weights,
    solver: &DpmSolver,
    conditions: &Conditions,
    start: &Tensor,
) -> Result<Tensor, TchError> {
    let adapted = network.adapt(weights, conditions)?;
    let state = network.adapt_rows(weights, &conditions.state, &conditions.mask)?;
    let usable = conditions.language_usable.as_ref();
    let mut x = start.shallow_clone();
    let mut before: Option<Tensor> = None;
    for (i, &t) in solver.timesteps().iter().enumerate() {
        let actions = network.adapt_rows(weights, &x, &conditions.mask)?;
        let tokens = Tensor::f_cat(&[&state, &actions], 1)?;
        let timestep = Tensor::f_full([1], t, (Kind::Int64, x.device()))?;
        let predicted = network
            .forward(weights, &tokens, &conditions.control_freq, &timestep, &adapted, usable)?
            .f_to_kind(Kind::Float)?;
        x = solver.step(i, &x, &predicted, before.as_ref())?;
        before = Some(predicted);
    }
    x.f_mul(&conditions.mask)
}
