//! The command line of `rdt-produce`, and what it means.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use rdt_chunk::{FrameStorage, ImageCodec};
use rdt_cli::datasets::{DatasetFlags, config_file};
use rdt_cli::exit::Usage;
use rdt_producer::spread::DEFAULT_RUN_LENGTH;
use rdt_producer::{Options, Sampling, Spread};
use rdt_schema::TextFile;
use rdt_schema::{Config, SchemaError};

use super::live_args::LiveArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  rdt-produce --fill-up --dataset libero=/data/libero_90 --buffer /data/buffer
      every step of every episode, by the shipped card `libero`
  rdt-produce --fill-up --dataset kitchen:libero=/data/a --dataset arm:cards/arm.yaml=/data/b
      two data sets, one by an own card (configs/README.md says how to write one)
  rdt-produce --fill-up --dataset libero=/data/libero_90 --spread 64
      for training from a disk: runs of steps spread over 64 chunks at a time, to be read
      with rdt-consume --order windowed
  rdt-produce --fill-up --dataset libero=/data/libero_90 --dry-run
      what it would make: chunks, samples, bytes, time; writes nothing
  rdt-produce --fill-up --dataset-type finetune --data-root /data --config configs/base.yaml
      the names of finetune_datasets.json beside the configuration, each in /data/NAME

  rdt-produce --fill-up --follow --num-chunks 128 --dataset libero=/data/libero_90
      a live buffer: filled, then refilled as rdt-consume --follow consumes it, until stopped
  rdt-produce status /data/buffer
      what its producers and consumers are at

A fill that was interrupted, even by kill -9, continues when the same command is run again.

Exit codes: 0 done; 1 failed or interrupted; 2 wrong usage or configuration; 3 done, but episodes
were skipped since something is wrong with them (each is named). Episodes that a filter leaves out
by design do not count.";

/// Fill a buffer with the samples of robot episodes, for rdt-consume to train on.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Put every step of every accepted episode into the buffer once, and stop. With --follow: write
    /// the chunks that are missing, too.
    #[arg(long)]
    pub fill_up: bool,

    // No doc comment: it would become the help of the whole program.
    #[command(flatten)]
    pub datasets: DatasetFlags,

    /// Where the buffer is made [default: dataset.buf_path of the configuration, else ./buffer].
    #[arg(long, value_name = "DIR")]
    pub buffer: Option<PathBuf>,

    /// RDT's configuration [default: the shipped base.yaml].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Threads that read and write [default: as many as there are cores].
    #[arg(long, value_name = "N")]
    pub n_workers: Option<NonZeroUsize>,

    /// Seed of random draws.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,

    /// Most chunks the buffer may have, at most 1048576 (with --sampling random or --follow: how many
    /// it has).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MAX_CHUNKS))]
    pub num_chunks: Option<u32>,

    /// Samples a chunk [default: dataset.buf_chunk_size of the configuration].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MAX_CHUNK_SIZE))]
    pub chunk_size: Option<u32>,

    /// How frames are stored: auto (JPEG as it is, raw frames lossless; lz4 with --frame-size), raw, zstd, zstd-ref, lz4,
    /// or jpeg:QUALITY (lossy; jpeg alone is 95).
    #[arg(long, value_name = "CODEC", default_value_t)]
    pub image_codec: ImageCodec,

    /// Store frames padded and resized for an image encoder of that size (RDT: 384), in whatever
    /// codec: they load faster and take more room, and training on them is exact without image
    /// augmentation, which would come before the resize. docs/storage-forms.md has figures.
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=i64::from(FrameStorage::MOST_SIZE)))]
    pub frame_size: Option<u32>,

    /// Which steps: all of them once, or RDT's random draws with replacement, for comparison.
    #[arg(long, value_enum, default_value_t = SamplingArg::All)]
    pub sampling: SamplingArg,

    /// Spread the steps over N chunks (2 to 4096, or all where there are fewer) instead of laying
    /// them in order: each gets runs of consecutive steps of many episodes. For
    /// `rdt-consume --order windowed`, which reads few chunks at a time; costs a few percent of room.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=MAX_SPREAD))]
    pub spread: Option<u32>,

    /// Most steps of a run with --spread: fewer mix better, and take more room (32: 3 % more frames,
    /// 16: 6 %) [default: 32].
    #[arg(long, value_name = "STEPS", requires = "spread")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=MAX_CHUNK_SIZE))]
    pub run_length: Option<u32>,

    /// Decode every frame of the sources before anything is laid out, and skip the episodes with one
    /// that does not decode. Off by default: it costs the CPU time of decoding everything once more,
    /// several times that of the fill itself. What is always checked is the structure of each frame,
    /// which noise inside a picture may leave intact.
    #[arg(long)]
    pub check_frames: bool,

    /// Say what would be made, and make nothing.
    #[arg(long)]
    pub dry_run: bool,

    /// Print the report as JSON.
    #[arg(long)]
    pub json: bool,

    // No doc comment: it would become the help of the whole program.
    #[command(flatten)]
    pub live: LiveArgs,
}

