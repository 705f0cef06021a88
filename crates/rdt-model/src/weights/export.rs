//! Weights out: a checkpoint as RDT's Python code reads it.
//!
//! The folder that is written holds `config.json` and `pytorch_model.bin`, under the names
//! of RDT's state_dict and in its order: RDT's `from_pretrained` takes it as it is.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::checkpoint::{self, Which};
use crate::error::ModelError;
use crate::network::{NetworkShape, Rdt};
use crate::weights::rdt_config::rdt_config;
use crate::weights::tensor_file::{TensorFile, torch};

const WEIGHTS: &str = "pytorch_model.bin";

/// Writes weights of `checkpoint` to the folder `out` and returns their file. One tensor at a
/// time is in memory; the file is whole or absent.
///
/// # Errors
/// The checkpoint is not whole, or the folder cannot be written.
pub fn export(checkpoint: &Path, which: Which, out: &Path) -> Result<PathBuf, ModelError> {
    let config = checkpoint::config(checkpoint)?;
    let (_, layout) = Rdt::new(NetworkShape::from_config(&config))?;
    let file = TensorFile::open(&which.file(checkpoint))?;
    file.check(&layout, "")?;
    let mut tensors = Vec::new();
    for parameter in layout.parameters() {
        if let Some(tensor) = file.tensor(&parameter.name)? {
            tensors.push((parameter.name.as_str(), tensor));
        }
    }
    fs::create_dir_all(out).map_err(ModelError::file(out, "create"))?;
    let (path, partial) = (out.join(WEIGHTS), out.join(format!(".{WEIGHTS}.partial")));
    let views = tensors.iter().map(|(name, tensor)| (*name, tensor.shallow_clone()));
    File::create(&partial)
        .and_then(|file| torch::write(file, views))
        .map_err(ModelError::file(&partial, "write"))?;
    checkpoint::write_json(&out.join("config.json"), &rdt_config(&config))?;
    fs::rename(&partial, &path).map_err(ModelError::file(&path, "put in place"))?;
    Ok(path)
}
