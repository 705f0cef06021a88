//! The frame table: one record a frame, in the order of the frames in the file.
//!
//! Invariant of a checked table: the frames tile their section exactly, sizes are within
//! the limits, and a reference leads to an earlier frame of the same size that needs no
//! reference itself.

use rdt_schema::{ChannelOrder, Flip, FrameEncoding, FrameForm};

use crate::checksum::Checksum;
use crate::codec::FrameCodec;
use crate::codec::pixels::decoded_bytes;
use crate::error::{ChunkError, Place};
use crate::header::{HEADER_LENGTH, array, u32_at, u64_at};

/// Most rows, and most columns, of a frame.
pub const MAX_FRAME_SIDE: u32 = 8192;
/// Most pixels of a frame: bounds what a few bytes can make a decoder allocate (48 MiB).
pub const MAX_FRAME_PIXELS: u32 = 1 << 24;
/// Most pixels of a sample, over all cameras and frames of its window (192 MiB).
pub const MAX_SAMPLE_PIXELS: u64 = 1 << 26;
/// Bytes of a record.
pub(crate) const FRAME_RECORD_LENGTH: usize = 28;
/// Stands for "no reference".
pub(crate) const NO_REFERENCE: u32 = u32::MAX;

/// Offsets of a record's fields.
pub(crate) mod field {
    pub(crate) const OFFSET: usize = 0;
    pub(crate) const LENGTH: usize = 8;
    pub(crate) const CHECKSUM: usize = 12;
    pub(crate) const REFERENCE: usize = 16;
    pub(crate) const HEIGHT: usize = 20;
    pub(crate) const WIDTH: usize = 22;
    pub(crate) const CODEC: usize = 24;
    pub(crate) const ORDER: usize = 25;
    pub(crate) const FLIP: usize = 26;
    pub(crate) const RESERVED: usize = 27;
}

/// One frame: where its bytes are and how to read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameRecord {
    /// First byte in the file.
    pub(crate) offset: u64,
    /// Bytes.
    pub(crate) length: u32,
    /// Of the encoded bytes.
    pub(crate) checksum: Checksum,
    /// Number of the frame that a [`FrameCodec::ZstdRef`] frame builds on.
    pub(crate) reference: Option<u32>,
    /// Coding of the bytes.
    pub(crate) codec: FrameCodec,
    /// Size; order and flip of what the bytes decode to.
    pub(crate) form: FrameForm,
}

impl FrameRecord {
    /// The record's bytes.
    pub(crate) fn to_bytes(self) -> [u8; FRAME_RECORD_LENGTH] {
        let mut bytes = [0; FRAME_RECORD_LENGTH];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(field::OFFSET, &self.offset.to_le_bytes());
        put(field::LENGTH, &self.length.to_le_bytes());
        put(field::CHECKSUM, &self.checksum.0.to_le_bytes());
        put(field::REFERENCE, &self.reference.unwrap_or(NO_REFERENCE).to_le_bytes());
        put(field::HEIGHT, &(self.form.height as u16).to_le_bytes());
        put(field::WIDTH, &(self.form.width as u16).to_le_bytes());
        put(field::CODEC, &[self.codec as u8]);
        put(field::ORDER, &[self.form.order as u8]);
        put(field::FLIP, &[self.form.flip as u8]);
        put(field::RESERVED, &[0]);
        bytes
    }

    fn parse(bytes: &[u8], frame: u32) -> Result<Self, ChunkError> {
        let invalid =
            |what, found: u8, expected| ChunkError::invalid(Place::Frame(frame), what, found, expected);
        let codec = bytes[field::CODEC];
        let codec = FrameCodec::from_byte(codec).ok_or_else(|| {
            invalid("the codec", codec, "one of docs/format.md (written by a newer program?)")
        })?;
        let order = match bytes[field::ORDER] {
            0 => ChannelOrder::Rgb,
            1 => ChannelOrder::Bgr,
            other => return Err(invalid("the channel order", other, "0 or 1")),
        };
        let flip = match bytes[field::FLIP] {
            0 => Flip::None,
            1 => Flip::Vertical,
            2 => Flip::Horizontal,
            3 => Flip::Both,
            other => return Err(invalid("the flip", other, "0 to 3")),
        };
        if bytes[field::RESERVED] != 0 {
            return Err(invalid("the reserved byte", bytes[field::RESERVED], "0"));
        }
        let reference = u32_at(bytes, field::REFERENCE);
        let encoding = if codec == FrameCodec::Jpeg { FrameEncoding::Jpeg } else { FrameEncoding::Raw };
        let height = u32::from(u16::from_le_bytes(array(bytes, field::HEIGHT)));
        let width = u32::from(u16::from_le_bytes(array(bytes, field::WIDTH)));
        Ok(Self {
            offset: u64_at(bytes, field::OFFSET),
            length: u32_at(bytes, field::LENGTH),
            checksum: Checksum(u32_at(bytes, field::CHECKSUM)),
            reference: (reference != NO_REFERENCE).then_some(reference),
            codec,
            form: FrameForm { encoding, height, width, order, flip },
        })
    }
}

