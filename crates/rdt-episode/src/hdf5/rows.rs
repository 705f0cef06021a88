//! Rows of an array of fixed-size elements, as bytes.
//!
//! A row is everything under one index of the first dimension: a step's vector or one frame.
//! Owns the ways from storage to row bytes; knows nothing of numbers and pictures.
//!
//! Trailing dimensions that a chunk covers whole are folded into the element first, so that
//! most arrays end as a list of rows, and copies are as long as they can be.

use std::sync::{Arc, Mutex, PoisonError};

use super::filters::with_scratch;
use super::layout::{ChunkTable, Kind, Layed, Number, Storage, StoredChunk, damaged};
use super::library::library;
use super::source::SourceFile;
use crate::EpisodeError;

/// Where a chunk spans several rows, this much of its rows is kept from one read to the next.
const SLAB_BYTES: usize = 64 << 20;
/// One row, or one whole numeric array, may not be larger: the sizes come from the file.
const MOST_BYTES: usize = 1 << 30;

/// An array's rows.
#[derive(Debug)]
pub(super) struct Rows {
    file: Arc<SourceFile>,
    place: String,
    pub(super) count: usize,
    pub(super) row_bytes: usize,
    storage: Storage,
    /// Shape with the trailing dimensions folded away; the first is `count`.
    dims: Vec<usize>,
    /// Bytes of an element of `dims`.
    item_bytes: usize,
    slab: Mutex<Slab>,
}

/// The rows decoded last from chunks that span several.
#[derive(Debug, Default)]
struct Slab {
    first: usize,
    bytes: Vec<u8>,
}

impl Rows {
    /// Takes over an array's layout. The array must have at least one dimension and one element.
    pub(super) fn new(file: &Arc<SourceFile>, place: &str, layed: Layed) -> Result<Self, EpisodeError> {
        let Layed { shape, storage, element_bytes, .. } = layed;
        let (mut dims, mut item_bytes, mut storage) = (shape, element_bytes, storage);
        let whole = dims[1..].iter().try_fold(element_bytes, |all, &n| all.checked_mul(n));
        let row_bytes = whole.filter(|&n| n <= MOST_BYTES).ok_or_else(|| too_large(file, place))?;
        match &mut storage {
            Storage::Chunked(table) => {
                if table.chunk_bytes > MOST_BYTES {
                    return Err(too_large(file, place));
                }
                while dims.len() > 1 && table.shape.last() == dims.last() {
                    item_bytes *= dims.pop().unwrap_or(1);
                    table.shape.pop();
                    table.grid.pop();
                }
            }
            _ => {
                dims.truncate(1);
                item_bytes = row_bytes;
            }
        }
        let (file, place, count) = (Arc::clone(file), place.to_owned(), dims[0]);
        Ok(Self { file, place, count, row_bytes, storage, dims, item_bytes, slab: Mutex::default() })
    }

