//! Instructions to tokens by the embeddings that are stored in a buffer: no encoder is loaded.
//!
//! A stored embedding is that of its instruction alone. A live encoder pads a batch to its
//! longest instruction and hides the padding, so its numbers are the same up to rounding.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rdt_buffer::embedding::{Element, EncoderDigest, LanguageEmbeddings};
use rdt_buffer::layout;
use rdt_schema::Setting;
use tch::{Device, Kind};

use super::language::{LanguageEncoder, LanguageTokens};
use super::stored::{refuse_another, stored_tensor};
use crate::device::late;
use crate::error::ModelError;

const SETTING: Setting = Setting::PRECOMP_LANG_EMBED;

/// The stored embeddings of a buffer's instructions.
#[derive(Debug)]
pub struct StoredLanguage {
    embeddings: Mutex<LanguageEmbeddings>,
    width: i64,
    element: Element,
    encoder: EncoderDigest,
    device: Device,
    kind: Kind,
}

impl StoredLanguage {
    /// Those of the buffer at `dir`, of `width`, for tensors of `kind` on `device`. `encoder` is the
    /// one that they must be of, if that is known.
    ///
    /// # Errors
    /// There are none, they are damaged, of another width or of another encoder.
    pub fn open(
        dir: &Path,
        width: i64,
        encoder: Option<EncoderDigest>,
        device: Device,
        kind: Kind,
    ) -> Result<Self, ModelError> {
        let embeddings = find(dir, width)?;
        let header = *embeddings.header();
        let folder = layout::language_embeddings(dir);
        refuse_another(&SETTING.to_string(), &folder, &header, encoder, None)?;
        let (element, encoder) = (header.element, header.encoder);
        Ok(Self { embeddings: Mutex::new(embeddings), width, element, encoder, device, kind })
    }
}

/// The embeddings of instructions in the buffer at `dir`, of `width`.
///
/// # Errors
/// There are none, they are damaged, or of another width.
pub(super) fn find(dir: &Path, width: i64) -> Result<LanguageEmbeddings, ModelError> {
    let missing = || ModelError::Setting {
        what: SETTING.to_string(),
        found: format!("a buffer without embeddings, {}", dir.display()),
        expected: format!("those that `rdt-consume embed --buffer {}` makes", dir.display()),
    };
    let embeddings = LanguageEmbeddings::open(dir)?.ok_or_else(missing)?;
    let header = *embeddings.header();
    if i64::from(header.width) != width {
        return Err(ModelError::Setting {
            what: "model.lang_token_dim".into(),
            found: width.to_string(),
            expected: format!("{}, the width of the embeddings in {}", header.width, dir.display()),
        });
    }
    Ok(embeddings)
}

impl LanguageEncoder for StoredLanguage {
    fn width(&self) -> i64 {
        self.width
    }

    fn encode(&self, texts: &[&str]) -> Result<LanguageTokens, ModelError> {
        // A panic elsewhere leaves the table whole, so a poisoned lock is taken as it is.
        let mut embeddings = self.embeddings.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows = Vec::with_capacity(texts.len());
        for text in texts {
            let mut bytes = Vec::new();
            let tokens = embeddings.read(text, &mut bytes)?;
            rows.push((tokens as usize, bytes));
        }
        let longest = rows.iter().map(|(tokens, _)| *tokens).max().unwrap_or(1);
        let token_bytes = self.width as usize * self.element.bytes();
        // The bits of zero are zeros in both kinds.
        let mut padded = vec![0u8; rows.len() * longest * token_bytes];
        let mut usable = vec![false; rows.len() * longest];
        for (place, (tokens, bytes)) in rows.iter().enumerate() {
            let start = place * longest;
            padded[start * token_bytes..][..bytes.len()].copy_from_slice(bytes);
            usable[start..start + tokens].fill(true);
        }
        let shape = [rows.len() as i64, longest as i64];
        let size = [shape[0], shape[1], self.width];
        let tokens = stored_tensor(&padded, &size, self.element, self.device)?.f_to_kind(self.kind)?;
        Ok(LanguageTokens { tokens, usable: late::upload(&usable, &shape, self.device)? })
    }

    fn describe(&self) -> String {
        format!(
            "stored embeddings of encoder {}, width {}, {}",
            self.encoder,
            self.width,
            self.element.name()
        )
    }
}
