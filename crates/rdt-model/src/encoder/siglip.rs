//! The vision tower of SigLIP: images to one token a patch.
//!
//! What `transformers` 4.41 computes as `SiglipVisionModel(...).last_hidden_state`, the
//! norm behind the last layer included and the pooling head not: the tokens that RDT
//! conditions on. The patches at the right and lower edge are dropped where the image is no
//! multiple of the patch (384 = 27 x 14 + 6).
//!
//! Images come normalised; resizing and normalising them is the loader's.

use std::path::Path;

use serde::Deserialize;
use tch::{Device, Kind, TchError, Tensor};

use super::hugging_face::{self, FrozenTensors, ModelFolder, TensorId, TensorList};
use super::image::ImageEncoder;
use super::layers::{LayerNorm, Linear, check_kind, config_error, merge_heads, split_heads};
use crate::error::ModelError;

/// Tensors of a published SigLIP that the tokens do not depend on.
const UNUSED: [&str; 5] = [
    "text_model.",
    "logit_scale",
    "logit_bias",
    "vision_model.head.",
    // The numbers 0, 1, 2, ...: in files of older versions.
    "vision_model.embeddings.position_ids",
];

/// The sizes in `config.json`, those of the vision tower alone.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct SiglipConfig {
    /// Width of a token.
    pub hidden_size: i64,
    /// Width inside the feed-forward network.
    pub intermediate_size: i64,
    /// Number of layers.
    pub num_hidden_layers: usize,
    /// Heads of the attention; they share `hidden_size`.
    pub num_attention_heads: i64,
    /// Colours of an image.
    pub num_channels: i64,
    /// Pixels along one side of an image.
    pub image_size: i64,
    /// Pixels along one side of a patch.
    pub patch_size: i64,
    /// Name of the activation function.
    pub hidden_act: String,
    /// Added to the variance.
    pub layer_norm_eps: f64,
}

impl Default for SiglipConfig {
    /// What a `config.json` leaves out; the defaults of `transformers`.
    fn default() -> Self {
        Self {
            hidden_size: 768,
            intermediate_size: 3072,
            num_hidden_layers: 12,
            num_attention_heads: 12,
            num_channels: 3,
            image_size: 224,
            patch_size: 16,
            hidden_act: "gelu_pytorch_tanh".into(),
            layer_norm_eps: 1e-6,
        }
    }
}

impl SiglipConfig {
    /// Reads `config.json` of the vision tower or of the whole SigLIP.
    ///
    /// # Errors
    /// The file cannot be read, or is of another model.
    pub fn read(folder: &Path) -> Result<Self, ModelError> {
        let whole = hugging_face::read_config(folder)?;
        let model = whole.get("model_type").and_then(|value| value.as_str()).unwrap_or_default();
        let tower = match model {
            "siglip" => whole.get("vision_config").cloned().unwrap_or_else(|| serde_json::json!({})),
            "siglip_vision_model" => whole,
            other => return Err(config_error(folder, "model_type", other, "siglip or siglip_vision_model")),
        };
        let config: Self = serde_json::from_value(tower).map_err(|error| {
            config_error(folder, "the vision tower", error, "the settings of a SiglipVisionConfig")
        })?;
        config.check(folder)?;
        Ok(config)
    }

    fn check(&self, folder: &Path) -> Result<(), ModelError> {
        let sizes = [
            ("hidden_size", self.hidden_size),
            ("intermediate_size", self.intermediate_size),
            ("num_attention_heads", self.num_attention_heads),
            ("num_channels", self.num_channels),
            ("patch_size", self.patch_size),
            ("image_size", self.image_size),
        ];
        for (name, size) in sizes {
            if size < 1 {
                return Err(config_error(folder, name, size, "a positive number"));
            }
        }
        if self.hidden_size % self.num_attention_heads != 0 {
            let expected = format!("a multiple of num_attention_heads {}", self.num_attention_heads);
            return Err(config_error(folder, "hidden_size", self.hidden_size, &expected));
        }
        if self.patch_size > self.image_size {
            let expected = format!("at most image_size {}", self.image_size);
            return Err(config_error(folder, "patch_size", self.patch_size, &expected));
        }
        if self.hidden_act != "gelu_pytorch_tanh" {
            return Err(config_error(folder, "hidden_act", &self.hidden_act, "gelu_pytorch_tanh"));
        }
        Ok(())
    }

    /// Tokens of an image.
    pub fn tokens(&self) -> i64 {
        (self.image_size / self.patch_size).pow(2)
    }
}

/// The tensors that a folder of such a model must hold.
pub fn tensor_list(config: &SiglipConfig) -> TensorList {
    Layout::new(config).list
}

/// Names and uses of the tower's tensors.
#[derive(Debug)]
struct Layout {
    list: TensorList,
    patch_weight: TensorId,
    patch_bias: TensorId,
    position: TensorId,
    layers: Vec<Layer>,
    post_norm: LayerNorm,
}

#[derive(Debug)]
struct Layer {
    norm1: LayerNorm,
    query: Linear,
    key: Linear,
    value: Linear,
    out: Linear,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
}

