//! RDT: a diffusion transformer over state and action tokens, under language and images.
//!
//! The network holds structure only; weights are handed to every call, so the trained ones,
//! their moving average, or a bf16 copy go through the same code. Names and order of the
//! parameters are RDT's.

pub mod adaptor;
pub mod attention;
pub mod block;
pub mod embedder;
pub mod linear;
pub mod norm;
pub mod position;

use std::ops::Range;

use rdt_schema::config::{Config, NormForm};
use tch::{TchError, Tensor};

use crate::error::ModelError;
use crate::network::adaptor::Adaptor;
use crate::network::block::{Block, FeedForward};
use crate::network::embedder::ScalarEmbedder;
use crate::network::linear::LinearInit;
use crate::network::norm::Norm;
use crate::network::position::PositionForm;
use crate::parameters::{Init, ParameterId, ParameterLayout, Weights};

/// Sizes and forms of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkShape {
    /// Width of the trunk.
    pub hidden: i64,
    /// Blocks.
    pub depth: i64,
    /// Attention heads.
    pub heads: i64,
    /// Action tokens.
    pub horizon: i64,
    /// Width of states and actions.
    pub state_dim: i64,
    /// Most language tokens.
    pub max_language_tokens: i64,
    /// Width of a language token.
    pub language_dim: i64,
    /// Frames a camera, cameras, tokens an image.
    pub image_grid: [i64; 3],
    /// Width of an image token.
    pub image_dim: i64,
    /// Adaptors of language, image and state tokens, in RDT's words.
    pub adaptors: [String; 3],
    /// What norms divide by.
    pub norm: NormForm,
    /// How the language table starts.
    pub language_position: PositionForm,
    /// How the image table starts.
    pub image_position: PositionForm,
}

impl NetworkShape {
    /// The shape that a configuration file describes.
    pub fn from_config(config: &Config) -> Self {
        let model = &config.model;
        let position = model.rdt.cond_pos_embed_type.into();
        Self {
            hidden: model.rdt.hidden_size,
            depth: model.rdt.depth,
            heads: model.rdt.num_heads,
            horizon: config.common.action_chunk_size.into(),
            state_dim: model.state_token_dim,
            max_language_tokens: config.dataset.tokenizer_max_length.into(),
            language_dim: model.lang_token_dim,
            image_grid: [
                config.common.img_history_size.into(),
                config.common.num_cameras.into(),
                model.vision.tokens_per_image(),
            ],
            image_dim: model.img_token_dim,
            adaptors: [&model.lang_adaptor, &model.img_adaptor, &model.state_adaptor].map(Clone::clone),
            norm: model.rdt.norm,
            language_position: position,
            image_position: position,
        }
    }

    /// Image tokens of a sample.
    pub fn image_tokens(&self) -> i64 {
        self.image_grid.iter().product()
    }
}

/// What a prediction rests on, as encoders and data give it.
#[derive(Debug)]
pub struct Conditions {
    /// (B, L, language_dim), L at most `max_language_tokens`.
    pub language: Tensor,
    /// (B, L) bool, true where the token is usable; `None` where all are.
    pub language_usable: Option<Tensor>,
    /// (B, image_tokens, image_dim).
    pub images: Tensor,
    /// (B,) steps a second, 0 where unknown.
    pub control_freq: Tensor,
    /// (B, 1, state_dim).
    pub state: Tensor,
    /// (B, 1, state_dim): 1 where the data set fills the entry.
    pub mask: Tensor,
}

/// Conditions at the width of the network.
#[derive(Debug)]
pub struct AdaptedConditions {
    /// (B, L, hidden).
    pub language: Tensor,
    /// (B, image_tokens, hidden).
    pub images: Tensor,
}

/// The network's structure.
#[derive(Debug)]
pub struct Rdt {
    shape: NetworkShape,
    x_pos_embed: ParameterId,
    language_pos_embed: ParameterId,
    image_pos_embed: ParameterId,
    t_embedder: ScalarEmbedder,
    freq_embedder: ScalarEmbedder,
    blocks: Vec<Block>,
    norm_final: Norm,
    ffn_final: FeedForward,
    language_adaptor: Adaptor,
    image_adaptor: Adaptor,
    state_adaptor: Adaptor,
    parts: Parts,
}

