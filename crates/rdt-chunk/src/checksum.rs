//! Checksums: crc32c (Castagnoli), which the processor computes at memory speed.

use crc_fast::{CrcAlgorithm, Digest};

use crate::error::{ChunkError, Place};

/// Bytes that are checked and copied at a time: they are read from memory once, and copied from
/// the nearest cache. Larger blocks were slower, twice so for frames of 480 x 640.
const BLOCK: usize = 4096;

/// The crc32c of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checksum(pub(crate) u32);

impl Checksum {
    /// Computes the checksum of `bytes`.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(crc_fast::crc32_iscsi(bytes))
    }

    /// Compares the stored checksum with that of `bytes`, which are found at `place`.
    pub(crate) fn check(self, bytes: &[u8], place: Place) -> Result<(), ChunkError> {
        self.compare(Self::of(bytes), place)
    }

    /// Compares and copies in one pass. Where they differ, `out` holds the damaged bytes.
    ///
    /// # Panics
    /// If `out` has another length.
    pub(crate) fn check_and_copy(self, bytes: &[u8], out: &mut [u8], place: Place) -> Result<(), ChunkError> {
        assert_eq!(bytes.len(), out.len(), "room for the bytes");
        let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
        for (bytes, out) in bytes.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
            digest.update(bytes);
            out.copy_from_slice(bytes);
        }
        self.compare(Self(digest.finalize() as u32), place)
    }

    fn compare(self, found: Self, place: Place) -> Result<(), ChunkError> {
        if found == self {
            Ok(())
        } else {
            Err(ChunkError::Checksum { place, found: found.0, expected: self.0 })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_give_crc32c() {
        // From the specification (RFC 3720, B.4), and by another implementation.
        assert_eq!(Checksum::of(&[0; 32]), Checksum(0x8a91_36aa));
        for length in [0, 1, 15, 63, 255, 256, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 77, 49_152] {
            let bytes: Vec<u8> = (0..length).map(|place| (place * 31 % 253) as u8).collect();
            let checksum = Checksum::of(&bytes);
            assert_eq!(checksum, Checksum(crc32c::crc32c(&bytes)), "{length} bytes");
            let mut out = vec![0; length];
            assert!(checksum.check_and_copy(&bytes, &mut out, Place::Source).is_ok());
            assert_eq!(out, bytes);
            assert!(Checksum(!checksum.0).check_and_copy(&bytes, &mut out, Place::Source).is_err());
        }
    }
}
