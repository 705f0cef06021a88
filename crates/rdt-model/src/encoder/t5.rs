//! The encoder of T5 v1.1: token ids to states.
//!
//! What `transformers` 4.41 computes as `T5EncoderModel(...).last_hidden_state`: norms
//! without centring, attention without scale, with a bias for the distance between two
//! tokens that all layers share, and a gated feed-forward network. Text to ids is
//! [`super::tokenizer`]'s.

use std::path::Path;

use serde::Deserialize;
use tch::{Device, Kind, TchError, Tensor};

use super::hugging_face::{self, FrozenTensors, ModelFolder, TensorId, TensorList};
use super::layers::{Linear, check_kind, config_error, merge_heads, split_heads};
use crate::error::ModelError;

/// Tensors of a published T5 that the encoder does not use. `shared` and
/// `encoder.embed_tokens` are one table under two names; a file may hold either or both.
const UNUSED: [&str; 4] = ["decoder.", "lm_head.", "shared.weight", "encoder.embed_tokens.weight"];

/// The sizes in `config.json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct T5Config {
    /// Rows of the table of tokens; at least the tokenizer's number of tokens.
    pub vocab_size: i64,
    /// Width of a state.
    pub d_model: i64,
    /// Width of a head.
    pub d_kv: i64,
    /// Width inside the feed-forward network.
    pub d_ff: i64,
    /// Layers of the encoder.
    pub num_layers: usize,
    /// Heads of the attention; not tied to `d_model`.
    pub num_heads: i64,
    /// Classes of distances, half for each direction.
    pub relative_attention_num_buckets: i64,
    /// From this distance on all are one class.
    pub relative_attention_max_distance: i64,
    /// Added to the mean square.
    pub layer_norm_epsilon: f64,
    /// Form of the feed-forward network.
    pub feed_forward_proj: String,
}

impl Default for T5Config {
    /// What a `config.json` leaves out; the defaults of `transformers`.
    fn default() -> Self {
        Self {
            vocab_size: 32128,
            d_model: 512,
            d_kv: 64,
            d_ff: 2048,
            num_layers: 6,
            num_heads: 8,
            relative_attention_num_buckets: 32,
            relative_attention_max_distance: 128,
            layer_norm_epsilon: 1e-6,
            feed_forward_proj: "relu".into(),
        }
    }
}

impl T5Config {
    /// Reads `config.json`.
    ///
    /// # Errors
    /// The file cannot be read, or is not of a T5 v1.1.
    pub fn read(folder: &Path) -> Result<Self, ModelError> {
        let json = hugging_face::read_config(folder)?;
        let model = json.get("model_type").and_then(|value| value.as_str()).unwrap_or_default();
        if model != "t5" {
            return Err(config_error(folder, "model_type", model, "t5"));
        }
        let config: Self = serde_json::from_value(json)
            .map_err(|error| config_error(folder, "the model", error, "the settings of a T5Config"))?;
        config.check(folder)?;
        Ok(config)
    }

    fn check(&self, folder: &Path) -> Result<(), ModelError> {
        let sizes = [
            ("vocab_size", self.vocab_size),
            ("d_model", self.d_model),
            ("d_kv", self.d_kv),
            ("d_ff", self.d_ff),
            ("num_heads", self.num_heads),
        ];
        for (name, size) in sizes {
            if size < 1 {
                return Err(config_error(folder, name, size, "a positive number"));
            }
        }
        let (buckets, distance) = (self.relative_attention_num_buckets, self.relative_attention_max_distance);
        if buckets < 4 || buckets % 2 != 0 {
            return Err(config_error(
                folder,
                "relative_attention_num_buckets",
                buckets,
                "an even number from 4 on",
            ));
        }
        if distance <= buckets / 4 {
            let expected = format!("more than a quarter of the {buckets} relative_attention_num_buckets");
            return Err(config_error(folder, "relative_attention_max_distance", distance, &expected));
        }
        if self.feed_forward_proj != "gated-gelu" {
            return Err(config_error(
                folder,
                "feed_forward_proj",
                &self.feed_forward_proj,
                "gated-gelu; RDT uses T5 v1.1, e.g. google/t5-v1_1-xxl",
            ));
        }
        Ok(())
    }
}

/// The tensors that a folder of such a model must hold.
pub fn tensor_list(config: &T5Config) -> TensorList {
    Layout::new(config).list
}

/// Names and uses of the encoder's tensors.
#[derive(Debug)]
struct Layout {
    list: TensorList,
    table: TensorId,
    distance_bias: Option<TensorId>,
    layers: Vec<Layer>,
    final_norm: RmsNorm,
}