/// A thousand million samples in chunks of the usual 1024: enough for all of RDT's data, and a slip
/// of the hand does not plan for hours.
const MAX_CHUNKS: i64 = 1 << 20;
/// A chunk's part of the plan is worked out from the runs of all chunks that are open with it.
const MAX_SPREAD: i64 = 4096;
/// More would make a chunk too large to map and checksum as one.
const MAX_CHUNK_SIZE: i64 = 65_536;

/// Which steps.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum SamplingArg {
    /// Each once.
    All,
    /// As RDT's HDF5 loaders.
    Random,
}

/// A checked command line.
pub(super) struct Command {
    /// What to fill with what.
    pub options: Options,
    /// Where.
    pub buffer: PathBuf,
}

impl Args {
    /// Checks the arguments against each other and reads the configuration and the lists.
    pub(super) fn meaning(&self) -> anyhow::Result<Command> {
        let (config_file, config) = self.config().map_err(Usage::from_error)?;
        let config_dir = self.config.as_deref().and_then(Path::parent).map(directory);
        let (mut datasets, lists) = self.datasets.specs(config_dir.as_deref())?;
        self.live.weigh(&mut datasets)?;
        let buffer = self.buffer.clone().or_else(|| config.dataset.buf_path.clone());
        let TextFile { path, text } = config_file;
        let mut options = Options::new(datasets, config, path, text);
        options.config_dir = config_dir;
        options.lists = lists;
        options.chunk_size = self.chunk_size.unwrap_or(options.chunk_size);
        options.frames = FrameStorage { codec: self.image_codec, size: self.frame_size };
        options.sampling = match self.sampling {
            SamplingArg::All => Sampling::All,
            SamplingArg::Random => Sampling::Random,
        };
        options.spread = self.spread()?;
        options.num_chunks = self.num_chunks;
        options.seed = self.seed;
        options.check_frames = self.check_frames;
        options.workers = self.n_workers.unwrap_or(options.workers);
        Ok(Command { options, buffer: buffer.unwrap_or_else(|| PathBuf::from("buffer")) })
    }

    /// Where the buffer is, where nothing else matters.
    pub(super) fn buffer_dir(&self) -> anyhow::Result<PathBuf> {
        let (_, config) = self.config().map_err(Usage::from_error)?;
        let dir = self.buffer.clone().or(config.dataset.buf_path);
        Ok(dir.unwrap_or_else(|| PathBuf::from("buffer")))
    }

    fn spread(&self) -> anyhow::Result<Option<Spread>> {
        let Some(chunks) = self.spread.and_then(NonZeroU32::new) else { return Ok(None) };
        if matches!(self.sampling, SamplingArg::Random) {
            return Err(Usage::new(
                "--spread is given with --sampling random, whose chunks hold single steps of all episodes \
                 anyway; expected one of the two",
            ));
        }
        let run_length = self.run_length.and_then(NonZeroU32::new).unwrap_or(DEFAULT_RUN_LENGTH);
        Ok(Some(Spread { chunks, run_length }))
    }

    fn config(&self) -> Result<(TextFile, Config), SchemaError> {
        let file = config_file(self.config.clone())?;
        let config = Config::from_text(&file.text, &file.path)?;
        Ok((file, config))
    }
}

/// The folder of a file given by name alone is the current one.
fn directory(parent: &Path) -> PathBuf {
    if parent.as_os_str().is_empty() { PathBuf::from(".") } else { parent.to_owned() }
}
