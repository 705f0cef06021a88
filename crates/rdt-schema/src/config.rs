//! RDT's `base.yaml`: window sizes, buffer geometry and the shape of the network.
//!
//! RDT's own file is read as it is. The keys that RDT does not have (`vision`, `language`,
//! `norm`) are optional and mean RDT's behaviour when absent.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::SchemaError;
use crate::state_vec::STATE_DIM;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Window sizes.
    pub common: CommonConfig,
    /// The buffer and the episode filter.
    pub dataset: DatasetConfig,
    /// The network.
    pub model: ModelConfig,
}

/// Sizes shared by data and network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommonConfig {
    /// Frames a camera contributes to a sample.
    pub img_history_size: u8,
    /// Action rows of a sample.
    pub action_chunk_size: u16,
    /// Cameras that the network sees: the first ones of the four slots.
    pub num_cameras: u8,
    /// Width of the unified vector: 128.
    pub state_dim: usize,
}

/// The buffer and the episode filter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetConfig {
    /// Where the buffer is; `--buffer` goes before it.
    #[serde(default)]
    pub buf_path: Option<PathBuf>,
    /// Chunks of a live buffer.
    pub buf_num_chunks: u32,
    /// Samples a chunk.
    pub buf_chunk_size: u32,
    /// Episodes with fewer steps are filtered out.
    pub epsd_len_thresh_low: u32,
    /// Of longer episodes, that many steps are drawn a pass. No effect on a fill.
    pub epsd_len_thresh_high: u32,
    /// How frames are made square; only `pad` is known.
    pub image_aspect_ratio: AspectRatio,
    /// Most language tokens.
    pub tokenizer_max_length: u32,
}

/// How frames are made square.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AspectRatio {
    /// Padded with the background colour.
    Pad,
}

/// The network, its conditions, scheduler and moving average.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Adaptor of language tokens, `mlpNx_gelu` or `linear`.
    pub lang_adaptor: String,
    /// Adaptor of image tokens.
    pub img_adaptor: String,
    /// Adaptor of state and action tokens.
    pub state_adaptor: String,
    /// Width of a language token.
    pub lang_token_dim: i64,
    /// Width of an image token.
    pub img_token_dim: i64,
    /// Width of a state token: 128.
    pub state_token_dim: i64,
    /// The transformer.
    pub rdt: RdtConfig,
    /// The diffusion process.
    pub noise_scheduler: NoiseSchedulerConfig,
    /// The moving average of the weights.
    pub ema: EmaConfig,
    /// The image encoder (ours; RDT: SigLIP so400m-patch14-384).
    #[serde(default)]
    pub vision: VisionConfig,
    /// The language encoder (ours; RDT: T5 v1.1 XXL).
    #[serde(default)]
    pub language: LanguageConfig,
}

/// The transformer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RdtConfig {
    /// Width.
    pub hidden_size: i64,
    /// Blocks.
    pub depth: i64,
    /// Attention heads.
    pub num_heads: i64,
    /// How conditions are placed; only `multimodal` is known.
    #[serde(default)]
    pub cond_pos_embed_type: CondPosEmbed,
    /// Which norm (ours; see `docs/decisions/`): RDT's pinned timm divides by the unbiased
    /// variance, newer ones by the mean square.
    #[serde(default)]
    pub norm: NormForm,
}

/// How conditions are placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CondPosEmbed {
    /// RDT's tables per modality.
    #[default]
    Multimodal,
}

/// What a norm divides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormForm {
    /// `x * rsqrt(var_unbiased(x) + 1e-6) * weight` (timm 1.0.3 without APEX).
    #[default]
    Variance,
    /// `x * rsqrt(mean(x^2) + 1e-6) * weight` (timm from 1.0.15 on, or APEX).
    MeanSquare,
}

