//! A scalar (diffusion timestep, control frequency) as a token.

use std::cell::RefCell;

use tch::{Device, Kind, TchError, Tensor};

use crate::network::linear::{Linear, LinearInit};
use crate::parameters::{ParameterLayout, Weights};

/// Width of the sinusoidal code.
const CODE_WIDTH: i64 = 256;
/// Longest period, over 2 pi.
const LONGEST_PERIOD: f64 = 10_000.0;

/// Sinusoidal code, then a small network.
#[derive(Debug)]
pub struct ScalarEmbedder {
    first: Linear,
    second: Linear,
    /// Of the device that was computed on last.
    frequencies: RefCell<Option<Tensor>>,
}

impl ScalarEmbedder {
    /// Appends `<name>.mlp.0` and `<name>.mlp.2` to the layout.
    pub fn new(layout: &mut ParameterLayout, name: &str, hidden: i64) -> Self {
        let first = Linear::new(layout, &format!("{name}.mlp.0"), CODE_WIDTH, hidden, LinearInit::Small);
        let second = Linear::new(layout, &format!("{name}.mlp.2"), hidden, hidden, LinearInit::Small);
        Self { first, second, frequencies: RefCell::new(None) }
    }

    /// Scalars (B,) of any kind, fractions allowed -> (B, hidden).
    ///
    /// # Errors
    /// Shapes do not fit, or the memory is not there.
    pub fn forward(&self, weights: &Weights, scalars: &Tensor) -> Result<Tensor, TchError> {
        let mut kept = self.frequencies.borrow_mut();
        let frequencies = match kept.take() {
            Some(frequencies) if frequencies.device() == scalars.device() => frequencies,
            _ => frequencies(scalars.device())?,
        };
        let code = sinusoid(scalars, &frequencies)?.f_to_kind(weights.kind())?;
        *kept = Some(frequencies);
        self.second.forward(weights, &self.first.forward(weights, &code)?.f_silu()?)
    }
}

/// (128,) f32, computed on the CPU and then moved: exp differs between devices in the last digit.
fn frequencies(device: Device) -> Result<Tensor, TchError> {
    let half = CODE_WIDTH / 2;
    Tensor::f_arange(half, (Kind::Float, Device::Cpu))?
        .f_mul_scalar(-LONGEST_PERIOD.ln())?
        .f_div_scalar(half as f64)?
        .f_exp()?
        .f_to_device(device)
}

/// Scalars (B,) -> (B, 256): cosines, then sines, in f32 whatever the network computes in.
fn sinusoid(scalars: &Tensor, frequencies: &Tensor) -> Result<Tensor, TchError> {
    let angles = scalars.f_to_kind(Kind::Float)?.f_unsqueeze(1)?.f_mul(frequencies)?;
    Tensor::f_cat(&[angles.f_cos()?, angles.f_sin()?], 1)
}
