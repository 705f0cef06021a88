//! What can be wrong with a chunk, or with what a writer is given.
//!
//! A chunk of bytes does not know its path; [`crate::map()`] and the buffer add it.

use std::path::PathBuf;

/// A chunk that cannot be read, or content that cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChunkError {
    /// The file could not be opened or mapped.
    #[error("cannot {action} {}; check the path and its permissions", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A file was mapped, and what it holds is no valid chunk.
    #[error("{} is not usable", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<ChunkError>,
    },
    /// The output refused bytes.
    #[error("cannot write {what} of chunk {chunk}; check the free space and the permissions")]
    Write {
        /// The chunk's number.
        chunk: u32,
        /// What was being written.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The bytes do not start as a chunk does.
    #[error(
        "not a chunk: the first bytes are {found:02x?}, expected {:02x?}; was another file put here?",
        crate::header::MAGIC
    )]
    NotAChunk {
        /// The first eight bytes.
        found: [u8; 8],
    },
    /// A chunk of a format that this program does not read.
    #[error(
        "chunk format version {found} is not known, expected {expected}; \
         read it with the program that wrote it, or produce the buffer again"
    )]
    Version {
        /// The version found.
        found: u32,
        /// The version that is read.
        expected: u32,
    },
    /// The bytes end before the chunk does.
    #[error("{found} bytes, expected {expected}: the file is truncated; produce the chunk again")]
    Truncated {
        /// Bytes there.
        found: u64,
        /// Bytes that should be there.
        expected: u64,
    },
    /// Bytes follow the end of the chunk.
    #[error("{found} bytes, expected {expected}: something was appended; produce the chunk again")]
    TrailingBytes {
        /// Bytes there.
        found: u64,
        /// Bytes that should be there.
        expected: u64,
    },
    /// Stored and computed checksum differ.
    #[error(
        "crc32c of {place} is {found:#010x}, expected {expected:#010x}: the file is damaged; \
         produce the chunk again"
    )]
    Checksum {
        /// Which bytes.
        place: Place,
        /// The checksum of the bytes as they are.
        found: u32,
        /// The checksum that was stored.
        expected: u32,
    },
    /// A value that no writer writes, under a checksum that fits.
    #[error("{place}: {what} is {found}, expected {expected}; produce the chunk again")]
    Invalid {
        /// Where.
        place: Place,
        /// Which value.
        what: &'static str,
        /// The value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// The metadata block is not what bincode writes for it.
    #[error("the metadata does not parse; produce the chunk again")]
    Metadata(#[source] bincode::error::DecodeError),
    /// The metadata could not be serialised.
    #[error("the metadata cannot be serialised")]
    EncodeMetadata(#[source] bincode::error::EncodeError),
    /// The bytes of a frame are not a picture of the stated form.
    #[error("{place}: {codec} data does not decode: {reason}")]
    Frame {
        /// Which frame.
        place: Place,
        /// The codec's name.
        codec: &'static str,
        /// What the codec found and expected.
        reason: String,
    },
    /// A frame of an episode that cannot be stored.
    #[error("episode {origin}: {camera} frame {index} cannot be stored")]
    SourceFrame {
        /// File and key of the episode.
        origin: String,
        /// The camera slot's name.
        camera: &'static str,
        /// Index of the frame in the episode.
        index: u32,
        /// What is wrong with it.
        #[source]
        source: Box<ChunkError>,
    },
    /// There is no such slot.
    #[error("slot {slot} does not exist: the chunk holds {samples} samples")]
    Slot {
        /// The slot asked for.
        slot: u32,
        /// The samples there are.
        samples: u32,
    },
    /// The caller's room does not fit the sample.
    #[error("room for {what} is {found} elements, expected {expected}")]
    Room {
        /// What was to be written.
        what: &'static str,
        /// Elements given.
        found: usize,
        /// Elements needed.
        expected: usize,
    },
    /// A writer was given something that a chunk cannot hold.
    #[error("{what} is {found}, expected {expected}")]
    Refused {
        /// Which argument, and of which episode.
        what: String,
        /// The value.
        found: String,
        /// What it may be.
        expected: String,
    },
    /// An episode failed half way, so the chunk cannot be completed.
    #[error("chunk {chunk} is incomplete: an episode failed while it was added; write the chunk again")]
    Incomplete {
        /// The chunk's number.
        chunk: u32,
    },
}

/// Bytes of a chunk that an error is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// The fixed header.
    Header,
    /// The frame table.
    FrameTable,
    /// The sample table.
    SampleTable,
    /// State and action rows.
    Rows,
    /// Data sets and episodes.
    Metadata,
    /// One data set of the metadata.
    Dataset(usize),
    /// One episode of the metadata.
    Episode(usize),
    /// One frame, by its number in the frame table.
    Frame(u32),
    /// One sample, by its slot.
    Sample(u32),
    /// A frame that is not in a chunk (yet).
    Source,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Header => f.write_str("the header"),
            Self::FrameTable => f.write_str("the frame table"),
            Self::SampleTable => f.write_str("the sample table"),
            Self::Rows => f.write_str("the rows"),
            Self::Metadata => f.write_str("the metadata"),
            Self::Dataset(index) => write!(f, "data set {index} of the metadata"),
            Self::Episode(index) => write!(f, "episode {index} of the metadata"),
            Self::Frame(index) => write!(f, "frame {index}"),
            Self::Sample(slot) => write!(f, "sample {slot}"),
            Self::Source => f.write_str("the source frame"),
        }
    }
}

impl ChunkError {
    /// A value that no writer writes.
    pub(crate) fn invalid(
        place: Place,
        what: &'static str,
        found: impl ToString,
        expected: impl ToString,
    ) -> Self {
        Self::Invalid { place, what, found: found.to_string(), expected: expected.to_string() }
    }

    /// An argument that a chunk cannot hold.
    pub(crate) fn refused(what: impl Into<String>, found: impl ToString, expected: impl ToString) -> Self {
        Self::Refused { what: what.into(), found: found.to_string(), expected: expected.to_string() }
    }
}