/// Which parameters each part of a network uses, as ranges of the layout: together all of them.
#[derive(Debug)]
pub struct Parts {
    /// What goes before the blocks: position tables and embedders, and the adaptors.
    pub before: [Range<usize>; 2],
    /// The blocks.
    pub blocks: Vec<Range<usize>>,
    /// The final layer.
    pub last: Range<usize>,
}

/// What the blocks work on, and under which conditions.
#[derive(Debug)]
pub struct Trunk {
    /// (B, horizon + 3, hidden).
    pub x: Tensor,
    /// (B, L, hidden).
    pub language: Tensor,
    /// (B, image_tokens, hidden).
    pub images: Tensor,
}

impl Trunk {
    /// The condition of block `i`.
    pub fn condition(&self, i: usize) -> &Tensor {
        if Rdt::sees_language(i) { &self.language } else { &self.images }
    }
}

impl Rdt {
    /// The structure of `shape`, and the layout of its parameters.
    ///
    /// # Errors
    /// An adaptor's name is not RDT's.
    pub fn new(shape: NetworkShape) -> Result<(Self, ParameterLayout), ModelError> {
        let mut layout = ParameterLayout::default();
        let NetworkShape { hidden, heads, horizon, norm, .. } = shape;
        let mut table = |name: &str, values: Tensor| {
            layout.add(format!("model.{name}"), &values.size(), Init::Values(values))
        };
        let x_pos_embed = table("x_pos_embed", position::trunk(horizon, hidden));
        let language_pos_embed = table(
            "lang_cond_pos_embed",
            position::language(shape.language_position, shape.max_language_tokens, hidden),
        );
        let image_pos_embed =
            table("img_cond_pos_embed", position::images(shape.image_position, shape.image_grid, hidden));
        let layout_ref = &mut layout;
        let t_embedder = ScalarEmbedder::new(layout_ref, "model.t_embedder", hidden);
        let freq_embedder = ScalarEmbedder::new(layout_ref, "model.freq_embedder", hidden);
        let tables = 0..layout_ref.count();
        let (mut blocks, mut block_parts) = (Vec::new(), Vec::new());
        for i in 0..shape.depth {
            let first = layout_ref.count();
            blocks.push(Block::new(layout_ref, &format!("model.blocks.{i}"), hidden, heads, norm));
            block_parts.push(first..layout_ref.count());
        }
        let first_of_last = layout_ref.count();
        let norm_final = Norm::new(layout_ref, "model.final_layer.norm_final", hidden, norm);
        let ffn_final = FeedForward::new(
            layout_ref,
            "model.final_layer.ffn_final",
            hidden,
            shape.state_dim,
            LinearInit::Zeros,
        );
        let last = first_of_last..layout_ref.count();
        let mut adaptor = |name: &str, which: usize, inputs| {
            Adaptor::new(layout_ref, name, &shape.adaptors[which], inputs, hidden)
        };
        let language_adaptor = adaptor("lang_adaptor", 0, shape.language_dim)?;
        let image_adaptor = adaptor("img_adaptor", 1, shape.image_dim)?;
        let state_adaptor = adaptor("state_adaptor", 2, 2 * shape.state_dim)?;
        let adaptors = last.end..layout.count();
        let network = Self {
            parts: Parts { before: [tables, adaptors], blocks: block_parts, last },
            shape,
            x_pos_embed,
            language_pos_embed,
            image_pos_embed,
            t_embedder,
            freq_embedder,
            blocks,
            norm_final,
            ffn_final,
            language_adaptor,
            image_adaptor,
            state_adaptor,
        };
        Ok((network, layout))
    }

    /// Its sizes and forms.
    pub fn shape(&self) -> &NetworkShape {
        &self.shape
    }

