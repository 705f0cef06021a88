//! Embeddings to be stored: once for each distinct instruction, without padding.
//!
//! Each instruction is encoded on its own, so that its embedding is a function of its text
//! and of the encoder alone, whatever else is in the data set. Nothing is kept: the caller
//! writes an embedding before it asks for the next.

use std::collections::HashSet;

use tch::Tensor;

use super::language::LanguageEncoder;
use crate::error::ModelError;

/// An encoded instruction.
#[derive(Debug)]
pub struct InstructionEmbedding {
    /// The instruction; empty for the one that stands for none.
    pub text: String,
    /// (L, width), of the encoder's kind and on its device; L is at least 1.
    pub tokens: Tensor,
}

/// The distinct ones of `texts`, in the order of their first appearance behind the empty
/// instruction, which training needs for masked instructions and is always there.
pub fn distinct_instructions<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    std::iter::once("").chain(texts).filter(|text| seen.insert(*text)).collect()
}

/// Encodes the distinct ones of `texts`, the empty one first, one at each step.
///
/// # Errors
/// Each item is its own: an instruction is too long, or the memory is not there.
pub fn embed_distinct<'a>(
    encoder: &'a dyn LanguageEncoder,
    texts: impl IntoIterator<Item = &'a str>,
) -> impl ExactSizeIterator<Item = Result<InstructionEmbedding, ModelError>> + 'a {
    distinct_instructions(texts).into_iter().map(|text| embed(encoder, text))
}

/// Encodes one instruction.
///
/// # Errors
/// It is too long, or the memory is not there.
pub fn embed(encoder: &dyn LanguageEncoder, text: &str) -> Result<InstructionEmbedding, ModelError> {
    let encoded = encoder.encode(&[text])?;
    let real = encoded.usable.f_get(0)?.f_nonzero()?.f_view([-1])?;
    let tokens = encoded.tokens.f_get(0)?.f_index_select(0, &real)?;
    Ok(InstructionEmbedding { text: text.to_owned(), tokens })
}
