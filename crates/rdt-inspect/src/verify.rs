//! Is a buffer what was written, and what the sources say?
//!
//! Each chunk's every checksum, every frame's decoding, counts, dirty-bit files; where it is asked for,
//! every sample against its episode and step. The manifest's own checksum is looked at when the buffer
//! is opened.

#[cfg(feature = "hdf5")]
mod against_source;
mod chunk;
#[cfg(feature = "hdf5")]
mod difference;
#[cfg(feature = "hdf5")]
mod frame_comparison;

use std::path::PathBuf;

use rdt_buffer::{Buffer, BufferState, ChunkId, over_chunks};
use serde::Serialize;

use crate::embeddings::{self, DamagedEmbeddings};
#[cfg(not(feature = "hdf5"))]
use crate::error::InspectError;
use crate::error::Result;
use crate::survey::missing_chunks;

/// What was found.
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
    /// Samples compared with the sources; null where they were not compared.
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

/// Checks every chunk and embedding, on all cores; `done` is told how many chunks are finished. With
/// `against`, samples are compared with the source files too, of the data sets named there at these paths.
///
/// # Errors
/// A folder cannot be listed; a data set's source is not there.
pub fn check(
    buffer: &Buffer,
    against: Option<&[(String, PathBuf)]>,
    done: Option<&(dyn Fn(u64) + Sync)>,
) -> Result<Report> {
    let sources = sources(buffer, against)?;
    let chunks = buffer.published_chunks()?;
    let missing = missing_chunks(buffer, &chunks);
    let mut all = over_chunks(&chunks, done, |id| {
        let mut checked = chunk::check(buffer, id);
        compare(sources.as_ref(), buffer, id, &mut checked);
        checked
    });
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
        compared: against.is_some().then(|| sum(&|c| c.compared)),
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
fn sources(
    buffer: &Buffer,
    against: Option<&[(String, PathBuf)]>,
) -> Result<Option<against_source::Sources>> {
    against.map(|moved| against_source::Sources::open(buffer, moved)).transpose()
}

#[cfg(feature = "hdf5")]
fn compare(sources: Option<&against_source::Sources>, buffer: &Buffer, id: ChunkId, checked: &mut Checked) {
    if let Some(sources) = sources {
        sources.compare(buffer, id, checked);
    }
}

#[cfg(not(feature = "hdf5"))]
fn sources(
    _buffer: &Buffer,
    against: Option<&[(String, PathBuf)]>,
) -> Result<Option<std::convert::Infallible>> {
    match against {
        None => Ok(None),
        Some(_) => Err(InspectError::Usage(
            "this program was built without HDF5 and cannot read the sources; build it with \
             `cargo build --release -p rdt-cli --features hdf5`"
                .into(),
        )),
    }
}

#[cfg(not(feature = "hdf5"))]
fn compare(_: Option<&std::convert::Infallible>, _: &Buffer, _: ChunkId, _: &mut Checked) {}