    /// Brings the conditions to the width of the network.
    ///
    /// # Errors
    /// Shapes do not fit, or the memory is not there.
    pub fn adapt(&self, weights: &Weights, conditions: &Conditions) -> Result<AdaptedConditions, TchError> {
        let kind = weights.kind();
        Ok(AdaptedConditions {
            language: self.language_adaptor.forward(weights, &conditions.language.f_to_kind(kind)?)?,
            images: self.image_adaptor.forward(weights, &conditions.images.f_to_kind(kind)?)?,
        })
    }

    /// State or action rows (B, N, state_dim) and mask (B, 1, state_dim) -> tokens (B, N, hidden).
    ///
    /// # Errors
    /// Shapes do not fit, or the memory is not there.
    pub fn adapt_rows(&self, weights: &Weights, rows: &Tensor, mask: &Tensor) -> Result<Tensor, TchError> {
        let with_mask = Tensor::f_cat(&[rows, &mask.f_expand_as(rows)?], 2)?;
        self.state_adaptor.forward(weights, &with_mask.f_to_kind(weights.kind())?)
    }

    /// One state token and `horizon` noisy action tokens (B, horizon + 1, hidden), at
    /// diffusion timesteps (B,) or (1,) -> predicted clean actions (B, horizon, state_dim).
    ///
    /// # Errors
    /// Shapes do not fit, or the memory is not there.
    pub fn forward(
        &self,
        weights: &Weights,
        tokens: &Tensor,
        control_freq: &Tensor,
        timesteps: &Tensor,
        conditions: &AdaptedConditions,
        language_usable: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        let trunk = self.begin(weights, tokens, control_freq, timesteps, conditions)?;
        let mut x = trunk.x.shallow_clone();
        for i in 0..self.blocks.len() {
            x = self.block(weights, i, &x, trunk.condition(i), language_usable)?;
        }
        self.end(weights, &x)
    }

    /// Which parameters each part uses.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Blocks take turns: language, images.
    pub fn sees_language(i: usize) -> bool {
        i.is_multiple_of(2)
    }

    /// What goes before the blocks.
    ///
    /// # Errors
    /// Shapes do not fit, or the memory is not there.
    pub fn begin(
        &self,
        weights: &Weights,
        tokens: &Tensor,
        control_freq: &Tensor,
        timesteps: &Tensor,
        conditions: &AdaptedConditions,
    ) -> Result<Trunk, TchError> {
        let (batch, _, hidden) = tokens.size3()?;
        let t = self.t_embedder.forward(weights, timesteps)?.f_unsqueeze(1)?;
        let t = t.f_expand([batch, 1, hidden], false)?;
        let freq = self.freq_embedder.forward(weights, control_freq)?.f_unsqueeze(1)?;
        let x = Tensor::f_cat(&[&t, &freq, tokens], 1)?.f_add(weights.get(self.x_pos_embed))?;

        let language_length = conditions.language.size3()?.1;
        let places = weights.get(self.language_pos_embed).f_narrow(1, 0, language_length)?;
        let language = conditions.language.f_add(&places)?;
        let images = conditions.images.f_add(weights.get(self.image_pos_embed))?;
        Ok(Trunk { x, language, images })
    }

    /// Block `i`, under its condition of the [`Trunk`].
    ///
    /// # Errors
    /// Shapes do not fit, or the memory is not there.
    pub fn block(
        &self,
        weights: &Weights,
        i: usize,
        x: &Tensor,
        condition: &Tensor,
        language_usable: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        let usable = if Self::sees_language(i) { language_usable } else { None };
        self.blocks[i].forward(weights, x, condition, usable)
    }

    /// The final layer: what comes out of the blocks -> predicted clean actions.
    ///
    /// # Errors
    /// Shapes do not fit, or the memory is not there.
    pub fn end(&self, weights: &Weights, x: &Tensor) -> Result<Tensor, TchError> {
        // It works on each token by itself: those that are thrown away need not go through it.
        let actions = x.f_narrow(1, -self.shape.horizon, self.shape.horizon)?;
        self.ffn_final.forward(weights, &self.norm_final.forward(weights, &actions)?)
    }
}

#[cfg(test)]
mod tests;
