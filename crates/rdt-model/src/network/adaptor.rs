//! Adaptors bring language, image and state tokens to the width of the network.

use tch::{TchError, Tensor};

use crate::error::ModelError;
use crate::network::linear::{Linear, LinearInit};
use crate::parameters::{ParameterLayout, Weights};

/// RDT's `linear` or `mlpNx_gelu`: N linear maps with tanh-approximated GELUs between them.
#[derive(Debug)]
pub struct Adaptor {
    layers: Vec<Linear>,
}

impl Adaptor {
    /// Appends `<name>.0`, `<name>.2`, ... (`<name>` itself for `linear`) to the layout.
    ///
    /// # Errors
    /// `kind` is neither `linear` nor `mlpNx_gelu` with N from 1 on.
    pub fn new(
        layout: &mut ParameterLayout,
        name: &str,
        kind: &str,
        inputs: i64,
        hidden: i64,
    ) -> Result<Self, ModelError> {
        let mut linear = |name: &str, inputs| Linear::new(layout, name, inputs, hidden, LinearInit::PyTorch);
        if kind == "linear" {
            return Ok(Self { layers: vec![linear(name, inputs)] });
        }
        let depth = kind.strip_prefix("mlp").and_then(|rest| rest.strip_suffix("x_gelu"));
        let Some(depth) = depth.and_then(|digits| digits.parse().ok()).filter(|&n: &usize| n > 0) else {
            return Err(ModelError::Setting {
                what: format!("model.{name}"),
                found: kind.to_owned(),
                expected: "linear or mlpNx_gelu with a number N, e.g. mlp2x_gelu".into(),
            });
        };
        // The GELUs take the odd numbers in RDT's names.
        let layers = (0..depth)
            .map(|i| linear(&format!("{name}.{}", 2 * i), if i == 0 { inputs } else { hidden }))
            .collect();
        Ok(Self { layers })
    }

    /// (..., inputs) -> (..., hidden).
    ///
    /// # Errors
    /// Shapes do not fit, or the memory is not there.
    pub fn forward(&self, weights: &Weights, x: &Tensor) -> Result<Tensor, TchError> {
        let mut x = x.shallow_clone();
        for (i, layer) in self.layers.iter().enumerate() {
            if i > 0 {
                x = x.f_gelu("tanh")?;
            }
            x = layer.forward(weights, &x)?;
        }
        Ok(x)
    }
}
