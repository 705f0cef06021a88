//! RDT's JSON lists beside `base.yaml`: data set names, weights, control frequencies.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::error::SchemaError;

/// Names of `finetune_datasets.json` or `pretrain_datasets.json`, in file order.
///
/// # Errors
/// The file cannot be read or is not a list of names.
pub fn read_names(path: &Path) -> Result<Vec<String>, SchemaError> {
    read(path, "a JSON list of data set names, such as [\"agilex\"]")
}

/// Weights of `finetune_sample_weights.json`, or frequencies of `dataset_control_freq.json`.
///
/// # Errors
/// The file cannot be read or does not map names to numbers.
pub fn read_numbers(path: &Path) -> Result<BTreeMap<String, f64>, SchemaError> {
    read(path, "a JSON object of data set names and numbers, such as {\"agilex\": 100}")
}

/// Statistics of `dataset_stat.json`.
///
/// # Errors
/// The file cannot be read or does not hold RDT's statistics.
pub fn read_statistics(
    path: &Path,
) -> Result<BTreeMap<String, crate::statistics::DatasetStatistics>, SchemaError> {
    read(path, "RDT's dataset_stat.json; rdt-buf dataset-stat writes one")
}

fn read<T: DeserializeOwned>(path: &Path, expected: &str) -> Result<T, SchemaError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| SchemaError::Read { path: path.to_owned(), source })?;
    serde_json::from_str(&text).map_err(|error| SchemaError::Parse {
        path: path.to_owned(),
        found: error.to_string(),
        expected: format!("expected {expected}"),
    })
}
