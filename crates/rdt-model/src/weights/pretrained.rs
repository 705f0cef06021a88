//! Weights that a run starts from: RDT's published ones, or those of another run.
//!
//! A folder holds them as RDT's `from_pretrained` knows it, `config.json` beside
//! `model.safetensors` or `pytorch_model.bin`; a file alone is one of the two.

use std::path::{Path, PathBuf};

use rdt_schema::Config;
use rdt_schema::Setting;
use tch::Tensor;

use crate::error::ModelError;
use crate::network::{NetworkShape, Rdt};
use crate::parameters::ParameterLayout;
use crate::weights::rdt_config;
use crate::weights::tensor_file::TensorFile;

/// Names of the weights in a folder, in RDT's order of preference.
const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// Reads the weights at `path` into the buffer `flat` and returns the file they were in.
/// Published bf16 or f16 becomes f32.
///
/// # Errors
/// There are none, `config.json` says another network than `config`, or tensors are missing,
/// of another shape or not known: the error lists them, and `flat` is unchanged.
pub fn load(
    path: &Path,
    config: &Config,
    layout: &ParameterLayout,
    flat: &Tensor,
) -> Result<PathBuf, ModelError> {
    let file = find(path, config)?;
    TensorFile::open(&file)?.load(layout, "", flat)?;
    Ok(file)
}

/// Whether the weights at `path` fit `config`, without reading them.
///
/// # Errors
/// As of [`load`].
pub fn check(path: &Path, config: &Config) -> Result<(), ModelError> {
    let (_, layout) = Rdt::new(NetworkShape::from_config(config))?;
    TensorFile::open(&find(path, config)?)?.check(&layout, "")
}

fn find(path: &Path, config: &Config) -> Result<PathBuf, ModelError> {
    if path.is_file() {
        return Ok(path.to_owned());
    }
    if !path.is_dir() {
        return Err(ModelError::Setting {
            what: Setting::PRETRAINED_MODEL.to_string(),
            found: format!("{}, which is not here", path.display()),
            expected: "a folder or file; names are not looked up on the net, download the model first".into(),
        });
    }
    let wrong = |path: PathBuf, found: String, expected: &str| ModelError::Content {
        path,
        found,
        expected: expected.to_owned(),
    };
    let published = path.join("config.json");
    if published.is_file() {
        let bytes = std::fs::read(&published).map_err(ModelError::file(&published, "read"))?;
        let value = serde_json::from_slice(&bytes).map_err(|error| {
            wrong(published.clone(), format!("it cannot be understood ({error})"), "RDT's config.json")
        })?;
        let differences = rdt_config::differences(config, &value);
        if !differences.is_empty() {
            let expected =
                format!("the configured network; set {} to the sizes of these weights", Setting::CONFIG);
            return Err(wrong(published, format!("it says {}", differences.join(", ")), &expected));
        }
    }
    let file = WEIGHTS.iter().map(|name| path.join(name)).find(|file| file.is_file());
    file.ok_or_else(|| {
        wrong(path.to_owned(), "it holds no weights".into(), "model.safetensors or pytorch_model.bin")
    })
}
