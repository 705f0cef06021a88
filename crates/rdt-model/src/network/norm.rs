//! The one norm of the network, over the last dimension, in its two forms.
//!
//! timm's `RmsNorm` is not what its name says in the version that RDT pins: it divides by
//! the square root of the unbiased *variance* without centring the values. Newer versions
//! divide by the root mean square.

use rdt_schema::config::NormForm;
use tch::{TchError, Tensor};

use crate::parameters::{Init, ParameterId, ParameterLayout, Weights};

const EPSILON: f64 = 1e-6;

/// `x * rsqrt(spread(x) + 1e-6) * weight`.
#[derive(Debug)]
pub struct Norm {
    weight: ParameterId,
    form: NormForm,
}

impl Norm {
    /// Appends `<name>.weight` (width) to the layout.
    pub fn new(layout: &mut ParameterLayout, name: &str, width: i64, form: NormForm) -> Self {
        Self { weight: layout.add(format!("{name}.weight"), &[width], Init::Ones), form }
    }

    /// (..., width) -> (..., width).
    ///
    /// # Errors
    /// Shapes do not fit, or the memory is not there.
    pub fn forward(&self, weights: &Weights, x: &Tensor) -> Result<Tensor, TchError> {
        let spread = match self.form {
            NormForm::Variance => x.f_var_dim([-1i64].as_slice(), true, true)?,
            NormForm::MeanSquare => x.f_square()?.f_mean_dim([-1i64].as_slice(), true, None)?,
        };
        x.f_mul(&spread.f_add_scalar(EPSILON)?.f_rsqrt()?)?.f_mul(weights.get(self.weight))
    }
}
