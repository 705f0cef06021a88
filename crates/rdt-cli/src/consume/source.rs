//! Where the samples of a command come from: a buffer, or source files straight away.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rdt_buffer::{Buffer, TextFile};
use rdt_consumer::SampleSource;
use rdt_schema::Config;

use crate::datasets::DatasetFlags;
use crate::exit::Usage;

/// Where samples come from.
#[derive(Debug, Clone, clap::Args)]
pub struct SourceFlags {
    /// The buffer, as rdt-produce filled it
    #[arg(long, value_name = "DIR")]
    pub buffer: Option<PathBuf>,
    /// Read the samples of --dataset from their HDF5 files, without a buffer: every step of every
    /// episode once an epoch, in batches equal to those of a buffer filled from these files
    #[arg(long, conflicts_with = "buffer")]
    pub load_from_hdf5: bool,
    #[expect(missing_docs, reason = "a comment would become the help of the whole program")]
    #[command(flatten)]
    pub datasets: DatasetFlags,
}

/// Samples, ready to be loaded.
#[derive(Debug)]
pub struct OpenedSource {
    /// The samples.
    pub samples: SampleSource,
    /// Windows, network and encoders: the configuration that was given, else that of the buffer.
    pub config: Config,
    /// Names what is loaded, for checkpoints: equal for equal samples.
    pub data: String,
    /// The buffer, where there is one.
    pub buffer: Option<Arc<Buffer>>,
    /// Files and episodes that were left out as faulty while they were scanned for this.
    pub skipped: usize,
}

/// Which configuration goes with the samples.
#[derive(Debug, Clone)]
pub enum ConfigChoice {
    /// That of a file, as a user names it; without one, that of the buffer or the shipped one.
    File(Option<PathBuf>),
    /// This one.
    Given(Box<Config>),
}

/// How a source is opened.
#[derive(Debug, Clone)]
pub struct HowToOpen<'a> {
    /// The buffer where no flag names one; none if a flag must.
    pub default_buffer: Option<&'a Path>,
    /// Whether every chunk must be there.
    pub complete: bool,
    /// The configuration.
    pub config: ConfigChoice,
    /// Set from outside to end a scan of source files.
    pub stop: Arc<AtomicBool>,
}

impl SourceFlags {
    /// Opens the buffer, or scans the source files.
    ///
    /// # Errors
    /// Wrong usage or configuration; a buffer or files that cannot be used.
    pub fn open(&self, how: HowToOpen<'_>) -> anyhow::Result<OpenedSource> {
        let listed = self.datasets.without_lists_of_no_folder();
        let takes_no_list = self.datasets.dataset_type.is_some() && listed.dataset_type.is_none();
        if self.load_from_hdf5 {
            if takes_no_list && !listed.is_empty() {
                eprintln!(
                    "--dataset-type: no effect without --data-root, the data sets are those of --dataset"
                );
                return Self { datasets: listed, ..self.clone() }.scan(how);
            }
            return self.scan(how);
        }
        if takes_no_list {
            eprintln!("--dataset-type: no effect, the data sets are those that the buffer was filled with");
        }
        if !listed.is_empty() {
            return Err(Usage::new(
                "data sets are named, and --load-from-hdf5 is missing; give it, or fill a buffer from them with \
                 rdt-produce",
            ));
        }
        // What the user wrote comes before what the buffer holds.
        let given = match how.config {
            ConfigChoice::Given(config) => Some(*config),
            ConfigChoice::File(path) => {
                path.as_deref().map(Config::from_file).transpose().map_err(Usage::from_error)?
            }
        };
        let Some(dir) = self.buffer.as_deref().or(how.default_buffer) else {
            return Err(Usage::new(
                "--buffer is missing; give the folder that rdt-produce filled, or --load-from-hdf5 with --dataset",
            ));
        };
        let buffer = Arc::new(if how.complete { Buffer::open_complete(dir)? } else { Buffer::open(dir)? });
        let config = match given {
            Some(config) => config,
            None => {
                let TextFile { path, text } = &buffer.manifest().config;
                Config::from_text(text, path).map_err(Usage::from_error)?
            }
        };
        Ok(OpenedSource {
            samples: Arc::clone(&buffer).into(),
            config,
            data: data(buffer.sample_count(), &buffer.manifest().plan_digest),
            buffer: Some(buffer),
            skipped: 0,
        })
    }

    #[cfg(not(feature = "hdf5"))]
    fn scan(&self, _how: HowToOpen<'_>) -> anyhow::Result<OpenedSource> {
        Err(Usage::new(
            "--load-from-hdf5: this program was built without HDF5 (feature `hdf5` of rdt-cli); build it with \
             HDF5, or fill a buffer elsewhere with rdt-produce and give --buffer",
        ))
    }

    #[cfg(feature = "hdf5")]
    fn scan(&self, how: HowToOpen<'_>) -> anyhow::Result<OpenedSource> {
        let (config, file) = match how.config {
            ConfigChoice::Given(config) => (*config, TextFile { path: PathBuf::new(), text: String::new() }),
            ConfigChoice::File(path) => {
                let file = crate::datasets::config_file(path).map_err(Usage::from_error)?;
                (Config::from_text(&file.text, &file.path).map_err(Usage::from_error)?, file)
            }
        };
        let samples = super::episodes::scan(&self.datasets, &config, file, how.stop)?;
        let skipped = samples.skipped();
        let data = data(rdt_consumer::Samples::sample_count(&samples), samples.digest());
        Ok(OpenedSource { samples: Arc::new(samples).into(), config, data, buffer: None, skipped })
    }
}

fn data(samples: u64, digest: &str) -> String {
    format!("{samples} samples, plan {digest}")
}
