//! Instructions to token ids, by the model's own files.
//!
//! Read is `tokenizer.json` (what `transformers` saves), else `spiece.model` (what T5 v1.1
//! is published with). As in RDT, nothing is cut off: an instruction that is too long is an
//! error.
//!
//! Invariant: every list of ids ends with the id of `</s>`, so that none is empty.

use std::path::{Path, PathBuf};

use tokenizers::Tokenizer;

use super::sentencepiece;
use crate::error::ModelError;

/// Letters of an instruction that an error shows.
const LETTERS_SHOWN: usize = 60;

/// The tokenizer of a T5 folder.
#[derive(Debug)]
pub struct InstructionTokenizer {
    tokenizer: Tokenizer,
    path: PathBuf,
    pad: i64,
    max_tokens: usize,
}

impl InstructionTokenizer {
    /// Reads the tokenizer in `folder`. Instructions may have `max_tokens` tokens, `</s>`
    /// included (RDT's `tokenizer_max_length`).
    ///
    /// # Errors
    /// There is none, it cannot be read, or it is not T5's: it has no `<pad>`, or does not
    /// close a text with `</s>`.
    pub fn open(folder: &Path, max_tokens: usize) -> Result<Self, ModelError> {
        let (json, model) = (folder.join("tokenizer.json"), folder.join("spiece.model"));
        let (path, mut tokenizer) = if json.is_file() {
            let bytes = std::fs::read(&json).map_err(ModelError::file(&json, "read"))?;
            let read = Tokenizer::from_bytes(bytes).map_err(|error| not_usable(&json, &error));
            (json, read?)
        } else if model.is_file() {
            let read = sentencepiece::read(&model);
            (model, read?)
        } else {
            return Err(ModelError::Content {
                path: folder.to_owned(),
                found: "it holds no tokenizer".into(),
                expected: "tokenizer.json or spiece.model; download the model's folder whole".into(),
            });
        };
        // Left in the file by whoever saved it.
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|error| not_usable(&path, &error))?;
        let pad =
            tokenizer.token_to_id("<pad>").ok_or_else(|| not_usable(&path, &"it has no token <pad>"))?;
        let tokenizer = Self { tokenizer, path, pad: pad.into(), max_tokens };
        let end: Vec<i64> = tokenizer.tokenizer.token_to_id("</s>").map(i64::from).into_iter().collect();
        if end.is_empty() || tokenizer.ids("")? != end {
            return Err(not_usable(&tokenizer.path, &"it does not close a text with </s>"));
        }
        Ok(tokenizer)
    }

    /// The ids of a text, `</s>` last.
    ///
    /// # Errors
    /// There are more than allowed.
    pub fn tokenize(&self, text: &str) -> Result<Vec<i64>, ModelError> {
        let ids = self.ids(text)?;
        if ids.len() > self.max_tokens {
            return Err(ModelError::Setting {
                what: format!("the length of the instruction {:?}", start(text)),
                found: format!("{} tokens", ids.len()),
                expected: format!(
                    "at most {} (dataset.tokenizer_max_length, </s> included); shorten the instruction",
                    self.max_tokens
                ),
            });
        }
        Ok(ids)
    }

    fn ids(&self, text: &str) -> Result<Vec<i64>, ModelError> {
        let encoding = self.tokenizer.encode_fast(text, true).map_err(|error| ModelError::Content {
            path: self.path.clone(),
            found: format!("it fails on {:?} ({error})", start(text)),
            expected: "a tokenizer that takes any text".into(),
        })?;
        Ok(encoding.get_ids().iter().map(|&id| id.into()).collect())
    }

    /// Id that fills up shorter instructions.
    pub fn pad(&self) -> i64 {
        self.pad
    }

    /// Number of ids, added tokens included; each is below it.
    pub fn vocabulary(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    /// The file it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn start(text: &str) -> String {
    let mut start: String = text.chars().take(LETTERS_SHOWN).collect();
    if start.len() < text.len() {
        start.push_str("...");
    }
    start
}

fn not_usable(path: &Path, why: &dyn std::fmt::Display) -> ModelError {
    ModelError::Content {
        path: path.to_owned(),
        found: format!("it is no tokenizer to use here ({why})"),
        expected: "the tokenizer of T5 v1.1; download the model's folder again".into(),
    }
}
