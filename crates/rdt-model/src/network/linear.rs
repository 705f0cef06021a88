//! An affine map: a weight and a bias.

use tch::{TchError, Tensor};

use crate::parameters::{Init, ParameterId, ParameterLayout, Weights};

/// How a linear layer starts. Biases start at zero except in PyTorch's form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinearInit {
    /// Uniform with variance 2 / (inputs + outputs) (Glorot): the trunk.
    Xavier,
    /// PyTorch's own, weight and bias uniform within 1 / sqrt(inputs): the adaptors.
    PyTorch,
    /// Normal with standard deviation 0.02: the scalar embedders.
    Small,
    /// Zero: the last layer, so that the first prediction is zero.
    Zeros,
}

/// `x W^T + b`.
#[derive(Debug)]
pub struct Linear {
    weight: ParameterId,
    bias: ParameterId,
}

impl Linear {
    /// Appends `<name>.weight` (outputs, inputs) and `<name>.bias` to the layout.
    pub fn new(
        layout: &mut ParameterLayout,
        name: &str,
        inputs: i64,
        outputs: i64,
        init: LinearInit,
    ) -> Self {
        let bound = 1.0 / (inputs as f64).sqrt();
        let weight_init = match init {
            LinearInit::Xavier => Init::Uniform((6.0 / (inputs + outputs) as f64).sqrt()),
            LinearInit::PyTorch => Init::Uniform(bound),
            LinearInit::Small => Init::Normal(0.02),
            LinearInit::Zeros => Init::Zeros,
        };
        let bias_init = if init == LinearInit::PyTorch { Init::Uniform(bound) } else { Init::Zeros };
        Self {
            weight: layout.add(format!("{name}.weight"), &[outputs, inputs], weight_init),
            bias: layout.add(format!("{name}.bias"), &[outputs], bias_init),
        }
    }

    /// (..., inputs) -> (..., outputs).
    ///
    /// # Errors
    /// Shapes do not fit, or the memory is not there.
    pub fn forward(&self, weights: &Weights, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_linear(weights.get(self.weight), Some(weights.get(self.bias)))
    }
}
