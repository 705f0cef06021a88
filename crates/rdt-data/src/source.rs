//! Where samples come from: a buffer, or source files straight away.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rdt_buffer::{Buffer, BufferState, Manifest, Samples};
use rdt_schema::{CameraSlot, Config, DataAbout, Omission, TextFile};

use crate::error::DataError;

/// Where samples are, and which configuration goes with them.
#[derive(Debug, Clone)]
pub struct SourceSpec {
    /// Where.
    pub place: Place,
    /// The configuration.
    pub config: ConfigChoice,
    /// Whether every chunk of a buffer must be there.
    pub is_complete: bool,
}

/// A place that has samples.
#[derive(Debug, Clone)]
pub enum Place {
    /// A buffer.
    Buffer(PathBuf),
    /// Files of episodes.
    #[cfg(feature = "hdf5")]
    Episodes(crate::Episodes),
}

/// Which configuration goes with the samples.
#[derive(Debug, Clone)]
pub enum ConfigChoice {
    /// That which the buffer was filled with.
    OfTheBuffer,
    /// That of a file, which was read.
    File(TextFile),
    /// This one.
    Given(Box<Config>),
}

/// What is told while source files are scanned.
#[derive(Debug)]
pub enum SourceEvent<'a> {
    /// So many of the files.
    Scanned {
        /// Done.
        files: u64,
        /// There are.
        total: u64,
    },
    /// Something was left out as faulty.
    Skipped(&'a Omission),
}

/// Samples, ready to be loaded.
#[derive(Debug, Clone)]
pub struct Source {
    /// The samples.
    pub samples: Arc<dyn Samples>,
    /// Windows, network and encoders.
    pub config: Config,
    /// Names what is loaded, for checkpoints: equal for equal samples.
    pub name: String,
    /// What a checkpoint keeps of it.
    pub about: DataAbout,
    /// The buffer, where there is one.
    pub buffer: Option<Arc<Buffer>>,
    /// What was scanned, where there is none.
    pub scanned: Option<Scanned>,
}

/// What a scan of source files found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scanned {
    /// Samples.
    pub samples: u64,
    /// Episodes that they are of.
    pub episodes: u64,
    /// Files and episodes left out as faulty.
    pub skipped: usize,
    /// Episodes left out by design.
    pub filtered: usize,
}

impl SourceSpec {
    /// The folder of the buffer, if it is one.
    pub fn buffer(&self) -> Option<&Path> {
        match &self.place {
            Place::Buffer(dir) => Some(dir),
            #[cfg(feature = "hdf5")]
            Place::Episodes(_) => None,
        }
    }

    /// The configuration, without looking at any sample.
    ///
    /// # Errors
    /// It cannot be understood; it is the buffer's, and there is none.
    pub fn config(&self) -> Result<Config, DataError> {
        let of_file = |file: &TextFile| Ok(Config::from_text(&file.text, &file.path)?);
        match (&self.config, &self.place) {
            (ConfigChoice::Given(config), _) => Ok(config.as_ref().clone()),
            (ConfigChoice::File(file), _) => of_file(file),
            (ConfigChoice::OfTheBuffer, Place::Buffer(dir)) => of_file(&Manifest::read(dir)?.config),
            #[cfg(feature = "hdf5")]
            (ConfigChoice::OfTheBuffer, Place::Episodes(_)) => Err(DataError::setting(
                rdt_schema::Setting::CONFIG,
                "missing",
                "a configuration: source files have none",
            )),
        }
    }

    /// Refuses a place that is not there, without looking at any sample.
    ///
    /// # Errors
    /// It is no buffer; a path or a card of a data set is not there.
    pub fn check(&self) -> Result<(), DataError> {
        match &self.place {
            Place::Buffer(dir) => Ok(Manifest::read(dir).map(drop)?),
            #[cfg(feature = "hdf5")]
            Place::Episodes(episodes) => {
                let dir = match &self.config {
                    ConfigChoice::File(file) => file.path.parent().filter(|dir| dir.is_dir()),
                    _ => None,
                };
                Ok(rdt_producer::Sources::check(&episodes.datasets, dir)?)
            }
        }
    }

    /// Opens the buffer, or scans the files, until `stop` is set.
    ///
    /// # Errors
    /// A configuration, buffer or files that cannot be used; somebody asked to stop.
    pub fn open(
        &self,
        stop: Arc<AtomicBool>,
        watch: &(dyn Fn(SourceEvent<'_>) + Sync),
    ) -> Result<Source, DataError> {
        let config = self.config()?;
        match &self.place {
            Place::Buffer(dir) => {
                // Only scans are long enough to be stopped.
                drop(stop);
                let _ = watch;
                let buffer =
                    Arc::new(if self.is_complete { Buffer::open_complete(dir)? } else { Buffer::open(dir)? });
                let name = name(buffer.sample_count(), &buffer.manifest().plan_digest);
                let about = buffer.manifest().about();
                let samples = buffer.clone();
                Ok(Source { samples, config, name, about, buffer: Some(buffer), scanned: None })
            }
            #[cfg(feature = "hdf5")]
            Place::Episodes(episodes) => {
                let file = match &self.config {
                    ConfigChoice::File(file) => file.clone(),
                    _ => TextFile { path: PathBuf::new(), text: String::new() },
                };
                episodes.scan(config, file, stop, watch)
            }
        }
    }
}

impl Source {
    /// Files and episodes that were left out as faulty while they were scanned for this.
    pub fn skipped(&self) -> usize {
        self.scanned.map_or(0, |scanned| scanned.skipped)
    }

    /// Whether it is a buffer whose chunks are replaced when they are consumed.
    pub fn is_live(&self) -> bool {
        self.buffer.as_ref().is_some_and(|buffer| buffer.manifest().state == BufferState::Live)
    }

    /// The same place with the samples that it has now, where they are replaced.
    pub(crate) fn as_it_is_now(&self) -> Result<Self, DataError> {
        let Some(buffer) = self.buffer.as_ref().filter(|_| self.is_live()) else { return Ok(self.clone()) };
        let buffer = Arc::new(Buffer::open(buffer.dir())?);
        Ok(Self { samples: buffer.clone(), buffer: Some(buffer), ..self.clone() })
    }

    /// Samples a chunk, where there are chunks.
    pub fn chunk_size(&self) -> Option<u32> {
        self.buffer.as_ref().map(|buffer| buffer.manifest().chunk_size)
    }

    /// A line for each data set with cameras that the samples have and the network does not see.
    pub fn hidden_cameras(&self) -> Vec<String> {
        let seen = usize::from(self.config.common.num_cameras);
        let mut lines = Vec::new();
        for schema in self.samples.datasets() {
            let hidden = CameraSlot::ALL.into_iter().skip(seen).filter(|slot| schema.cameras[slot.index()]);
            let names: Vec<_> = hidden.map(CameraSlot::name).collect();
            if !names.is_empty() {
                let (dataset, names) = (&schema.name, names.join(", "));
                lines.push(format!(
                    "data set {dataset}: not trained on, since num_cameras is {seen}: {names}"
                ));
            }
        }
        lines
    }
}

/// How a checkpoint names samples.
pub(crate) fn name(samples: u64, digest: &str) -> String {
    format!("{samples} samples, plan {digest}")
}
