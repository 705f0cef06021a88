//! What a checkpoint holds for whoever samples with it: configuration, weights, and what is to be known
//! of its data.
//!
//! `checkpoint-N/` is written by `rdt-train`, which keeps more in it to go on from; the names of its
//! files are here, since both sides read them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rdt_buffer::embedding::segments;
use rdt_buffer::layout;
use rdt_schema::{Config, DataAbout};
use serde::{Deserialize, Serialize};

use crate::encoder::EncoderFolders;
use crate::error::ModelError;

/// The trained weights.
pub const MODEL: &str = "model.safetensors";
/// Their moving average.
pub const EMA: &str = "ema/model.safetensors";
/// What a run goes on from; holds the configuration.
pub const TRAINER: &str = "trainer.json";
/// What sampling and serving need beside the weights: [`About`].
pub const ABOUT: &str = "about.json";

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

/// What a checkpoint says of itself, so that sampling and serving need neither the buffer that it was
/// trained on nor the run: `about.json`. Unknown keys are ignored, so that later versions may add some.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// The program that wrote it.
    pub written_by: String,
    /// Optimiser steps of the weights.
    pub step: u64,
    /// Sizes of windows, network and encoders.
    pub config: Config,
    /// What the untrained encoders are functions of.
    pub seed: u64,
    /// The data that it was trained on.
    pub data: DataAbout,
    /// Who made tokens of images.
    pub image_encoder: EncoderAbout,
    /// Who made tokens of instructions.
    pub language_encoder: EncoderAbout,
}

/// An encoder that a network was trained with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncoderAbout {
    /// As the configuration calls it.
    pub name: String,
    /// Its digest, if it is known.
    pub digest: Option<String>,
}

impl About {
    /// Of a checkpoint; none where it is from before there was this file.
    ///
    /// # Errors
    /// The file cannot be read or understood, or is of another version.
    pub fn read(checkpoint: &Path) -> Result<Option<Self>, ModelError> {
        let file = checkpoint.join(ABOUT);
        if !file.exists() {
            return Ok(None);
        }
        let text = fs::read(&file).map_err(ModelError::file(&file, "read"))?;
        let wrong = |found: String| ModelError::Content {
            path: file.clone(),
            found,
            expected: "what this program's version writes there; use the program that wrote it".into(),
        };
        let about: Self = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
        about.data.check().map_err(|error| wrong(error.to_string()))?;
        Ok(Some(about))
    }

    /// What the log says of a checkpoint without it.
    pub fn note_of_none(checkpoint: &Path) -> String {
        format!(
            "{}: no {ABOUT}, for it is from before there was one: cards, extremes and instructions of its data are \
             taken from where the samples are",
            checkpoint.display()
        )
    }
}

/// The configuration that a checkpoint was made with.
///
/// # Errors
/// It is no checkpoint.
pub fn config(checkpoint: &Path) -> Result<Config, ModelError> {
    Ok(of_trainer(checkpoint)?.config)
}

/// The part of `trainer.json` that sampling takes.
#[derive(Deserialize)]
struct OfTrainer {
    config: Config,
    settings: OfSettings,
}

#[derive(Deserialize)]
struct OfSettings {
    seed: u64,
}

fn of_trainer(checkpoint: &Path) -> Result<OfTrainer, ModelError> {
    let file = checkpoint.join(TRAINER);
    let text = fs::read(&file).map_err(ModelError::file(&file, "read the checkpoint"))?;
    serde_json::from_slice(&text).map_err(|error| ModelError::Content {
        path: file,
        found: error.to_string(),
        expected: "a checkpoint of this program's version".into(),
    })
}

/// Configuration and seed of a checkpoint, from the file that it has.
pub(crate) fn config_and_seed(checkpoint: &Path, about: Option<&About>) -> Result<(Config, u64), ModelError> {
    match about {
        Some(about) => Ok((about.config.clone(), about.seed)),
        None => of_trainer(checkpoint).map(|of| (of.config, of.settings.seed)),
    }
}

/// Carries the stored embeddings of instructions from the buffer `dir` into a checkpoint, in the folder
/// that a buffer has them in. Their files never change, so one is linked where that can be.
///
/// # Errors
/// They cannot be read, or not written.
pub fn carry_instructions(dir: &Path, checkpoint: &Path) -> Result<(), ModelError> {
    let folder = layout::language_embeddings(checkpoint);
    fs::create_dir_all(&folder).map_err(ModelError::file(&folder, "create"))?;
    for number in segments(dir)? {
        let from = layout::language_embedding(dir, number);
        let to = layout::language_embedding(checkpoint, number);
        if fs::hard_link(&from, &to).is_err() {
            // Another file system, or one without links.
            fs::copy(&from, &to)
                .and_then(|_| File::open(&to)?.sync_all())
                .map_err(ModelError::file(&to, "copy embeddings to"))?;
        }
    }
    let sync = |path: &Path| File::open(path).and_then(|folder| folder.sync_all());
    let embeddings = layout::embeddings(checkpoint);
    sync(&folder).and_then(|()| sync(&embeddings)).map_err(ModelError::file(embeddings, "sync"))
}

/// The encoders that were given, and the embeddings of instructions that the checkpoint carries where no
/// language encoder was.
pub fn with_carried_instructions(checkpoint: &Path, given: &EncoderFolders) -> EncoderFolders {
    let mut encoders = given.clone();
    let has_some = || layout::language_embeddings(checkpoint).is_dir();
    if encoders.language.is_none() && encoders.stored_language.is_none() && has_some() {
        encoders.stored_language = Some(checkpoint.to_owned());
    }
    encoders
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
