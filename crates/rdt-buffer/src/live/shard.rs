//! A producer's part of a buffer's chunks, so that several producers can work on one buffer.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::error::BufferError;
use crate::layout;
use crate::lock::holder_of;
use crate::storage::file_names;

/// Part `index` of `count` equal, contiguous parts: as RDT's worker `index` of `count` has its
/// chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u32,
    count: u32,
}

impl Shard {
    /// All chunks.
    pub const WHOLE: Self = Self { index: 0, count: 1 };

    /// Part `index` of `count`; `None` unless `index < count`.
    pub fn new(index: u32, count: u32) -> Option<Self> {
        (index < count).then_some(Self { index, count })
    }

    /// Which part.
    pub fn index(self) -> u32 {
        self.index
    }

    /// Of how many.
    pub fn count(self) -> u32 {
        self.count
    }

    /// Its chunks of `chunks`.
    pub fn chunks(self, chunks: u32) -> Range<u32> {
        let bound = |index: u32| (u64::from(index) * u64::from(chunks) / u64::from(self.count)) as u32;
        bound(self.index)..bound(self.index + 1)
    }

    /// Whether the two have chunks in common, whatever the number of chunks.
    pub(crate) fn overlaps(self, other: Self) -> bool {
        let before = |a: Self, b: Self| {
            (u64::from(a.index) + 1) * u64::from(b.count) <= u64::from(b.index) * u64::from(a.count)
        };
        !before(self, other) && !before(other, self)
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// The lock files of producers of the buffer at `dir`, held or not.
pub(crate) fn producer_locks(dir: &Path) -> Result<Vec<(Shard, PathBuf)>, BufferError> {
    let names = file_names(dir).map_err(|e| BufferError::io("list", dir, e))?;
    let lock = |name: &String| {
        let (index, count) = layout::parse_shard_lock(name)?;
        Some((Shard { index, count }, dir.join(name)))
    };
    Ok(names.iter().filter_map(lock).collect())
}

/// The producers that work on the buffer at `dir`: shard and pid.
///
/// # Errors
/// The folder cannot be listed.
pub fn producers_alive(dir: &Path) -> Result<Vec<(Shard, String)>, BufferError> {
    let locks = producer_locks(dir)?;
    Ok(locks.into_iter().filter_map(|(shard, path)| Some((shard, holder_of(&path)?))).collect())
}
