//! Where the samples of a command come from: the flags, and opening what they name with a progress bar.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use rdt_data::{ConfigChoice, DataError, Place, Source, SourceEvent, SourceSpec};
use rdt_schema::{Config, DataAbout};

use crate::datasets::{DatasetFlags, config_file};
use crate::exit::Usage;
use crate::progress::Progress;

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

/// What a command says of its source beside the flags.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// The buffer where no flag names one; none if a flag must.
    pub default_buffer: Option<&'a Path>,
    /// Whether every chunk must be there.
    pub is_complete: bool,
    /// The configuration, as a user names its file.
    pub config: Option<PathBuf>,
    /// The configuration, known otherwise: it goes before that of a file.
    pub known_config: Option<Config>,
    /// The data that a network was trained on, whose extremes go before those of files.
    pub known_data: Option<DataAbout>,
}

impl SourceFlags {
    /// What they mean.
    ///
    /// # Errors
    /// Wrong usage, or a file of the configuration that cannot be read.
    pub fn spec(&self, wanted: Wanted<'_>) -> anyhow::Result<SourceSpec> {
        let listed = self.datasets.without_lists_of_no_folder();
        let takes_no_list = self.datasets.dataset_type.is_some() && listed.dataset_type.is_none();
        if self.load_from_hdf5 {
            if takes_no_list && !listed.is_empty() {
                eprintln!(
                    "--dataset-type: no effect without --data-root, the data sets are those of --dataset"
                );
                return listed.source(wanted);
            }
            return self.datasets.source(wanted);
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
        let config = match (wanted.known_config, wanted.config) {
            (Some(config), _) => ConfigChoice::Given(Box::new(config)),
            (None, Some(path)) => ConfigChoice::File(config_file(Some(path)).map_err(Usage::from_error)?),
            (None, None) => ConfigChoice::OfTheBuffer,
        };
        let Some(dir) = self.buffer.as_deref().or(wanted.default_buffer) else {
            return Err(Usage::new(
                "--buffer is missing; give the folder that rdt-produce filled, or --load-from-hdf5 with --dataset",
            ));
        };
        Ok(SourceSpec { place: Place::Buffer(dir.to_owned()), config, is_complete: wanted.is_complete })
    }
}

impl DatasetFlags {
    #[cfg(not(feature = "hdf5"))]
    fn source(&self, _wanted: Wanted<'_>) -> anyhow::Result<SourceSpec> {
        Err(Usage::new(
            "--load-from-hdf5: this program was built without HDF5 (feature `hdf5` of rdt-cli); build it with \
             HDF5, or fill a buffer elsewhere with rdt-produce and give --buffer",
        ))
    }

    /// The files of data sets as a source.
    #[cfg(feature = "hdf5")]
    fn source(&self, wanted: Wanted<'_>) -> anyhow::Result<SourceSpec> {
        let (config, config_dir) = match wanted.known_config {
            Some(config) => (ConfigChoice::Given(Box::new(config)), None),
            None => {
                let file = config_file(wanted.config).map_err(Usage::from_error)?;
                let dir = file.path.parent().filter(|dir| dir.is_dir()).map(Path::to_owned);
                (ConfigChoice::File(file), dir)
            }
        };
        let (datasets, lists) = self.specs(config_dir.as_deref())?;
        let place = Place::Episodes(rdt_data::Episodes { datasets, lists, known: wanted.known_data });
        Ok(SourceSpec { place, config, is_complete: wanted.is_complete })
    }
}

/// Opens a source, showing the progress of a scan and naming what is left out as faulty.
///
/// # Errors
/// Wrong usage or configuration; a buffer or files that cannot be used; somebody asked to stop.
pub fn open(spec: &SourceSpec, stop: Arc<AtomicBool>) -> anyhow::Result<Source> {
    let progress = OnceLock::new();
    let source = spec.open(stop, &|event| match event {
        SourceEvent::Scanned { files, total } => {
            progress.get_or_init(|| Progress::new("planning", total, "files")).set(files, "");
        }
        SourceEvent::Skipped(omission) => match progress.get() {
            Some(progress) => progress.print(&format!("skipped {omission}")),
            None => eprintln!("skipped {omission}"),
        },
    });
    if let Some(progress) = progress.into_inner() {
        progress.finish();
    }
    let source = source.map_err(usage_or_failure)?;
    if let Some(scanned) = source.scanned {
        eprintln!(
            "plan: {} samples of {} episodes straight from their files; {} skipped as faulty, {} filtered out by \
             design",
            scanned.samples, scanned.episodes, scanned.skipped, scanned.filtered
        );
    }
    Ok(source)
}

/// An error of the data, as wrong usage where it is that.
pub fn usage_or_failure(error: DataError) -> anyhow::Error {
    if error.is_usage() { Usage::from_error(error) } else { error.into() }
}
