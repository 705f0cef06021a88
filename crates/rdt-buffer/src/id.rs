//! Numbers that must not be mixed up: of a chunk, of a slot in it, of a sample.

use serde::{Deserialize, Serialize};

/// Number of a chunk in its buffer, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChunkId(u32);

/// Place of a sample in its chunk, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SlotIndex(u32);

/// Number of a sample in its buffer: chunk x chunk size + slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SampleId(u64);

impl ChunkId {
    /// Chunk number `id`.
    pub fn new(id: u32) -> Self {
        Self(id)
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl SlotIndex {
    /// Slot number `slot`.
    pub fn new(slot: u32) -> Self {
        Self(slot)
    }

    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl SampleId {
    /// Sample number `id`.
    ///
    /// ```
    /// assert_eq!(rdt_buffer::SampleId::new(7).get(), 7);
    /// ```
    pub fn new(id: u64) -> Self {
        Self(id)
    }

    /// The number.
    pub fn get(self) -> u64 {
        self.0
    }

    /// The chunk and slot of this sample in a buffer of `chunk_size` samples a chunk.
    pub fn locate(self, chunk_size: u32) -> (ChunkId, SlotIndex) {
        let size = u64::from(chunk_size.max(1));
        // Past the last chunk number there is no chunk; the cap keeps it that way.
        let chunk = u32::try_from(self.0 / size).unwrap_or(u32::MAX);
        (ChunkId(chunk), SlotIndex((self.0 % size) as u32))
    }
}

/// Chunks are written with the digits of their file name.
impl std::fmt::Display for ChunkId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08}", self.0)
    }
}

impl std::fmt::Display for SlotIndex {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::fmt::Display for SampleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