impl Layout {
    fn new(config: &SiglipConfig) -> Self {
        let mut list = TensorList::default();
        let (width, inner, patch) = (config.hidden_size, config.intermediate_size, config.patch_size);
        let root = "vision_model";
        let embedding = format!("{root}.embeddings.patch_embedding");
        Self {
            patch_weight: list
                .want(format!("{embedding}.weight"), &[width, config.num_channels, patch, patch]),
            patch_bias: list.want(format!("{embedding}.bias"), &[width]),
            position: list
                .want(format!("{root}.embeddings.position_embedding.weight"), &[config.tokens(), width]),
            layers: (0..config.num_hidden_layers)
                .map(|i| {
                    let name = format!("{root}.encoder.layers.{i}");
                    let list = &mut list;
                    Layer {
                        norm1: LayerNorm::new(
                            list,
                            &format!("{name}.layer_norm1"),
                            width,
                            config.layer_norm_eps,
                        ),
                        query: Linear::new(list, &format!("{name}.self_attn.q_proj"), width, width, true),
                        key: Linear::new(list, &format!("{name}.self_attn.k_proj"), width, width, true),
                        value: Linear::new(list, &format!("{name}.self_attn.v_proj"), width, width, true),
                        out: Linear::new(list, &format!("{name}.self_attn.out_proj"), width, width, true),
                        norm2: LayerNorm::new(
                            list,
                            &format!("{name}.layer_norm2"),
                            width,
                            config.layer_norm_eps,
                        ),
                        fc1: Linear::new(list, &format!("{name}.mlp.fc1"), width, inner, true),
                        fc2: Linear::new(list, &format!("{name}.mlp.fc2"), inner, width, true),
                    }
                })
                .collect(),
            post_norm: LayerNorm::new(
                &mut list,
                &format!("{root}.post_layernorm"),
                width,
                config.layer_norm_eps,
            ),
            list,
        }
    }
}

/// A frozen vision tower.
#[derive(Debug)]
pub struct SiglipVisionTower {
    config: SiglipConfig,
    layout: Layout,
    tensors: FrozenTensors,
    device: Device,
    kind: Kind,
}

impl SiglipVisionTower {
    /// Loads a Hugging Face folder of SigLIP, whole or its vision tower alone, to compute on
    /// `device` in `kind` (f32 or bf16).
    ///
    /// # Errors
    /// A file cannot be read, is of another model, or the tensors are not those of the
    /// configuration; or the memory is not there.
    pub fn open(folder: &Path, device: Device, kind: Kind) -> Result<Self, ModelError> {
        check_kind(kind)?;
        let config = SiglipConfig::read(folder)?;
        let layout = Layout::new(&config);
        let tensors = ModelFolder::open(folder)?.load(&layout.list, &UNUSED, device, kind)?;
        Ok(Self { config, layout, tensors, device, kind })
    }

    /// The sizes it was made with.
    pub fn config(&self) -> &SiglipConfig {
        &self.config
    }

    fn forward(&self, images: &Tensor) -> Result<Tensor, TchError> {
        let (layout, tensors) = (&self.layout, &self.tensors);
        let (weight, bias) = (tensors.get(layout.patch_weight), tensors.get(layout.patch_bias));
        let stride = [self.config.patch_size; 2];
        let images = images.f_to_device(self.device)?.f_to_kind(self.kind)?;
        let patches = images.f_conv2d(weight, Some(bias), stride, [0, 0], [1, 1], 1)?;
        let mut x = patches.f_flatten(2, -1)?.f_transpose(1, 2)?.f_add(tensors.get(layout.position))?;
        for layer in &layout.layers {
            x = x.f_add(&self.attend(layer, &layer.norm1.forward(tensors, &x)?)?)?;
            let inner = layer.fc1.forward(tensors, &layer.norm2.forward(tensors, &x)?)?.f_gelu("tanh")?;
            x = x.f_add(&layer.fc2.forward(tensors, &inner)?)?;
        }
        layout.post_norm.forward(tensors, &x)
    }

    fn attend(&self, layer: &Layer, x: &Tensor) -> Result<Tensor, TchError> {
        let heads = self.config.num_attention_heads;
        let [query, key, value] = [&layer.query, &layer.key, &layer.value]
            .map(|linear| split_heads(&linear.forward(&self.tensors, x)?, heads));
        let (query, key, value) = (query?, key?, value?);
        let out = Tensor::f_scaled_dot_product_attention::<&Tensor>(
            &query, &key, &value, None, 0.0, false, None, false,
        )?;
        layer.out.forward(&self.tensors, &merge_heads(&out)?)
    }
}

impl ImageEncoder for SiglipVisionTower {
    fn width(&self) -> i64 {
        self.config.hidden_size
    }

    fn tokens(&self) -> i64 {
        self.config.tokens()
    }

    /// The tokens run row by row over the image.
    fn encode(&self, images: &Tensor) -> Result<Tensor, ModelError> {
        let (side, channels) = (self.config.image_size, self.config.num_channels);
        let size = images.size();
        if size.len() != 4 || size[1..] != [channels, side, side] {
            return Err(ModelError::Setting {
                what: "the size of the images for SigLIP".into(),
                found: format!("{size:?}"),
                expected: format!("[N, {channels}, {side}, {side}]; let the loader resize them to {side}"),
            });
        }
        Ok(tch::no_grad(|| self.forward(images))?)
    }

    fn describe(&self) -> String {
        let config = &self.config;
        let (layers, width, side) = (config.num_hidden_layers, config.hidden_size, config.image_size);
        format!(
            "SigLIP vision tower: {layers} layers, width {width}, {side} x {side} pixels, {:?}",
            self.kind
        )
    }
}