#[derive(Debug)]
struct Layer {
    norm1: RmsNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    norm2: RmsNorm,
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl Layout {
    fn new(config: &T5Config) -> Self {
        let mut list = TensorList::default();
        let (width, inner) = (config.d_model, config.num_heads * config.d_kv);
        let norm =
            |list: &mut TensorList, name: String| RmsNorm::new(list, &name, width, config.layer_norm_epsilon);
        let table = ["shared.weight".into(), "encoder.embed_tokens.weight".into()];
        let table = list.want_any(table, &[config.vocab_size, width]);
        let mut distance_bias = None;
        let layers = (0..config.num_layers)
            .map(|i| {
                let (attention, feed) =
                    (format!("encoder.block.{i}.layer.0"), format!("encoder.block.{i}.layer.1"));
                let linear = |list: &mut TensorList, name: &str, inputs, outputs| {
                    Linear::new(list, name, inputs, outputs, false)
                };
                let layer = Layer {
                    query: linear(&mut list, &format!("{attention}.SelfAttention.q"), width, inner),
                    key: linear(&mut list, &format!("{attention}.SelfAttention.k"), width, inner),
                    value: linear(&mut list, &format!("{attention}.SelfAttention.v"), width, inner),
                    out: linear(&mut list, &format!("{attention}.SelfAttention.o"), inner, width),
                    norm1: norm(&mut list, format!("{attention}.layer_norm")),
                    gate: linear(&mut list, &format!("{feed}.DenseReluDense.wi_0"), width, config.d_ff),
                    up: linear(&mut list, &format!("{feed}.DenseReluDense.wi_1"), width, config.d_ff),
                    down: linear(&mut list, &format!("{feed}.DenseReluDense.wo"), config.d_ff, width),
                    norm2: norm(&mut list, format!("{feed}.layer_norm")),
                };
                if i == 0 {
                    let shape = [config.relative_attention_num_buckets, config.num_heads];
                    let name = format!("{attention}.SelfAttention.relative_attention_bias.weight");
                    distance_bias = Some(list.want(name, &shape));
                }
                layer
            })
            .collect();
        let final_norm = norm(&mut list, "encoder.final_layer_norm".into());
        Self { list, table, distance_bias, layers, final_norm }
    }
}

/// Scaled to unit mean square, not centred; no bias. Computed in f32 whatever the kind.
#[derive(Debug)]
struct RmsNorm {
    weight: TensorId,
    epsilon: f64,
}

impl RmsNorm {
    fn new(list: &mut TensorList, name: &str, width: i64, epsilon: f64) -> Self {
        Self { weight: list.want(format!("{name}.weight"), &[width]), epsilon }
    }

    fn forward(&self, tensors: &FrozenTensors, x: &Tensor) -> Result<Tensor, TchError> {
        let weight = tensors.get(self.weight);
        let square = x.f_to_kind(Kind::Float)?.f_square()?;
        let scale = square.f_mean_dim([-1].as_slice(), true, None)?.f_add_scalar(self.epsilon)?.f_rsqrt()?;
        x.f_mul(&scale)?.f_to_kind(weight.f_kind()?)?.f_mul(weight)
    }
}

/// A frozen encoder.
#[derive(Debug)]
pub struct T5Encoder {
    config: T5Config,
    layout: Layout,
    tensors: FrozenTensors,
    device: Device,
    kind: Kind,
}

impl T5Encoder {
    /// Loads a Hugging Face folder of T5 v1.1, whole or its encoder alone, to compute on
    /// `device` in `kind` (f32 or bf16).
    ///
    /// # Errors
    /// A file cannot be read, is of another model, or the tensors are not those of the
    /// configuration; or the memory is not there.
    pub fn open(folder: &Path, device: Device, kind: Kind) -> Result<Self, ModelError> {
        check_kind(kind)?;
        let config = T5Config::read(folder)?;
        let layout = Layout::new(&config);
        let tensors = ModelFolder::open(folder)?.load(&layout.list, &UNUSED, device, kind)?;
        Ok(Self { config, layout, tensors, device, kind })
    }

    /// The sizes it was made with.
    pub fn config(&self) -> &T5Config {
        &self.config
    }

    /// Token ids (B, L) -> states (B, L, d_model) on the encoder's device and of its kind.
    /// Where `usable` (B, L) bool is false, the token is not attended to (its own state means
    /// nothing); without `usable` every token is.
    ///
    /// # Errors
    /// An id is not in the table, shapes do not fit, or the memory is not there.
    pub fn forward(&self, ids: &Tensor, usable: Option<&Tensor>) -> Result<Tensor, TchError> {
        tch::no_grad(|| {
            let (layout, tensors) = (&self.layout, &self.tensors);
            let ids = ids.f_to_device(self.device)?;
            let bias = self.attention_bias(ids.size2()?.1, usable)?;
            let mut x = Tensor::f_embedding(tensors.get(layout.table), &ids, -1, false, false)?;
            for layer in &layout.layers {
                x = x.f_add(&self.attend(layer, &layer.norm1.forward(tensors, &x)?, bias.as_ref())?)?;
                let normed = layer.norm2.forward(tensors, &x)?;
                let gate = gelu_new(&layer.gate.forward(tensors, &normed)?)?;
                let inner = gate.f_mul(&layer.up.forward(tensors, &normed)?)?;
                x = x.f_add(&layer.down.forward(tensors, &inner)?)?;
            }
            layout.final_norm.forward(tensors, &x)
        })
    }

