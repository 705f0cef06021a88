//! How much memory a run takes, as far as that is known from the shapes before it starts.
//!
//! Buffers are exact. Activations are what the backward pass keeps, counted tensor by tensor in
//! `activations`; passing temporaries come on top. `docs/training.md` holds both against
//! measurements.

use std::fmt;

use rdt_model::device::memory::Bytes;
use rdt_model::network::NetworkShape;
use tch::Kind;

/// Language tokens that the estimate is made with, unless fewer are the most: long instructions of
/// robots have 30.
const LANGUAGE_TOKENS: i64 = 32;

/// What a run takes, by the shapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    /// f32 weights, gradient, both moments, moving average: each so many bytes.
    pub buffer: Bytes,
    /// Weights and gradient in the kind that the network computes in, where that is not f32.
    pub copies: Bytes,
    /// What the backward pass of one micro-step keeps.
    pub activations: Bytes,
}

impl Plan {
    /// For a flat buffer of `length` elements and batches of `batch`.
    pub(super) fn new(shape: &NetworkShape, length: i64, batch: i64, kind: Kind, recompute: bool) -> Self {
        let size = kind.elt_size_in_bytes() as i64;
        let buffer = Bytes((4 * length) as u64);
        let copies = if kind == Kind::Float { 0 } else { 2 * size * length };
        let elements = activations(shape, batch, recompute);
        Self { buffer, copies: Bytes(copies as u64), activations: Bytes((elements * size) as u64) }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { buffer, copies, activations } = self;
        let two = Bytes(2 * buffer.0);
        write!(f, "memory: weights {buffer}, gradient {buffer}, moments {two}, moving average {buffer}")?;
        if copies.0 > 0 {
            write!(f, ", copies of weights and gradient for mixed precision {copies}")?;
        }
        write!(f, "; kept for the backward pass of a micro-step about {activations}")
    }
}

/// Elements that the backward pass keeps. Scalars a token or a head are left out.
fn activations(shape: &NetworkShape, batch: i64, recompute: bool) -> i64 {
    let tokens = batch * (shape.horizon + 3) * shape.hidden;
    let language_tokens = batch * shape.max_language_tokens.min(LANGUAGE_TOKENS);
    let image_tokens = batch * shape.image_tokens();
    let (language, images) = (language_tokens * shape.hidden, image_tokens * shape.hidden);
    // Of a token: the block's input (1). Self-attention: normed before and after its weight (2), q, k
    // and v (3), q and k normed twice (4), its result (1). Cross-attention: its input (1), normed (2),
    // q (1), normed (2), its result (1). Feed-forward: its input (1), normed (2), hidden before and
    // after the GELU (2). Of a token of the condition: k and v (2), k normed twice (2).
    let block = |condition: i64| 23 * tokens + 4 * condition;
    let (even, odd) = ((shape.depth + 1) / 2, shape.depth / 2);
    let blocks = if recompute {
        shape.depth * tokens + block(language.max(images))
    } else {
        even * block(language) + odd * block(images)
    };
    // Adaptors: what goes in, and before and after each GELU; the conditions themselves.
    let adaptors = language_tokens * shape.language_dim
        + image_tokens * shape.image_dim
        + tokens / shape.hidden * 2 * shape.state_dim
        + 3 * (language + images)
        + 4 * tokens;
    // The final layer: normed twice, hidden before and after the GELU.
    blocks + adaptors + 4 * tokens
}
