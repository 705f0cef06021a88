//! Which encoder it is, as a digest: what tells that stored embeddings are another encoder's.
//!
//! A digest covers the settings that were read of a model's configuration, its tokenizer, and
//! of each tensor its name, shape, kind and some of its numbers, spread over all of it. To read a
//! model of 19 GB whole at each start would take longer than what it is asked for; weights that were
//! trained on differ everywhere. How the weights are cut into files does not matter.

use std::path::Path;

use rdt_buffer::embedding::EncoderDigest;
use tch::{Kind, Tensor};
use xxhash_rust::xxh3::Xxh3;

use super::hugging_face::{ModelFolder, TensorList};
use crate::error::ModelError;

/// Numbers looked at in a row.
const RUN: i64 = 1024;
/// Such rows a tensor, where it has so many numbers.
const RUNS: i64 = 8;

/// A digest in work. What goes in does so with its length, so that nothing runs together.
pub(super) struct Identity(Xxh3);

impl Identity {
    /// Of an encoder of kind `kind`.
    pub(super) fn new(kind: &str) -> Self {
        let mut identity = Self(Xxh3::new());
        identity.bytes(kind.as_bytes());
        identity
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    /// The whole file at `path`.
    pub(super) fn file(&mut self, path: &Path) -> Result<&mut Self, ModelError> {
        let bytes = std::fs::read(path).map_err(ModelError::file(path, "read"))?;
        Ok(self.bytes(&bytes))
    }

    /// The tensors of `list` in the files of `folder`.
    pub(super) fn weights(&mut self, folder: &Path, list: &TensorList) -> Result<&mut Self, ModelError> {
        let folder = ModelFolder::open(folder)?;
        for (name, tensor) in folder.tensors(list)? {
            self.bytes(name.as_bytes()).bytes(format!("{:?} {:?}", tensor.kind(), tensor.size()).as_bytes());
            self.numbers(&tensor)?;
        }
        Ok(self)
    }

    fn numbers(&mut self, tensor: &Tensor) -> Result<(), ModelError> {
        let flat = tensor.f_reshape([-1])?;
        let (length, last) = (flat.size()[0], (flat.size()[0] - RUN).max(0));
        for run in 0..RUNS {
            let part = flat.f_narrow(0, last * run / (RUNS - 1), RUN.min(length))?;
            let bytes = part.f_contiguous()?.f_view_dtype(Kind::Uint8)?;
            self.bytes(&Vec::<u8>::try_from(&bytes)?);
        }
        Ok(())
    }

    pub(super) fn digest(&self) -> EncoderDigest {
        EncoderDigest(self.0.digest128().to_le_bytes())
    }
}