/// The diffusion process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseSchedulerConfig {
    /// `ddpm`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Training steps.
    pub num_train_timesteps: i64,
    /// Sampling steps.
    pub num_inference_timesteps: i64,
    /// `squaredcos_cap_v2`.
    pub beta_schedule: String,
    /// `sample`: the network predicts the clean actions.
    pub prediction_type: String,
    /// Must be false.
    pub clip_sample: bool,
}

/// The moving average of the weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmaConfig {
    /// Updates before averaging starts.
    pub update_after_step: i64,
    /// Inverse multiplicative factor of the warm-up.
    pub inv_gamma: f64,
    /// Exponent of the warm-up.
    pub power: f64,
    /// Smallest decay.
    pub min_value: f64,
    /// Largest decay.
    pub max_value: f64,
}

/// The image encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisionConfig {
    /// Which network.
    pub encoder: VisionEncoder,
    /// Side of the square image it takes, in pixels.
    pub image_size: u32,
    /// Side of a patch, in pixels: `(image_size / patch_size)^2` tokens an image.
    pub patch_size: u32,
}

impl Default for VisionConfig {
    fn default() -> Self {
        Self { encoder: VisionEncoder::Siglip, image_size: 384, patch_size: 14 }
    }
}

impl VisionConfig {
    /// Tokens an image becomes.
    pub fn tokens_per_image(&self) -> i64 {
        let side = i64::from(self.image_size / self.patch_size);
        side * side
    }
}

/// Image encoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VisionEncoder {
    /// SigLIP, weights from a Hugging Face directory.
    Siglip,
    /// A small convolution with random weights, frozen: for demonstrations. Untrained.
    RandomPatch,
}

/// The language encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageConfig {
    /// Which encoder.
    pub encoder: LanguageEncoder,
}

impl Default for LanguageConfig {
    fn default() -> Self {
        Self { encoder: LanguageEncoder::T5 }
    }
}

/// Language encoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LanguageEncoder {
    /// T5 v1.1, weights from a Hugging Face directory.
    T5,
    /// A vector drawn from a hash of each word: for demonstrations. Untrained.
    HashedWords,
}

