//! What a checkpoint holds for whoever samples with it: configuration and weights.
//!
//! `checkpoint-N/` is written by `rdt-train`, which keeps more in it to go on from; the names of its
//! files are here, since both sides read them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rdt_schema::Config;
use serde::{Deserialize, Serialize};

use crate::error::ModelError;

/// The trained weights.
pub const MODEL: &str = "model.safetensors";
/// Their moving average.
pub const EMA: &str = "ema/model.safetensors";
/// What a run goes on from; holds the configuration.
pub const TRAINER: &str = "trainer.json";

/// Which weights of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// The trained ones.
    Model,
    /// Their moving average.
    Ema,
}

impl Which {
    /// Their file in a checkpoint.
    pub fn file(self, checkpoint: &Path) -> PathBuf {
        checkpoint.join(match self {
            Self::Model => MODEL,
            Self::Ema => EMA,
        })
    }
}

/// The configuration that a checkpoint was made with.
///
/// # Errors
/// It is no checkpoint.
pub fn config(checkpoint: &Path) -> Result<Config, ModelError> {
    /// The part of the file that is read.
    #[derive(Deserialize)]
    struct Part {
        config: Config,
    }
    let file = checkpoint.join(TRAINER);
    let text = fs::read(&file).map_err(ModelError::file(&file, "read the checkpoint"))?;
    let part: Part = serde_json::from_slice(&text).map_err(|error| ModelError::Content {
        path: file,
        found: error.to_string(),
        expected: "a checkpoint of this program's version".into(),
    })?;
    Ok(part.config)
}

/// Writes and syncs a file of JSON.
///
/// # Errors
/// It cannot be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), ModelError> {
    let write = || -> std::io::Result<()> {
        let mut file = File::create(path)?;
        serde_json::to_writer_pretty(&mut file, value)?;
        file.sync_all()
    };
    write().map_err(ModelError::file(path, "write"))
}