    pub(super) fn file(&self) -> &SourceFile {
        &self.file
    }

    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Why the library has to read this array, where it has.
    pub(super) fn library_reason(&self) -> Option<&str> {
        match &self.storage {
            Storage::Library { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// The first row of which some bytes were never written, if any.
    pub(super) fn first_unwritten(&self) -> Option<usize> {
        match &self.storage {
            Storage::Unwritten => Some(0),
            Storage::Chunked(table) => {
                let per_row: usize = table.grid[1..].iter().product();
                let index = table.chunks.iter().position(|chunk| chunk.bytes == 0)?;
                Some(index / per_row * table.shape[0])
            }
            _ => None,
        }
    }

    /// Replaces `out` by the first `want` bytes of a row.
    pub(super) fn read(&self, row: usize, want: usize, out: &mut Vec<u8>) -> Result<(), EpisodeError> {
        let want = want.min(self.row_bytes);
        match &self.storage {
            Storage::Contiguous { offset } => {
                out.resize(want, 0);
                self.file.read_exact(offset + (row * self.row_bytes) as u64, out, &self.place)
            }
            Storage::Unwritten => {
                out.clear();
                out.resize(want, 0);
                Ok(())
            }
            Storage::Chunked(table) => self.read_chunked(table, row, want, out),
            Storage::Library { dataset, .. } => {
                let mut cut = vec![hdf5::SliceOrIndex::Index(row)];
                cut.extend((1..dataset.ndim()).map(|_| hdf5::SliceOrIndex::Unlimited {
                    start: 0,
                    step: 1,
                    block: 1,
                }));
                let bytes = library(|| {
                    dataset
                        .read_slice::<u8, _, ndarray::IxDyn>(hdf5::Hyperslab::from(cut))
                        .map(|a| a.into_raw_vec_and_offset().0)
                })
                .map_err(|message| damaged(&self.file, &self.place, message))?;
                out.clear();
                out.extend_from_slice(bytes.get(..want).unwrap_or(&bytes));
                Ok(())
            }
        }
    }

    fn read_chunked(
        &self,
        table: &ChunkTable,
        row: usize,
        want: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), EpisodeError> {
        let span = table.shape[0];
        if self.dims.len() == 1 {
            let chunk = table.chunks[row / span];
            if chunk.bytes > 0 && table.pipeline.is_plain(chunk.filter_mask) {
                out.resize(want, 0);
                let inside = (row % span * self.row_bytes) as u64;
                self.check_plain_length(table, row / span, chunk)?;
                return self.file.read_exact(chunk.offset + inside, out, &self.place);
            }
        }
        if span == 1 {
            self.assemble(table, row, 1, out)?;
            out.truncate(want);
            return Ok(());
        }
        // A poisoned slab is only a cache: what it says it holds was complete.
        let mut slab = self.slab.lock().unwrap_or_else(PoisonError::into_inner);
        let held = slab.bytes.len() / self.row_bytes;
        if !(slab.first..slab.first + held).contains(&row) {
            let end = ((row / span + 1) * span).min(self.count);
            let most = (SLAB_BYTES / self.row_bytes).max(1);
            let whole = end - row / span * span;
            // From the chunk's first row where all of it fits, else from the row asked for.
            let first = if whole <= most { row / span * span } else { row };
            let mut bytes = std::mem::take(&mut slab.bytes);
            self.assemble(table, first, most.min(end - first), &mut bytes)?;
            *slab = Slab { first, bytes };
        }
        let start = (row - slab.first) * self.row_bytes;
        out.clear();
        out.extend_from_slice(&slab.bytes[start..start + want]);
        Ok(())
    }

    /// All rows.
    pub(super) fn read_all(&self) -> Result<Vec<u8>, EpisodeError> {
        let total = self.count.checked_mul(self.row_bytes).filter(|&n| n <= MOST_BYTES);
        let total = total.ok_or_else(|| too_large(&self.file, &self.place))?;
        let mut out = Vec::new();
        match &self.storage {
            Storage::Contiguous { offset } => {
                out.resize(total, 0);
                self.file.read_exact(*offset, &mut out, &self.place)?;
            }
            Storage::Chunked(table) => self.assemble(table, 0, self.count, &mut out)?,
            Storage::Unwritten | Storage::Library { .. } => {
                let mut row = Vec::new();
                for index in 0..self.count {
                    self.read(index, self.row_bytes, &mut row)?;
                    out.extend_from_slice(&row);
                }
            }
        }
        Ok(out)
    }

    /// Replaces `out` by `count` rows, decoding every chunk that has a part of them once.
    fn assemble(
        &self,
        table: &ChunkTable,
        first: usize,
        count: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), EpisodeError> {
        out.resize(count * self.row_bytes, 0);
        let (span, per_row) = (table.shape[0], table.grid[1..].iter().product::<usize>());
        for index in first / span * per_row..((first + count - 1) / span + 1) * per_row {
            // Position of the chunk's first element.
            let mut start = vec![0; self.dims.len()];
            let mut rest = index;
            for (axis, &along) in table.grid.iter().enumerate().rev() {
                start[axis] = rest % along * table.shape[axis];
                rest /= along;
            }
            let chunk = table.chunks[index];
            with_scratch(|scratch| {
                if chunk.bytes == 0 {
                    scratch.bytes.clear();
                    scratch.bytes.resize(table.chunk_bytes, 0);
                } else {
                    scratch.bytes.resize(chunk.bytes as usize, 0);
                    self.file.read_exact(chunk.offset, &mut scratch.bytes, &self.place)?;
                    table.pipeline.decode(chunk.filter_mask, table.chunk_bytes, scratch).map_err(
                        |(found, expected)| {
                            let found = format!("{found} in chunk {index} at offset {}", chunk.offset);
                            self.file.fault(
                                &self.place,
                                found,
                                expected,
                                "the file is damaged: copy it again",
                            )
                        },
                    )?;
                }
                self.place_chunk(&table.shape, &start, &scratch.bytes, first, count, out);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Copies what a chunk has of rows `first .. first + count` to its place in `out`.
    fn place_chunk(
        &self,
        chunk: &[usize],
        start: &[usize],
        bytes: &[u8],
        first: usize,
        count: usize,
        out: &mut [u8],
    ) {
        let (from, to) = (first.max(start[0]), (first + count).min(start[0] + chunk[0]));
        let chunk_row = bytes.len() / chunk[0];
        for row in from..to {
            let source = &bytes[(row - start[0]) * chunk_row..][..chunk_row];
            let target = &mut out[(row - first) * self.row_bytes..][..self.row_bytes];
            copy_block(&self.dims[1..], &chunk[1..], &start[1..], self.item_bytes, source, target);
        }
    }

    fn check_plain_length(
        &self,
        table: &ChunkTable,
        index: usize,
        chunk: StoredChunk,
    ) -> Result<(), EpisodeError> {
        if chunk.bytes as usize == table.chunk_bytes {
            return Ok(());
        }
        Err(self.file.fault(
            &self.place,
            format!("chunk {index} of {} bytes", chunk.bytes),
            format!("{} bytes", table.chunk_bytes),
            "the file is damaged: copy it again",
        ))
    }
}

/// Copies a chunk's part of one row; `dims`, `chunk` and `start` are without the first dimension.
fn copy_block(
    dims: &[usize],
    chunk: &[usize],
    start: &[usize],
    item: usize,
    source: &[u8],
    target: &mut [u8],
) {
    let (Some((&dim, dims)), Some((&part, chunk)), Some((&at, start))) =
        (dims.split_first(), chunk.split_first(), start.split_first())
    else {
        target.copy_from_slice(source);
        return;
    };
    let used = part.min(dim - at);
    let (source_step, target_step) = (source.len() / part, target.len() / dim);
    match (dims, chunk, start) {
        ([], ..) => {
            target[at * item..(at + used) * item].copy_from_slice(&source[..used * item]);
        }
        // One channel of a picture at a time: single bytes with a gap between.
        (&[_], &[1], &[channel]) if item == 1 => {
            let gapped =
                target[at * target_step..][..used * target_step][channel..].iter_mut().step_by(target_step);
            for (to, &from) in gapped.zip(&source[..used]) {
                *to = from;
            }
        }
        _ => {
            for i in 0..used {
                copy_block(
                    dims,
                    chunk,
                    start,
                    item,
                    &source[i * source_step..][..source_step],
                    &mut target[(at + i) * target_step..][..target_step],
                );
            }
        }
    }
}

fn too_large(file: &SourceFile, place: &str) -> EpisodeError {
    file.fault(
        place,
        "a row, chunk or table above 1 GiB",
        "arrays of an episode",
        "check the array's shape; rewrite it with smaller chunks (h5repack -l)",
    )
}

/// What of an array's bytes can be read as plain `u8`.
pub(super) fn is_u8(kind: &Kind) -> bool {
    *kind == Kind::Native(Number::U8)
}