    fn attend(&self, layer: &Layer, x: &Tensor, bias: Option<&Tensor>) -> Result<Tensor, TchError> {
        let [query, key, value] = [&layer.query, &layer.key, &layer.value]
            .map(|linear| split_heads(&linear.forward(&self.tensors, x)?, self.config.num_heads));
        // The steps of `transformers` and not the fused product, whose exponential is an
        // approximation: instructions are short, so there is little to win. The scale is part of T5's weights.
        let mut scores = query?.f_matmul(&key?.f_transpose(2, 3)?)?;
        if let Some(bias) = bias {
            scores = scores.f_add(bias)?;
        }
        let weights = scores.f_softmax(-1, Kind::Float)?.f_to_kind(self.kind)?;
        let out = weights.f_matmul(&value?)?;
        layer.out.forward(&self.tensors, &merge_heads(&out)?)
    }

    /// What is added to the scores: (1 or B, heads, L, L). `None` for an encoder of no layers.
    fn attention_bias(&self, length: i64, usable: Option<&Tensor>) -> Result<Option<Tensor>, TchError> {
        let Some(table) = self.layout.distance_bias else { return Ok(None) };
        let buckets = self.buckets(length)?;
        let bias = Tensor::f_embedding(self.tensors.get(table), &buckets, -1, false, false)?;
        let bias = bias.f_permute([2, 0, 1])?.f_unsqueeze(0)?;
        let Some(usable) = usable else { return Ok(Some(bias)) };
        let (batch, _) = usable.size2()?;
        let hidden = usable.f_to_device(self.device)?.f_logical_not()?.f_view([batch, 1, 1, length])?;
        // The lowest number and not -inf, so that a row without any usable token is no NaN.
        let lowest = if self.kind == Kind::BFloat16 { BF16_LOWEST } else { f64::from(f32::MIN) };
        let mask = Tensor::f_zeros([batch, 1, 1, length], (self.kind, self.device))?;
        Ok(Some(bias.f_add(&mask.f_masked_fill(&hidden, lowest)?)?))
    }

    /// Class of the distance from each token (row) to each token (column): (L, L). Later
    /// tokens take the upper half of the classes. In a half, short distances have a class
    /// each, longer ones share classes on a logarithmic scale.
    fn buckets(&self, length: i64) -> Result<Tensor, TchError> {
        let half = self.config.relative_attention_num_buckets / 2;
        let exact = half / 2;
        let position = Tensor::f_arange(length, (Kind::Int64, self.device))?;
        let ahead = position.f_unsqueeze(0)?.f_sub(&position.f_unsqueeze(1)?)?;
        let distance = ahead.f_abs()?;
        // In f32 and in this order, as a distance may lie exactly between two classes.
        let span = (self.config.relative_attention_max_distance as f64 / exact as f64).ln();
        let far = distance
            .f_to_kind(Kind::Float)?
            .f_div_scalar(exact)?
            .f_log()?
            .f_div_scalar(span)?
            .f_mul_scalar(half - exact)?
            .f_to_kind(Kind::Int64)?
            .f_add_scalar(exact)?
            .f_clamp_max(half - 1)?;
        let class = distance.f_where_self(&distance.f_lt(exact)?, &far)?;
        class.f_add(&ahead.f_gt(0)?.f_to_kind(Kind::Int64)?.f_mul_scalar(half)?)
    }
}

/// The tanh form of GELU, in the steps in which `transformers` computes it: in bf16 each of
/// them rounds.
fn gelu_new(x: &Tensor) -> Result<Tensor, TchError> {
    let cubic = x.f_pow_tensor_scalar(3.0)?.f_mul_scalar(0.044715)?.f_add(x)?;
    let tanh = cubic.f_mul_scalar((2.0 / std::f64::consts::PI).sqrt())?.f_tanh()?;
    x.f_mul_scalar(0.5)?.f_mul(&tanh.f_add_scalar(1.0)?)
}

/// Lowest finite bf16: all bits of exponent and fraction but the exponent's last.
const BF16_LOWEST: f64 = -3.389_531_389_251_535_5e38;
