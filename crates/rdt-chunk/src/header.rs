//! The fixed header: 128 bytes, little-endian, written by hand.
//!
//! Only magic and version keep their places in every version of the format, so they are
//! looked at before the header's checksum. Sections lie back to back in the order of
//! [`Section`]; the header states their lengths only, so gaps and overlaps cannot be
//! expressed.

use std::ops::Range;

use crate::checksum::Checksum;
use crate::error::{ChunkError, Place};
use crate::frame_table::FRAME_RECORD_LENGTH;
use crate::metadata::MAX_METADATA_BYTES;
use crate::sample_table::SAMPLE_RECORD_LENGTH;

/// The first eight bytes of a chunk. As in PNG, the first is no ASCII and a line end
/// follows, so that a transfer in text mode is found out.
pub const MAGIC: [u8; 8] = *b"\x89RDTC\r\n\x1a";
/// The format that this crate writes and reads.
pub const FORMAT_VERSION: u32 = 1;
/// Bytes of the header.
pub const HEADER_LENGTH: usize = 128;

/// Offsets of the header's fields.
pub(crate) mod field {
    pub(crate) const MAGIC: usize = 0;
    pub(crate) const FORMAT_VERSION: usize = 8;
    pub(crate) const HEADER_LENGTH: usize = 12;
    pub(crate) const FILE_LENGTH: usize = 16;
    pub(crate) const CHUNK: usize = 24;
    pub(crate) const CAPACITY: usize = 28;
    pub(crate) const GENERATION: usize = 32;
    pub(crate) const SAMPLES: usize = 40;
    pub(crate) const FRAMES: usize = 44;
    pub(crate) const PLAN_DIGEST: usize = 48;
    pub(crate) const SECTION_LENGTHS: usize = 64;
    pub(crate) const SECTION_CHECKSUMS: usize = 104;
    pub(crate) const RESERVED: usize = 120;
    pub(crate) const HEADER_CHECKSUM: usize = 124;
}

/// The parts of a chunk behind the header, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Section {
    /// Encoded frames, back to back. The only section without a checksum of its own:
    /// each frame has one.
    Frames = 0,
    /// One record a frame.
    FrameTable = 1,
    /// One record a sample.
    SampleTable = 2,
    /// State and action rows.
    Rows = 3,
    /// Data sets and episodes.
    Metadata = 4,
}

/// Number of sections.
pub(crate) const SECTIONS: usize = 5;

/// What a chunk says about itself, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The chunk's number in its buffer.
    pub chunk: u32,
    /// Slots of a full chunk of this buffer.
    pub capacity: u32,
    /// Which filling of this chunk it is.
    pub generation: u64,
    /// Samples held: slots `0..samples` exist.
    pub samples: u32,
    /// Frames held.
    pub frames: u32,
    /// Digest of the plan that the chunk was made by; the producer's matter.
    pub plan_digest: [u8; 16],
    pub(crate) section_lengths: [u64; SECTIONS],
    /// Checksums of the sections behind [`Section::Frames`].
    pub(crate) section_checksums: [Checksum; SECTIONS - 1],
}

impl Header {
    /// Length of the whole file in bytes.
    pub fn file_bytes(&self) -> u64 {
        HEADER_LENGTH as u64 + self.section_lengths.iter().sum::<u64>()
    }

    /// Bytes of all encoded frames.
    pub fn frame_bytes(&self) -> u64 {
        self.section_lengths[Section::Frames as usize]
    }

    /// The crc of the header itself: over it and the sections' checksums in it, so that it tells
    /// chunks of different content apart.
    pub fn own_checksum(&self) -> u32 {
        let bytes = self.to_bytes();
        u32::from_le_bytes(std::array::from_fn(|i| bytes[field::HEADER_CHECKSUM + i]))
    }

    /// Where `section` lies in the file. Offsets fit, as they did in a slice.
    pub(crate) fn range(&self, section: Section) -> Range<usize> {
        let before: u64 = self.section_lengths[..section as usize].iter().sum();
        let start = HEADER_LENGTH + before as usize;
        start..start + self.section_lengths[section as usize] as usize
    }

    /// The stored checksum of `section`; `None` for the frames, which have their own.
    pub(crate) fn checksum(&self, section: Section) -> Option<Checksum> {
        let index = (section as usize).checked_sub(1)?;
        self.section_checksums.get(index).copied()
    }

