//! Which data sets: `NAME[:CARD]=PATH`, or RDT's JSON lists.

use std::path::{Path, PathBuf};

use rdt_schema::Setting;
use rdt_schema::dataset_lists::{read_names, read_numbers};

use crate::error::ProducerError;

/// One data set of a fill: its name, card, place and weight.
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetSpec {
    /// Its name in the buffer.
    pub name: String,
    /// Name or path of its card.
    pub card: String,
    /// A folder that is searched for files, or a file.
    pub path: PathBuf,
    /// RDT's sample weight. A fill does not use it, follow mode does.
    pub weight: f64,
}

impl DatasetSpec {
    /// Reads `NAME[:CARD]=PATH`; the card defaults to the name.
    ///
    /// ```
    /// use rdt_producer::DatasetSpec;
    /// let spec = DatasetSpec::parse("kitchen:libero=/data/libero_90")?;
    /// assert_eq!((spec.name.as_str(), spec.card.as_str()), ("kitchen", "libero"));
    /// # Ok::<(), rdt_producer::ProducerError>(())
    /// ```
    ///
    /// # Errors
    /// No `=`, or an empty name, card or path.
    pub fn parse(text: &str) -> Result<Self, ProducerError> {
        let wrong = || ProducerError::Argument {
            argument: Setting::DATASET.to_string(),
            found: format!("{text:?}"),
            expected: "NAME=PATH or NAME:CARD=PATH, such as libero=/data/libero_90".into(),
        };
        let (names, path) = text.split_once('=').ok_or_else(wrong)?;
        let (name, card) = names.split_once(':').unwrap_or((names, names));
        if name.is_empty() || card.is_empty() || path.is_empty() {
            return Err(wrong());
        }
        Ok(Self { name: name.into(), card: card.into(), path: path.into(), weight: 1.0 })
    }
}

/// Which of RDT's lists (`--dataset-type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatasetListKind {
    /// `finetune_datasets.json` and `finetune_sample_weights.json`.
    Finetune,
    /// `pretrain_datasets.json` and `pretrain_sample_weights.json`.
    Pretrain,
}

impl DatasetListKind {
    /// The word in the file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Finetune => "finetune",
            Self::Pretrain => "pretrain",
        }
    }

    /// The file of names and the file of weights in `config_dir`.
    pub fn files(self, config_dir: &Path) -> [PathBuf; 2] {
        ["datasets", "sample_weights"].map(|what| config_dir.join(format!("{}_{what}.json", self.name())))
    }
}

/// The data sets of RDT's lists in `config_dir`; each is at `data_root/NAME`, its card is the one
/// of its name.
///
/// # Errors
/// A list cannot be read or is empty; a data set has no weight.
pub fn read_list(
    kind: DatasetListKind,
    config_dir: &Path,
    data_root: &Path,
) -> Result<Vec<DatasetSpec>, ProducerError> {
    let [names_file, weights_file] = kind.files(config_dir);
    let names = read_names(&names_file)?;
    let weights = read_numbers(&weights_file)?;
    if names.is_empty() {
        return Err(ProducerError::Argument {
            argument: format!("the list {}", names_file.display()),
            found: "empty".into(),
            expected: "at least one data set name".into(),
        });
    }
    let spec = |name: String| {
        let weight = *weights.get(&name).ok_or_else(|| ProducerError::Argument {
            argument: format!("the weight of {name} in {}", weights_file.display()),
            found: "missing".into(),
            expected: format!("a number for each name of {}", names_file.display()),
        })?;
        Ok(DatasetSpec { card: name.clone(), path: data_root.join(&name), name, weight })
    };
    names.into_iter().map(spec).collect()
}
