//! The flags that name data sets of source files, for the programs that read them, and the
//! configuration that is part of the programs.

use std::path::PathBuf;

use clap::ValueEnum;
use rdt_schema::TextFile;

/// Part of the programs, so that they run without the repository.
const BASE_CONFIG: &str = include_str!("../../../configs/base.yaml");
/// How the shipped configuration is named in errors and manifests.
const BASE_CONFIG_NAME: &str = "configs/base.yaml";

/// Which data sets.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct DatasetFlags {
    /// A data set: its name, its card (by default the one of its name) and a folder or file. May
    /// be given several times.
    #[arg(long, value_name = "NAME[:CARD]=PATH")]
    pub dataset: Vec<String>,

    /// Take the data sets of RDT's lists (*_datasets.json, *_sample_weights.json beside --config).
    #[arg(long, value_name = "LIST")]
    pub dataset_type: Option<DatasetType>,

    /// Where the data sets of --dataset-type are: DIR/NAME.
    #[arg(long, value_name = "DIR", requires = "dataset_type")]
    pub data_root: Option<PathBuf>,
}

/// RDT's lists.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum DatasetType {
    /// finetune_datasets.json
    Finetune,
    /// pretrain_datasets.json
    Pretrain,
}

impl DatasetFlags {
    /// Without RDT's lists where no folder of theirs is given: its scripts always name one of them.
    pub fn without_lists_of_no_folder(&self) -> Self {
        let dataset_type = self.dataset_type.filter(|_| self.data_root.is_some());
        Self { dataset_type, ..self.clone() }
    }

    /// Whether none is named.
    pub fn is_empty(&self) -> bool {
        self.dataset.is_empty() && self.dataset_type.is_none()
    }
}

/// The configuration at `path`, or the shipped one, not yet understood.
///
/// # Errors
/// The file cannot be read.
pub fn config_file(path: Option<PathBuf>) -> Result<TextFile, rdt_schema::SchemaError> {
    match path {
        Some(path) => text_file(path),
        None => Ok(TextFile { path: BASE_CONFIG_NAME.into(), text: BASE_CONFIG.into() }),
    }
}

fn text_file(path: PathBuf) -> Result<TextFile, rdt_schema::SchemaError> {
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(TextFile { path, text }),
        Err(source) => Err(rdt_schema::SchemaError::Read { path, source }),
    }
}

#[cfg(feature = "hdf5")]
mod specs {
    use std::path::Path;

    use rdt_producer::{DatasetListKind, DatasetSpec, read_list};

    use super::*;
    use crate::exit::Usage;

    impl DatasetFlags {
        /// The data sets, and RDT's lists that were read for them from `config_dir`.
        ///
        /// # Errors
        /// Wrong usage: none is named, a name or list that cannot be understood.
        pub fn specs(&self, config_dir: Option<&Path>) -> anyhow::Result<(Vec<DatasetSpec>, Vec<TextFile>)> {
            let mut datasets = Vec::new();
            for spec in &self.dataset {
                datasets.push(DatasetSpec::parse(spec).map_err(Usage::from_error)?);
            }
            let mut lists = Vec::new();
            if let Some(kind) = self.dataset_type {
                let Some(root) = &self.data_root else {
                    return Err(Usage::new(
                        "--dataset-type is given without --data-root, expected both: DIR/NAME is where the data set \
                         NAME of the list lies; or --dataset NAME[:CARD]=PATH instead",
                    ));
                };
                let kind = match kind {
                    DatasetType::Finetune => DatasetListKind::Finetune,
                    DatasetType::Pretrain => DatasetListKind::Pretrain,
                };
                let dir = config_dir.unwrap_or(Path::new("configs"));
                datasets.extend(read_list(kind, dir, root).map_err(Usage::from_error)?);
                for path in kind.files(dir) {
                    lists.push(text_file(path).map_err(Usage::from_error)?);
                }
            }
            if datasets.is_empty() {
                return Err(Usage::new(
                    "no data set is given, expected --dataset NAME[:CARD]=PATH, \
                     or --dataset-type LIST with --data-root DIR",
                ));
            }
            Ok((datasets, lists))
        }
    }
}
