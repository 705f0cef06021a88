//! What the frozen encoders are made of, over a [`TensorList`].

use std::fmt::Display;
use std::path::Path;

use rdt_schema::Setting;
use tch::{Kind, TchError, Tensor};

use super::hugging_face::{FrozenTensors, TensorId, TensorList};
use crate::error::ModelError;

/// `x W^T + b`, the bias where there is one.
#[derive(Debug)]
pub(super) struct Linear {
    weight: TensorId,
    bias: Option<TensorId>,
}

impl Linear {
    /// Wants `<name>.weight` (outputs, inputs) and, if it is biased, `<name>.bias`.
    pub(super) fn new(list: &mut TensorList, name: &str, inputs: i64, outputs: i64, is_biased: bool) -> Self {
        let weight = list.want(format!("{name}.weight"), &[outputs, inputs]);
        let bias = is_biased.then(|| list.want(format!("{name}.bias"), &[outputs]));
        Self { weight, bias }
    }

    /// (..., inputs) -> (..., outputs).
    pub(super) fn forward(&self, tensors: &FrozenTensors, x: &Tensor) -> Result<Tensor, TchError> {
        x.f_linear(tensors.get(self.weight), self.bias.map(|bias| tensors.get(bias)))
    }
}

/// Centred and scaled to unit variance over the last dimension, with weight and bias.
#[derive(Debug)]
pub(super) struct LayerNorm {
    weight: TensorId,
    bias: TensorId,
    width: i64,
    epsilon: f64,
}

impl LayerNorm {
    /// Wants `<name>.weight` and `<name>.bias`, both of `width`.
    pub(super) fn new(list: &mut TensorList, name: &str, width: i64, epsilon: f64) -> Self {
        let weight = list.want(format!("{name}.weight"), &[width]);
        let bias = list.want(format!("{name}.bias"), &[width]);
        Self { weight, bias, width, epsilon }
    }

    /// (..., width) -> (..., width).
    pub(super) fn forward(&self, tensors: &FrozenTensors, x: &Tensor) -> Result<Tensor, TchError> {
        let (weight, bias) = (tensors.get(self.weight), tensors.get(self.bias));
        x.f_layer_norm([self.width], Some(weight), Some(bias), self.epsilon, true)
    }
}

/// (B, N, heads * width) -> (B, heads, N, width).
pub(super) fn split_heads(x: &Tensor, heads: i64) -> Result<Tensor, TchError> {
    let (batch, tokens, width) = x.size3()?;
    x.f_view([batch, tokens, heads, width / heads])?.f_transpose(1, 2)
}

/// (B, heads, N, width) -> (B, N, heads * width).
pub(super) fn merge_heads(x: &Tensor) -> Result<Tensor, TchError> {
    let (batch, heads, tokens, width) = x.size4()?;
    x.f_transpose(1, 2)?.f_reshape([batch, tokens, heads * width])
}

/// The encoders compute in f32 or bf16: T5 overflows in f16.
pub(super) fn check_kind(kind: Kind) -> Result<(), ModelError> {
    if matches!(kind, Kind::Float | Kind::BFloat16) {
        return Ok(());
    }
    Err(ModelError::Setting {
        what: "the kind of number in which the encoders compute".into(),
        found: format!("{kind:?}"),
        expected: format!("f32 ({} no) or bf16", Setting::MIXED_PRECISION),
    })
}

/// A [`ModelError::Content`] about a setting in a folder's `config.json`.
pub(super) fn config_error(folder: &Path, setting: &str, found: impl Display, expected: &str) -> ModelError {
    ModelError::Content {
        path: folder.join("config.json"),
        found: format!("{setting} is {found}"),
        expected: expected.into(),
    }
}