/// Whether a frame of that size may be in a chunk.
pub(crate) fn is_size_allowed(height: u32, width: u32) -> bool {
    let side = 1..=MAX_FRAME_SIDE;
    side.contains(&height) && side.contains(&width) && height * width <= MAX_FRAME_PIXELS
}

/// The bytes of the frame table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameTable<'a> {
    bytes: &'a [u8],
}

impl<'a> FrameTable<'a> {
    /// A table of whole records; the header's check has seen to that.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Number of frames.
    pub(crate) fn len(self) -> u32 {
        (self.bytes.len() / FRAME_RECORD_LENGTH) as u32
    }

    /// Record of frame `frame`.
    pub(crate) fn get(self, frame: u32) -> Result<FrameRecord, ChunkError> {
        let at = frame as usize * FRAME_RECORD_LENGTH;
        match self.bytes.get(at..at + FRAME_RECORD_LENGTH) {
            Some(bytes) => FrameRecord::parse(bytes, frame),
            None => {
                let expected = format!("less than {}", self.len());
                Err(ChunkError::invalid(Place::FrameTable, "a frame number", frame, expected))
            }
        }
    }

    /// Checks every record; `frames_length` is the length of the frames section.
    pub(crate) fn check(self, frames_length: u64) -> Result<(), ChunkError> {
        let mut offset = HEADER_LENGTH as u64;
        let end = offset + frames_length;
        for frame in 0..self.len() {
            let record = self.get(frame)?;
            if record.offset != offset {
                return Err(ChunkError::invalid(Place::Frame(frame), "the offset", record.offset, offset));
            }
            offset += u64::from(record.length);
            if record.length == 0 || offset > end {
                let expected = "at least 1 and within the frames section";
                return Err(ChunkError::invalid(Place::Frame(frame), "the length", record.length, expected));
            }
            self.check_form(frame, &record)?;
        }
        if offset == end {
            Ok(())
        } else {
            Err(ChunkError::invalid(Place::FrameTable, "the end of the last frame", offset, end))
        }
    }

    fn check_form(self, frame: u32, record: &FrameRecord) -> Result<(), ChunkError> {
        let invalid = |what, found: String, expected: &str| {
            Err(ChunkError::invalid(Place::Frame(frame), what, found, expected))
        };
        let FrameForm { height, width, order, flip, .. } = record.form;
        if !is_size_allowed(height, width) {
            return invalid(
                "the size",
                format!("{height} x {width} pixels"),
                &format!("1 to {MAX_FRAME_SIDE} a side and at most {MAX_FRAME_PIXELS} in all"),
            );
        }
        if record.codec != FrameCodec::Jpeg && (order != ChannelOrder::Rgb || flip != Flip::None) {
            return invalid("the form", format!("{order:?}, flip {flip:?}"), "upright RGB (this is no JPEG)");
        }
        if record.codec == FrameCodec::Raw && record.length as usize != decoded_bytes(&record.form) {
            let expected = format!("height x width x 3 = {}", decoded_bytes(&record.form));
            return invalid("the length", record.length.to_string(), &expected);
        }
        match (record.codec, record.reference) {
            (FrameCodec::ZstdRef, Some(reference)) if reference < frame => {
                let anchor = self.get(reference)?;
                if anchor.codec.is_reference() && (anchor.form.height, anchor.form.width) == (height, width) {
                    Ok(())
                } else {
                    invalid("the reference", reference.to_string(), "a raw or zstd frame of the same size")
                }
            }
            (FrameCodec::ZstdRef, other) => {
                let found = other.map_or("none".into(), |frame| frame.to_string());
                invalid("the reference", found, "an earlier frame")
            }
            (_, None) => Ok(()),
            (_, Some(other)) => invalid("the reference", other.to_string(), "none (this is no zstd_ref)"),
        }
    }
}
