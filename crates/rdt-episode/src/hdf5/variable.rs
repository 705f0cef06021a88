//! Variable-length byte arrays: JPEG frames of their own lengths.
//!
//! HDF5 keeps them on a heap that only the library walks, so they are fetched through it,
//! several at a time: one wait for its lock instead of one a frame, and bounded memory.

use std::sync::{Arc, Mutex, PoisonError};

use hdf5::Dataset;
use hdf5::types::VarLenArray;

use super::layout::damaged;
use super::library::library;
use super::source::SourceFile;
use crate::EpisodeError;

/// Frames fetched at once, at most, and how many bytes they may be by the last run's measure.
const MOST_FRAMES: usize = 32;
const RUN_BYTES: usize = 1 << 20;

/// A variable-length `u8 (T,)` array.
#[derive(Debug)]
pub(super) struct VariableRows {
    pub(super) file: Arc<SourceFile>,
    pub(super) place: String,
    pub(super) dataset: Dataset,
    pub(super) count: usize,
    pub(super) run: Mutex<Run>,
}

/// Rows fetched together.
#[derive(Debug, Default)]
pub(super) struct Run {
    first: usize,
    bytes: Vec<u8>,
    /// Where each row ends in `bytes`.
    ends: Vec<usize>,
}

impl VariableRows {
    /// Replaces `out` by one row.
    pub(super) fn read(&self, row: usize, out: &mut Vec<u8>) -> Result<(), EpisodeError> {
        // A poisoned run is only a cache: it is replaced whole.
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        if !(run.first..run.first + run.ends.len()).contains(&row) {
            *run = self.fetch(row, run.next_count())?;
        }
        let index = row - run.first;
        let start = if index == 0 { 0 } else { run.ends[index - 1] };
        out.clear();
        out.extend_from_slice(&run.bytes[start..run.ends[index]]);
        Ok(())
    }

    fn fetch(&self, first: usize, count: usize) -> Result<Run, EpisodeError> {
        let end = (first + count).min(self.count);
        let rows = library(|| self.dataset.read_slice_1d::<VarLenArray<u8>, _>(first..end))
            .map_err(|message| damaged(&self.file, &format!("{}[{first}..{end}]", self.place), message))?;
        let mut run = Run { first, ..Run::default() };
        for row in &rows {
            run.bytes.extend_from_slice(row);
            run.ends.push(run.bytes.len());
        }
        Ok(run)
    }
}

impl Run {
    /// How many rows to fetch next, from the size of these; few while nothing is known.
    fn next_count(&self) -> usize {
        const FIRST_FRAMES: usize = 2;
        let rows = self.ends.len() * RUN_BYTES;
        rows.checked_div(self.bytes.len()).map_or(FIRST_FRAMES, |rows| rows.clamp(1, MOST_FRAMES))
    }
}
