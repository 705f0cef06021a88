//! The parameters of a network that is trained: one flat f32 buffer that takes gradients.

use rdt_model::parameters::{ParameterLayout, Weights};
use tch::{Device, Kind, TchError, Tensor};

/// The parameters of a network: a layout and one flat f32 buffer that takes gradients.
#[derive(Debug)]
pub struct FlatParameters {
    layout: ParameterLayout,
    flat: Tensor,
}

impl FlatParameters {
    /// Freshly initialised parameters.
    ///
    /// # Errors
    /// The memory is not there.
    pub fn initial(layout: ParameterLayout, seed: u64, device: Device) -> Result<Self, TchError> {
        let flat = layout.initial_values(seed, device)?.f_set_requires_grad(true)?;
        Ok(Self { layout, flat })
    }

    /// Names, shapes and places.
    pub fn layout(&self) -> &ParameterLayout {
        &self.layout
    }

    /// The whole buffer, the leaf that gradients are taken of. Change it inside
    /// [`tch::no_grad`] only.
    pub fn flat(&self) -> &Tensor {
        &self.flat
    }

    /// The parameters for a forward pass, cast to `kind`, tracked for the backward pass
    /// unless inside [`tch::no_grad`].
    ///
    /// # Errors
    /// The memory is not there.
    pub fn weights(&self, kind: Kind) -> Result<Weights, TchError> {
        Weights::split(&self.layout, &self.flat, kind)
    }

    /// Gradient of `loss` as one flat f32 buffer, and frees the graph. Without keeping what the
    /// backward pass needs: [`crate::parameters::recompute`].
    ///
    /// # Errors
    /// `loss` does not depend on these parameters, or the memory is not there.
    pub fn gradient(&self, loss: &Tensor) -> Result<Tensor, TchError> {
        let mut gradients = Tensor::f_run_backward(&[loss], &[&self.flat], false, false)?;
        gradients.pop().ok_or_else(|| TchError::Shape("the backward pass returned no gradient".into()))
    }
}
