//! `rdt-buf verify`: is a buffer what was written, and what the sources say?
//!
//! Each chunk's every checksum, every frame's decoding, counts, dirty-bit files; with
//! `--against-source` every sample against its episode and step. The manifest's own
//! checksum is looked at when the buffer is opened. Damage ends with exit code 3: the
//! check ran to its end, and the report names what is lost.

#[cfg(feature = "hdf5")]
mod against_source;
mod chunk;
#[cfg_attr(not(feature = "hdf5"), expect(dead_code, reason = "only sources are compared with"))]
mod difference;
#[cfg(feature = "hdf5")]
mod frame_comparison;
mod text;

use std::path::PathBuf;

use rdt_buffer::{Buffer, BufferState, ChunkId, over_chunks};
use serde::Serialize;

use crate::exit::{Outcome, Usage};
use crate::inspect::embeddings::{self, DamagedEmbeddings};
use crate::inspect::survey::missing_chunks;
use crate::inspect::{note_if_unfinished, open};
use crate::progress::Progress;

/// Arguments of `rdt-buf verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The buffer
    pub dir: PathBuf,
    /// Also compare every sample with its episode and step in the source files
    #[arg(long)]
    pub against_source: bool,
    /// Where a data set's files are now, if not where they were
    #[arg(long, value_name = "NAME=PATH", requires = "against_source")]
    pub source: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What `verify --json` prints.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// `filling` or `complete`.
    pub state: BufferState,
    /// Chunks looked at.
    pub chunks: u64,
    /// Samples in them.
    pub samples: u64,
    /// Frames in them.
    pub frames: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Samples compared with the sources; null without `--against-source`.
    pub compared: Option<u64>,
    /// Samples that are lost or wrong.
    pub bad_samples: u64,
    /// Everything that is wrong with chunks.
    pub bad: Vec<Bad>,
    /// Files of embeddings looked at.
    pub embedding_files: u64,
    /// Those that are not what was written.
    pub bad_embeddings: Vec<DamagedEmbeddings>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Bad {
    /// The chunk.
    pub chunk: u32,
    /// The slot; null where the whole chunk is concerned.
    pub slot: Option<u32>,
    /// The sample's number; null where the whole chunk is concerned.
    pub sample: Option<u64>,
    /// Data set; null where it cannot be known.
    pub dataset: Option<String>,
    /// File, relative to the data set's path.
    pub source: Option<String>,
    /// Episode inside the file.
    pub episode: Option<String>,
    /// Step of the episode.
    pub step: Option<u32>,
    /// Samples that are lost by it.
    pub samples: u64,
    /// What kind of fault, and so what helps.
    pub kind: Kind,
    /// What is wrong.
    pub reason: String,
}

/// Kinds of faults, by what helps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A chunk is missing or not what was written.
    #[default]
    Damaged,
    /// The dirty bits of a whole chunk are missing or damaged.
    Bits,
    /// A frame is what was written and does not decode: its source does not either.
    Source,
    /// A sample is not what its source says now.
    Differs,
}

/// What was found in one chunk.
#[derive(Debug, Default)]
struct Checked {
    chunks: u64,
    samples: u64,
    frames: u64,
    bytes: u64,
    compared: u64,
    bad: Vec<Bad>,
}

/// Runs the command. [`Outcome::Incomplete`] where something is wrong.
///
/// # Errors
/// The path is not a buffer, or its manifest is damaged; a data set's source is not there.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let buffer = open(&args.dir)?;
    note_if_unfinished(&buffer);
    let report = check(&buffer, args)?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        text::print(&report)?;
    }
    Ok(if report.ok { Outcome::Done } else { Outcome::Incomplete })
}

fn check(buffer: &Buffer, args: &Args) -> anyhow::Result<Report> {
    let sources = sources(buffer, args)?;
    let chunks = buffer.published_chunks()?;
    let missing = missing_chunks(buffer, &chunks);
    let progress = Progress::new("verifying", chunks.len() as u64, "chunks");
    let mut all = over_chunks(&chunks, Some(&|done| progress.set(done, "")), |id| {
        let mut checked = chunk::check(buffer, id);
        compare(sources.as_ref(), buffer, id, &mut checked);
        checked
    });
    progress.finish();
    all.extend(missing.into_iter().map(|(id, reason)| Checked {
        bad: vec![Bad {
            chunk: id.get(),
            samples: buffer.manifest().samples_of(id).into(),
            reason,
            ..Bad::default()
        }],
        ..Checked::default()
    }));
    let (embedding_files, bad_embeddings) = embeddings::verify(buffer)?;
    let sum = |count: &dyn Fn(&Checked) -> u64| all.iter().map(count).sum::<u64>();
    let mut report = Report {
        ok: true,
        state: buffer.manifest().state,
        chunks: sum(&|c| c.chunks),
        samples: sum(&|c| c.samples),
        frames: sum(&|c| c.frames),
        bytes: sum(&|c| c.bytes),
        compared: args.against_source.then(|| sum(&|c| c.compared)),
        bad_samples: 0,
        bad: all.into_iter().flat_map(|checked| checked.bad).collect(),
        embedding_files,
        bad_embeddings,
    };
    report.bad.sort_by_key(|bad| (bad.chunk, bad.slot));
    report.bad_samples = report.bad.iter().map(|bad| bad.samples).sum();
    report.ok = report.bad.is_empty() && report.bad_embeddings.is_empty();
    Ok(report)
}

#[cfg(feature = "hdf5")]
fn sources(buffer: &Buffer, args: &Args) -> anyhow::Result<Option<against_source::Sources>> {
    if !args.against_source {
        return Ok(None);
    }
    let mut moved = Vec::new();
    for source in &args.source {
        match source.split_once('=') {
            Some((name, path)) => moved.push((name.to_owned(), PathBuf::from(path))),
            None => return Err(Usage::new(format!("--source is {source}, expected NAME=PATH"))),
        }
    }
    against_source::Sources::open(buffer, &moved).map(Some)
}

#[cfg(feature = "hdf5")]
fn compare(sources: Option<&against_source::Sources>, buffer: &Buffer, id: ChunkId, checked: &mut Checked) {
    if let Some(sources) = sources {
        sources.compare(buffer, id, checked);
    }
}

#[cfg(not(feature = "hdf5"))]
fn sources(_buffer: &Buffer, args: &Args) -> anyhow::Result<Option<std::convert::Infallible>> {
    if args.against_source {
        return Err(Usage::new(
            "this rdt-buf was built without HDF5 and cannot read the sources; \
             build it with `cargo build --release -p rdt-cli --features hdf5`",
        ));
    }
    Ok(None)
}

#[cfg(not(feature = "hdf5"))]
fn compare(_: Option<&std::convert::Infallible>, _: &Buffer, _: ChunkId, _: &mut Checked) {}
