//! `rdt-consume embed`: runs a frozen encoder once over all that a buffer has for it, and stores
//! what it makes in the buffer, so that training needs neither the encoder nor its time.

mod decode;
mod images;
mod language;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rdt_buffer::Buffer;
use rdt_buffer::embedding::{Element, EmbedderLock, EmbeddingHeader, EncoderDigest};
use rdt_buffer::storage::Disk;
use rdt_cli::consume::source::{self, SourceFlags, Wanted};
use rdt_cli::exit::{Outcome, Usage};
use rdt_cli::{print, signals};
use rdt_model::device;
use rdt_model::encoder::EncoderFolders;
use rdt_model::encoder::stored::refuse_another;
use rdt_schema::Config;
use rdt_train::run::settings::MixedPrecision;
use serde::Serialize;
use tch::{Device, Kind};

use super::train::{DeviceFlag, EncoderFlags, Precision};

/// Flags of `embed`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The buffer
    #[arg(long, value_name = "DIR")]
    pub buffer: PathBuf,
    /// Which encoders, and their sizes [default: the configuration that the buffer was filled with]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the encoders are
    #[command(flatten)]
    pub encoders: EncoderFlags,
    /// Seed of untrained encoders: that of the run that will use the embeddings
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceFlag::Auto)]
    pub device: DeviceFlag,
    /// What the encoder computes in and what is stored: bf16, as RDT does, or f32
    #[arg(long, value_enum, default_value_t = Precision::Bf16)]
    pub mixed_precision: Precision,
    /// Embed frames instead of instructions: 1.7 MB an image of SigLIP's in bf16, see docs/training.md
    #[arg(long)]
    pub images: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What there is to work with.
struct Work<'a> {
    buffer: &'a Arc<Buffer>,
    config: &'a Config,
    encoders: EncoderFolders,
    seed: u64,
    device: Device,
    element: Element,
    lock: EmbedderLock,
    stop: Arc<AtomicBool>,
}

impl Work<'_> {
    fn kind(&self) -> Kind {
        rdt_model::encoder::stored::kind_of(self.element)
    }

    /// Refuses to mix embeddings of two encoders or elements in `folder`, where `found` already is.
    fn refuse_another(
        &self,
        folder: PathBuf,
        found: &EmbeddingHeader,
        digest: EncoderDigest,
    ) -> anyhow::Result<()> {
        refuse_another("embed", &folder, found, Some(digest), Some(self.element)).map_err(Usage::from_error)
    }
}

/// What was made.
#[derive(Debug, Serialize)]
struct Report {
    /// Embeddings that the buffer has now.
    embeddings: u64,
    /// Those of them that were made by this run.
    made: u64,
    /// Bytes that this run wrote.
    bytes: u64,
    /// The encoder.
    encoder: String,
    /// Chunks that could not be read.
    unread_chunks: Vec<String>,
    /// Frames that could not be decoded: they have no embedding.
    unread_frames: Vec<String>,
}

/// Embeds.
///
/// # Errors
/// Wrong usage; a buffer or encoder that cannot be used; another process at it; stopped before
/// the end.
pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let stop = signals::stop_flag("what is finished stays, and the same command continues")?;
    let flags = SourceFlags {
        buffer: Some(args.buffer.clone()),
        load_from_hdf5: false,
        datasets: Default::default(),
    };
    // Of a buffer that is still filled or refilled, what is there: run again for the rest.
    let spec = flags.spec(Wanted {
        default_buffer: None,
        is_complete: false,
        config: args.config.clone(),
        known_config: None,
        known_data: None,
    })?;
    let source = source::open(&spec, Arc::clone(&stop))?;
    let Some(buffer) = &source.buffer else { return Err(Usage::new("--buffer is missing")) };
    device::set_cpu_threads(None).map_err(Usage::from_error)?;
    let (device, why) = device::choose(args.device.into()).map_err(Usage::from_error)?;
    eprintln!("device: {} ({why})", if device.is_cuda() { "cuda" } else { "cpu" });
    let element = match MixedPrecision::from(args.mixed_precision) {
        MixedPrecision::No => Element::F32,
        MixedPrecision::Bf16 => Element::Bf16,
    };
    let lock = EmbedderLock::acquire(buffer.dir(), &Disk)?;
    let work = Work {
        buffer,
        config: &source.config,
        encoders: (&args.encoders).into(),
        seed: args.seed,
        device,
        element,
        lock,
        stop,
    };
    let report = if args.images { images::embed(&work) } else { language::embed(&work) }?;
    let unread = || report.unread_chunks.iter().chain(&report.unread_frames);
    unread().for_each(|line| eprintln!("warning: {line}"));
    match args.json {
        true => print::line(format_args!("{}", serde_json::to_string(&report)?))?,
        false => {
            let Report { embeddings, made, bytes, encoder, .. } = &report;
            print::line(format_args!("embeddings {embeddings}"))?;
            print::line(format_args!("made {made} ({bytes} bytes)"))?;
            print::line(format_args!("encoder {encoder}"))?;
        }
    }
    Ok(if unread().next().is_none() { Outcome::Done } else { Outcome::Incomplete })
}

/// A stop from outside, as an error.
fn stopped(made: u64) -> anyhow::Error {
    anyhow::anyhow!("stopped as asked, {made} embeddings were made; the same command continues")
}
