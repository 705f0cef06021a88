//! A buffer in RDT's own layout, for RDT's own consumer.
//!
//! ```text
//! OUT/chunk_<i>/json_content_<j>.json   {"dataset_name", "#steps", "instruction"}
//! OUT/chunk_<i>/sample_<j>.npz          RDT's arrays in RDT's order (its reader unpacks by position)
//! OUT/chunk_<i>/dirty_bit               a byte a slot: 0 there, 1 missing or unreadable
//! OUT/chunk_<i>/*.lock                  empty: RDT locks these, and fails where one is missing
//! OUT/configs/base.yaml ...             written last: without them the export is not complete
//! ```
//!
//! RDT holds one instruction a sample and draws none. Where an episode has several
//! wordings, each sample gets one, drawn by their weights from a hash of its data set,
//! file, episode and step: the same in every export of the same data.

mod config_files;
mod npz;
mod rdt_sample;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rdt_buffer::{Buffer, BufferState, ChunkId, over_chunks};
use rdt_chunk::FrameDecoder;
use rdt_schema::{Setting, in_full};
use serde::Serialize;

use crate::error::{Context, InspectError, Result};

/// What was written.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where the export is.
    pub out: PathBuf,
    /// Chunks written.
    pub chunks: u64,
    /// Samples written.
    pub samples: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Samples that could not be written; their slots are dirty.
    pub bad: Vec<BadSample>,
}

/// A sample that could not be exported.
#[derive(Debug, Clone, Serialize)]
pub struct BadSample {
    /// Its chunk.
    pub chunk: u32,
    /// Its slot; null where the whole chunk cannot be read.
    pub slot: Option<u32>,
    /// Data set, episode and step; empty where they cannot be known.
    pub origin: String,
    /// What is wrong with it.
    pub reason: String,
}

/// What was written of one chunk.
#[derive(Default)]
struct Exported {
    samples: u64,
    bytes: u64,
    bad: Vec<BadSample>,
}

fn check_empty(out: &Path) -> Result<()> {
    match std::fs::read_dir(out) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(InspectError::Usage(format!(
                "{} is not empty, expected a new or empty folder; give another {}",
                out.display(),
                Setting::OUT
            ))),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| {
            format!("cannot use {} as a folder; give another {}", out.display(), Setting::OUT)
        }),
    }
}

/// Writes the buffer to the folder `out`, on all cores; `done` is told how many chunks are finished.
///
/// # Errors
/// Its fill is not finished; the folder is not empty or cannot be written.
pub fn export(buffer: &Buffer, out: &Path, done: Option<&(dyn Fn(u64) + Sync)>) -> Result<Report> {
    if buffer.manifest().state == BufferState::Filling {
        return Err(InspectError::Usage(format!(
            "the fill of {} is not finished; run the same rdt-produce command again, then export",
            buffer.dir().display()
        )));
    }
    check_empty(out)?;
    let chunks: Vec<ChunkId> = (0..buffer.chunk_count())
        .map(|id| u32::try_from(id).map(ChunkId::new))
        .collect::<std::result::Result<_, _>>()
        .with_context(|| "more chunks than a buffer can have".to_owned())?;
    create_folder(out)?;
    let failed = AtomicBool::new(false);
    let exported = over_chunks(&chunks, done, |id| {
        if failed.load(Ordering::Relaxed) {
            return Ok(Exported::default());
        }
        let result = export_chunk(buffer, id, out);
        failed.fetch_or(result.is_err(), Ordering::Relaxed);
        result
    });
    let mut report =
        Report { out: out.to_owned(), chunks: chunks.len() as u64, samples: 0, bytes: 0, bad: Vec::new() };
    for chunk in exported {
        let chunk = chunk?;
        report.samples += chunk.samples;
        report.bytes += chunk.bytes;
        report.bad.extend(chunk.bad);
    }
    config_files::write(buffer.manifest(), out)?;
    Ok(report)
}

fn export_chunk(buffer: &Buffer, id: ChunkId, out: &Path) -> Result<Exported> {
    let folder = out.join(format!("chunk_{}", id.get()));
    create_folder(&folder)?;
    let mut dirty = vec![1u8; buffer.manifest().chunk_size as usize];
    let mut exported = Exported::default();
    let bad = |slot, origin, reason| BadSample { chunk: id.get(), slot, origin, reason };
    match buffer.map(id) {
        Err(error) => exported.bad.push(bad(None, String::new(), in_full(&error))),
        Ok(chunk) => {
            let mut decoder = FrameDecoder::new();
            for slot in 0..chunk.header().samples {
                let view = match chunk.sample(slot) {
                    Ok(view) => view,
                    Err(error) => {
                        exported.bad.push(bad(Some(slot), String::new(), in_full(&error)));
                        continue;
                    }
                };
                match view.to_sample(&mut decoder) {
                    Ok(sample) => {
                        exported.bytes += rdt_sample::write(&folder, slot, &sample)?;
                        exported.samples += 1;
                        dirty[slot as usize] = 0;
                    }
                    Err(error) => {
                        let origin =
                            format!("{} {} step {}", view.dataset().name, view.episode().origin, view.step());
                        exported.bad.push(bad(Some(slot), origin, in_full(&error)));
                    }
                }
            }
        }
    }
    let path = folder.join("dirty_bit");
    std::fs::write(&path, dirty).with_context(|| cannot_write(&path))?;
    rdt_sample::write_lock(&path)?;
    Ok(exported)
}

fn create_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path)
        .with_context(|| format!("cannot create {}; check the path and its permissions", path.display()))
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}; make room, remove the folder, and export again", path.display())
}
