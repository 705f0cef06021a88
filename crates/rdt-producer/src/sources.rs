//! The data sets of a fill, opened: cards found, files listed, paths held against each other.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use rdt_episode::{Dataset, EpisodeError};
use rdt_schema::card::Extremes;
use rdt_schema::{DatasetCard, DatasetSchema, Setting};

use crate::digest::Digest;
use crate::error::ProducerError;
use crate::event::StopFlag;
use crate::options::Options;
use crate::spec::DatasetSpec;

/// The data sets of a fill, in the order of their index in manifest and chunks.
#[derive(Debug)]
pub struct Sources {
    pub(crate) list: Vec<Source>,
}

/// One opened data set.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) spec: DatasetSpec,
    pub(crate) root: PathBuf,
    pub(crate) card: DatasetCard,
    pub(crate) dataset: Dataset,
}

/// What tells that a file is still the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Fingerprint {
    pub(crate) bytes: u64,
    pub(crate) modified_ns: u64,
}

impl Sources {
    /// Finds the cards and lists the files.
    ///
    /// # Errors
    /// No data set, a name twice, a path that is missing, inside another's or twice; a card that
    /// is missing or wrong; a folder that cannot be listed.
    pub fn open(options: &Options) -> Result<Self, ProducerError> {
        check_names(&options.datasets)?;
        let mut list: Vec<Source> = Vec::new();
        for spec in &options.datasets {
            let root = root_of(spec)?;
            check_paths(&list, spec, &root)?;
            let card = DatasetCard::find(&spec.card, options.config_dir.as_deref())?;
            let dataset = Dataset::open(&spec.name, card.clone(), &root, &options.config)
                .map_err(|source| ProducerError::Dataset { dataset: spec.name.clone(), source })?;
            list.push(Source { spec: spec.clone(), root, card, dataset });
        }
        Ok(Self { list })
    }

    /// Whether the paths and cards of data sets are there, without listing a file.
    ///
    /// # Errors
    /// As of [`Sources::open`].
    pub fn check(datasets: &[DatasetSpec], config_dir: Option<&Path>) -> Result<(), ProducerError> {
        check_names(datasets)?;
        for spec in datasets {
            root_of(spec)?;
            DatasetCard::find(&spec.card, config_dir)?;
        }
        Ok(())
    }

    /// Schemas in the order of the data set index.
    pub fn schemas(&self) -> Vec<DatasetSchema> {
        self.list.iter().map(|source| source.dataset.schema().clone()).collect()
    }
}

impl Source {
    /// The extremes of the first pass as the manifest keeps them; none where the card needs none.
    pub(crate) fn extremes(&self) -> Option<&Extremes> {
        self.dataset.extremes().filter(|_| self.card.needs_extremes())
    }

    /// The same as JSON, as digests take them.
    pub(crate) fn extremes_json(&self) -> String {
        serde_json::to_string(&self.extremes()).unwrap_or_default()
    }

    /// Takes the extremes of a former run, or makes the first pass where there are none.
    pub(crate) fn prepare(&mut self, known: Option<&Extremes>, stop: &StopFlag) -> Result<(), ProducerError> {
        if !self.card.needs_extremes() {
            return Ok(());
        }
        match known {
            Some(extremes) => {
                self.dataset.restore(extremes.clone());
                Ok(())
            }
            None => match self.dataset.prepare_until(&|| stop.is_set()) {
                Ok(true) => Ok(()),
                Ok(false) => Err(ProducerError::InterruptedWhilePlanning),
                Err(source) => Err(self.error(source)),
            },
        }
    }

    pub(crate) fn fingerprint(&self, file: &str) -> Option<Fingerprint> {
        let data = std::fs::metadata(self.path(file)).ok()?;
        let modified = data.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(Fingerprint { bytes: data.len(), modified_ns: modified.as_nanos() as u64 })
    }

    /// Digest of the names of all files with these fingerprints, which are in their order.
    pub(crate) fn digest_of(&self, fingerprints: impl Iterator<Item = Fingerprint>) -> String {
        let mut digest = Digest::new("rdt source files v1");
        for (name, fingerprint) in self.dataset.files().iter().zip(fingerprints) {
            digest.text(name).number(fingerprint.bytes).number(fingerprint.modified_ns);
        }
        digest.finish_hex()
    }

    /// The same of the files as they are now.
    pub(crate) fn digest_now(&self) -> String {
        let now = |name: &String| self.fingerprint(name).unwrap_or_default();
        self.digest_of(self.dataset.files().iter().map(now))
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        if self.root.is_file() { self.root.clone() } else { self.root.join(file) }
    }

    pub(crate) fn error(&self, source: EpisodeError) -> ProducerError {
        ProducerError::Dataset { dataset: self.spec.name.clone(), source }
    }
}

/// The path of a data set, without links.
fn root_of(spec: &DatasetSpec) -> Result<PathBuf, ProducerError> {
    std::fs::canonicalize(&spec.path).map_err(|error| ProducerError::Argument {
        argument: format!("the path of data set {}", spec.name),
        found: format!("{} ({error})", spec.path.display()),
        expected: "a folder with episodes, or a file; check the path".into(),
    })
}

fn check_names(specs: &[DatasetSpec]) -> Result<(), ProducerError> {
    if specs.is_empty() || specs.len() > usize::from(u16::MAX) {
        return Err(ProducerError::Argument {
            argument: Setting::DATASET.to_string(),
            found: format!("given {} times", specs.len()),
            expected: "at least one data set, as NAME=PATH".into(),
        });
    }
    for (index, spec) in specs.iter().enumerate() {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if !spec.name.chars().all(plain) || !spec.name.contains(|c: char| c.is_ascii_alphanumeric()) {
            return Err(ProducerError::Argument {
                argument: "the name of a data set".into(),
                found: format!("{:?}", spec.name),
                expected: "letters, digits and . _ - only: it goes into file names and lists".into(),
            });
        }
        if specs[..index].iter().any(|before| before.name == spec.name) {
            return Err(ProducerError::Argument {
                argument: Setting::DATASET.to_string(),
                found: format!("the name {} twice", spec.name),
                expected: format!("another name for each, such as {0}2:{1}=PATH", spec.name, spec.card),
            });
        }
    }
    Ok(())
}

fn check_paths(before: &[Source], spec: &DatasetSpec, root: &Path) -> Result<(), ProducerError> {
    match before.iter().find(|other| root.starts_with(&other.root) || other.root.starts_with(root)) {
        None => Ok(()),
        Some(other) => Err(ProducerError::Argument {
            argument: format!("the path of data set {}", spec.name),
            found: format!(
                "{}, which shares files with data set {} at {}",
                root.display(),
                other.spec.name,
                other.root.display()
            ),
            expected: "paths that do not contain each other: every episode would be in the buffer twice"
                .into(),
        }),
    }
}