    /// The header's bytes.
    pub(crate) fn to_bytes(self) -> [u8; HEADER_LENGTH] {
        let mut bytes = [0; HEADER_LENGTH];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(field::MAGIC, &MAGIC);
        put(field::FORMAT_VERSION, &FORMAT_VERSION.to_le_bytes());
        put(field::HEADER_LENGTH, &(HEADER_LENGTH as u32).to_le_bytes());
        put(field::FILE_LENGTH, &self.file_bytes().to_le_bytes());
        put(field::CHUNK, &self.chunk.to_le_bytes());
        put(field::CAPACITY, &self.capacity.to_le_bytes());
        put(field::GENERATION, &self.generation.to_le_bytes());
        put(field::SAMPLES, &self.samples.to_le_bytes());
        put(field::FRAMES, &self.frames.to_le_bytes());
        put(field::PLAN_DIGEST, &self.plan_digest);
        for (i, length) in self.section_lengths.iter().enumerate() {
            put(field::SECTION_LENGTHS + 8 * i, &length.to_le_bytes());
        }
        for (i, checksum) in self.section_checksums.iter().enumerate() {
            put(field::SECTION_CHECKSUMS + 4 * i, &checksum.0.to_le_bytes());
        }
        let checksum = Checksum::of(&bytes[..field::HEADER_CHECKSUM]);
        bytes[field::HEADER_CHECKSUM..].copy_from_slice(&checksum.0.to_le_bytes());
        bytes
    }

    /// Reads and checks the header of a chunk that is `file` in whole.
    pub(crate) fn parse(file: &[u8]) -> Result<Self, ChunkError> {
        let found = file.len() as u64;
        let Some(bytes) = file.first_chunk::<HEADER_LENGTH>() else {
            return Err(match file.first_chunk::<8>() {
                Some(&found) if found != MAGIC => ChunkError::NotAChunk { found },
                _ => ChunkError::Truncated { found, expected: HEADER_LENGTH as u64 },
            });
        };
        let header = Self::parse_fields(bytes)?;
        let expected = header.file_bytes();
        match found.cmp(&expected) {
            std::cmp::Ordering::Less => Err(ChunkError::Truncated { found, expected }),
            std::cmp::Ordering::Greater => Err(ChunkError::TrailingBytes { found, expected }),
            std::cmp::Ordering::Equal => Ok(header),
        }
    }

    fn parse_fields(bytes: &[u8; HEADER_LENGTH]) -> Result<Self, ChunkError> {
        let magic: [u8; 8] = array(bytes, field::MAGIC);
        if magic != MAGIC {
            return Err(ChunkError::NotAChunk { found: magic });
        }
        let version = u32_at(bytes, field::FORMAT_VERSION);
        if version != FORMAT_VERSION {
            return Err(ChunkError::Version { found: version, expected: FORMAT_VERSION });
        }
        Checksum(u32_at(bytes, field::HEADER_CHECKSUM))
            .check(&bytes[..field::HEADER_CHECKSUM], Place::Header)?;
        let header = Self {
            chunk: u32_at(bytes, field::CHUNK),
            capacity: u32_at(bytes, field::CAPACITY),
            generation: u64_at(bytes, field::GENERATION),
            samples: u32_at(bytes, field::SAMPLES),
            frames: u32_at(bytes, field::FRAMES),
            plan_digest: array(bytes, field::PLAN_DIGEST),
            section_lengths: std::array::from_fn(|i| u64_at(bytes, field::SECTION_LENGTHS + 8 * i)),
            section_checksums: std::array::from_fn(|i| {
                Checksum(u32_at(bytes, field::SECTION_CHECKSUMS + 4 * i))
            }),
        };
        header.check(bytes)?;
        Ok(header)
    }

    /// Checks everything that the header alone can tell.
    fn check(&self, bytes: &[u8; HEADER_LENGTH]) -> Result<(), ChunkError> {
        let expect = |what, found: u64, expected: u64| {
            if found == expected {
                Ok(())
            } else {
                Err(ChunkError::invalid(Place::Header, what, found, expected))
            }
        };
        let at_most = |what, found: u64, most: u64| {
            if found <= most {
                Ok(())
            } else {
                Err(ChunkError::invalid(Place::Header, what, found, format!("at most {most}")))
            }
        };
        let [_, frame_table, sample_table, rows, metadata] = self.section_lengths;
        let header_length = u64::from(u32_at(bytes, field::HEADER_LENGTH));
        expect("header length", header_length, HEADER_LENGTH as u64)?;
        expect("the reserved field", u64::from(u32_at(bytes, field::RESERVED)), 0)?;
        let sum = self.section_lengths.iter().try_fold(HEADER_LENGTH as u64, |sum, &n| sum.checked_add(n));
        let Some(sum) = sum else {
            return Err(ChunkError::invalid(Place::Header, "sum of section lengths", "over 2^64", "less"));
        };
        expect("file length", u64_at(bytes, field::FILE_LENGTH), sum)?;
        at_most("samples", u64::from(self.samples), u64::from(self.capacity))?;
        expect("frame table length", frame_table, u64::from(self.frames) * FRAME_RECORD_LENGTH as u64)?;
        expect("sample table length", sample_table, u64::from(self.samples) * SAMPLE_RECORD_LENGTH as u64)?;
        at_most("rows length", rows, 4 * u64::from(u32::MAX))?;
        expect("rows length modulo 4", rows % 4, 0)?;
        at_most("metadata length", metadata, MAX_METADATA_BYTES as u64)
    }
}

/// `N` bytes at `at`, which the callers' constants keep inside `bytes`.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&bytes[at..at + N]);
    value
}

/// A little-endian number at `at`.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array(bytes, at))
}

/// A little-endian number at `at`.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array(bytes, at))
}
