//! Settings of a fill.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use rdt_buffer::{FillSettings, SpreadSettings};
use rdt_chunk::FrameStorage;
use rdt_schema::Config;
use rdt_schema::TextFile;

use crate::spec::DatasetSpec;
use crate::spread::Spread;

/// Which steps become samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// Every step of every accepted episode, once, in order.
    All,
    /// RDT's HDF5 loaders' draw, for comparison: an episode by its length, a step of it, with
    /// replacement.
    Random,
}

impl Sampling {
    /// As `--sampling` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Random => "random",
        }
    }
}

/// Everything that a fill is told. Only `workers` does not change what is in the chunks.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data sets, in the order in which they are laid out.
    pub datasets: Vec<DatasetSpec>,
    /// The configuration.
    pub config: Config,
    /// The same, verbatim, and where it was read.
    pub config_file: TextFile,
    /// Where cards are looked for first (`<config_dir>/datasets`).
    pub config_dir: Option<PathBuf>,
    /// RDT's lists that were read, verbatim.
    pub lists: Vec<TextFile>,
    /// Samples a chunk.
    pub chunk_size: u32,
    /// How frames are stored.
    pub frames: FrameStorage,
    /// Which steps.
    pub sampling: Sampling,
    /// How steps are spread over chunks; in order if not. [`Sampling::All`] only.
    pub spread: Option<Spread>,
    /// Most chunks; of [`Sampling::Random`], how many.
    pub num_chunks: Option<u32>,
    /// Seed of all draws.
    pub seed: u64,
    /// Whether every source frame is decoded before anything is laid out, which finds noise inside
    /// a picture; its structure is always checked.
    pub check_frames: bool,
    /// Threads that read and write.
    pub workers: NonZeroUsize,
}

impl Options {
    /// The defaults for these data sets and this configuration, which `text` holds verbatim.
    pub fn new(datasets: Vec<DatasetSpec>, config: Config, path: PathBuf, text: String) -> Self {
        Self {
            datasets,
            chunk_size: config.dataset.buf_chunk_size,
            config,
            config_dir: path.parent().filter(|dir| dir.is_dir()).map(Path::to_owned),
            config_file: TextFile { path, text },
            lists: Vec::new(),
            frames: FrameStorage::default(),
            sampling: Sampling::All,
            spread: None,
            num_chunks: None,
            seed: 0,
            check_frames: false,
            workers: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        }
    }

    /// What of it goes into the manifest as settings of the fill.
    pub(crate) fn fill_settings(&self) -> FillSettings {
        FillSettings {
            sampling: self.sampling.name().into(),
            // As a mere limit it changes no chunk, so a fill may be continued with another.
            num_chunks: self.num_chunks.filter(|_| self.sampling == Sampling::Random),
            seed: self.seed,
            image_codec: self.frames.codec.to_string(),
            frame_size: self.frames.size,
            check_frames: self.check_frames,
            spread: self.spread.map(|spread| SpreadSettings {
                chunks: spread.chunks.get(),
                run_length: spread.run_length.get(),
            }),
        }
    }
}
