//! Checksums: crc32c (Castagnoli), which the processor computes at memory speed.

use crate::error::{ChunkError, Place};

/// The crc32c of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checksum(pub(crate) u32);

impl Checksum {
    /// Computes the checksum of `bytes`.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(crc32c::crc32c(bytes))
    }

    /// Compares the stored checksum with that of `bytes`, which are found at `place`.
    pub(crate) fn check(self, bytes: &[u8], place: Place) -> Result<(), ChunkError> {
        let found = Self::of(bytes);
        if found == self {
            Ok(())
        } else {
            Err(ChunkError::Checksum { place, found: found.0, expected: self.0 })
        }
    }
}