impl Config {
    /// Samples a chunk, at most: what `dataset.buf_chunk_size` and `--chunk-size` may say.
    pub const MOST_CHUNK_SAMPLES: u32 = 65_536;

    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// The file cannot be read, is not YAML, has a key that nobody reads, lacks one, or
    /// holds a value out of range; the error names file, key, value and range.
    pub fn from_file(path: &Path) -> Result<Self, SchemaError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SchemaError::Read { path: path.to_owned(), source })?;
        Self::from_text(&text, path)
    }

    /// Reads a configuration from `text`; `path` is only named in errors.
    ///
    /// # Errors
    /// As [`Config::from_file`].
    pub fn from_text(text: &str, path: &Path) -> Result<Self, SchemaError> {
        let config: Self = serde_saphyr::from_str(text).map_err(|error| SchemaError::Parse {
            path: path.to_owned(),
            found: error.to_string(),
            expected: "a configuration has the keys of configs/base.yaml, see configs/README.md".into(),
        })?;
        config.check(path)?;
        Ok(config)
    }

    fn check(&self, path: &Path) -> Result<(), SchemaError> {
        let at_least_one = [
            ("common.img_history_size", i64::from(self.common.img_history_size)),
            ("common.action_chunk_size", i64::from(self.common.action_chunk_size)),
            ("common.num_cameras", i64::from(self.common.num_cameras)),
            ("dataset.buf_num_chunks", i64::from(self.dataset.buf_num_chunks)),
            ("dataset.buf_chunk_size", i64::from(self.dataset.buf_chunk_size)),
            ("dataset.epsd_len_thresh_high", i64::from(self.dataset.epsd_len_thresh_high)),
            ("dataset.tokenizer_max_length", i64::from(self.dataset.tokenizer_max_length)),
            ("model.lang_token_dim", self.model.lang_token_dim),
            ("model.img_token_dim", self.model.img_token_dim),
            ("model.rdt.hidden_size", self.model.rdt.hidden_size),
            ("model.rdt.depth", self.model.rdt.depth),
            ("model.rdt.num_heads", self.model.rdt.num_heads),
            ("model.noise_scheduler.num_train_timesteps", self.model.noise_scheduler.num_train_timesteps),
            (
                "model.noise_scheduler.num_inference_timesteps",
                self.model.noise_scheduler.num_inference_timesteps,
            ),
            ("model.vision.image_size", i64::from(self.model.vision.image_size)),
            ("model.vision.patch_size", i64::from(self.model.vision.patch_size)),
        ];
        let value_error = |field: &str, found: String, expected: String| SchemaError::Value {
            path: path.to_owned(),
            field: field.to_owned(),
            found,
            expected,
        };
        for (field, value) in at_least_one {
            if value < 1 {
                return Err(value_error(field, value.to_string(), "at least 1".into()));
            }
        }
        let exact = [
            ("common.state_dim", self.common.state_dim as i64, STATE_DIM as i64),
            ("model.state_token_dim", self.model.state_token_dim, STATE_DIM as i64),
        ];
        for (field, value, expected) in exact {
            if value != expected {
                return Err(value_error(
                    field,
                    value.to_string(),
                    format!("{expected}, the width of the unified vector"),
                ));
            }
        }
        if self.dataset.buf_chunk_size > Self::MOST_CHUNK_SAMPLES {
            return Err(value_error(
                "dataset.buf_chunk_size",
                self.dataset.buf_chunk_size.to_string(),
                format!("1 to {} samples a chunk", Self::MOST_CHUNK_SAMPLES),
            ));
        }
        if self.common.num_cameras > 4 {
            return Err(value_error(
                "common.num_cameras",
                self.common.num_cameras.to_string(),
                "1 to 4 (there are four camera slots)".into(),
            ));
        }
        let (hidden, heads) = (self.model.rdt.hidden_size, self.model.rdt.num_heads);
        if hidden % heads != 0 || hidden % 4 != 0 {
            return Err(value_error(
                "model.rdt.hidden_size",
                hidden.to_string(),
                format!("a multiple of num_heads ({heads}) and of 4"),
            ));
        }
        let scheduler = &self.model.noise_scheduler;
        let words = [
            ("model.noise_scheduler.type", scheduler.kind.as_str(), "ddpm"),
            ("model.noise_scheduler.beta_schedule", &scheduler.beta_schedule, "squaredcos_cap_v2"),
            ("model.noise_scheduler.prediction_type", &scheduler.prediction_type, "sample"),
            (
                "model.noise_scheduler.clip_sample",
                if scheduler.clip_sample { "true" } else { "false" },
                "false",
            ),
        ];
        for (field, found, expected) in words {
            if found != expected {
                return Err(value_error(
                    field,
                    found.into(),
                    format!("{expected}, the only one that RDT's weights were trained with"),
                ));
            }
        }
        let vision = &self.model.vision;
        if vision.patch_size > vision.image_size {
            return Err(value_error(
                "model.vision.patch_size",
                vision.patch_size.to_string(),
                format!("at most image_size ({})", vision.image_size),
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_has_at_most_65536_samples() -> Result<(), Box<dyn std::error::Error>> {
        let base = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/base.yaml"))?;
        let line =
            base.lines().find(|line| line.trim_start().starts_with("buf_chunk_size:")).ok_or("no key")?;
        let read = |samples: u32| {
            let text = base.replace(line, &format!("  buf_chunk_size: {samples}"));
            Config::from_text(&text, Path::new("base.yaml"))
        };
        assert_eq!(read(65_536)?.dataset.buf_chunk_size, 65_536);
        let error = read(65_537).map(|_| ()).unwrap_err().to_string();
        for word in ["base.yaml", "dataset.buf_chunk_size", "65537", "1 to 65536"] {
            assert!(error.contains(word), "{error}");
        }
        Ok(())
    }
}
