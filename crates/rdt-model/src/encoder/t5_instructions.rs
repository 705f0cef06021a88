//! Instructions to tokens by T5: tokenizer and encoder of one Hugging Face folder.
//!
//! A batch is padded to its longest instruction, and a token is usable unless it is `<pad>`,
//! as in RDT's collation.

use std::path::Path;

use tch::{Device, Kind};

use super::language::{LanguageEncoder, LanguageTokens};
use super::t5::T5Encoder;
use super::tokenizer::InstructionTokenizer;
use crate::device::late;
use crate::error::ModelError;

/// A frozen T5 v1.1 with its tokenizer.
#[derive(Debug)]
pub struct T5Instructions {
    tokenizer: InstructionTokenizer,
    encoder: T5Encoder,
    device: Device,
    kind: Kind,
}

impl T5Instructions {
    /// Loads a folder to compute on `device` in `kind` (f32 or bf16; RDT uses bf16).
    /// Instructions may have `max_tokens` tokens (RDT's `tokenizer_max_length`).
    ///
    /// # Errors
    /// As of [`InstructionTokenizer::open`] and [`T5Encoder::open`], and if the tokenizer
    /// knows more tokens than the encoder.
    pub fn open(folder: &Path, device: Device, kind: Kind, max_tokens: usize) -> Result<Self, ModelError> {
        // First, for it is the cheaper one.
        let tokenizer = InstructionTokenizer::open(folder, max_tokens)?;
        let encoder = T5Encoder::open(folder, device, kind)?;
        let rows = encoder.config().vocab_size;
        if i64::try_from(tokenizer.vocabulary()).is_ok_and(|tokens| tokens <= rows) {
            return Ok(Self { tokenizer, encoder, device, kind });
        }
        Err(ModelError::Content {
            path: tokenizer.path().to_owned(),
            found: format!("it has {} tokens", tokenizer.vocabulary()),
            expected: format!("at most the encoder's {rows} (vocab_size); take both from the same model"),
        })
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &InstructionTokenizer {
        &self.tokenizer
    }

    /// The encoder.
    pub fn encoder(&self) -> &T5Encoder {
        &self.encoder
    }
}

impl LanguageEncoder for T5Instructions {
    fn width(&self) -> i64 {
        self.encoder.config().d_model
    }

    fn encode(&self, texts: &[&str]) -> Result<LanguageTokens, ModelError> {
        let rows = texts.iter().map(|text| self.tokenizer.tokenize(text)).collect::<Result<Vec<_>, _>>()?;
        let longest = rows.iter().map(Vec::len).max().unwrap_or(1);
        let mut padded = Vec::with_capacity(rows.len() * longest);
        for row in &rows {
            padded.extend_from_slice(row);
            padded.resize(padded.len() + longest - row.len(), self.tokenizer.pad());
        }
        let is_padded = padded.contains(&self.tokenizer.pad());
        let ids = late::upload(&padded, &[rows.len() as i64, longest as i64], self.device)?;
        let usable = ids.f_ne(self.tokenizer.pad())?;
        let tokens = self.encoder.forward(&ids, is_padded.then_some(&usable))?;
        Ok(LanguageTokens { tokens, usable })
    }

    fn describe(&self) -> String {
        let config = self.encoder.config();
        format!("T5 v1.1 encoder: {} layers, width {}, {:?}", config.num_layers, config.d_model, self.kind)
    }
}
