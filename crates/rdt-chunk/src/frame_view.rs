//! One stored frame, undecoded: its bytes, and what the frame table says of them.

use std::ops::Range;

use rdt_schema::FrameForm;

use crate::checksum::Checksum;
use crate::codec::FrameCodec;
use crate::error::{ChunkError, Place};
use crate::frame_table::{FrameRecord, FrameTable};

/// One stored frame of a sample.
#[derive(Debug, Clone, Copy)]
pub struct FrameView<'a> {
    /// Size; order and flip of what the stored bytes decode to.
    pub form: FrameForm,
    /// Coding of the stored bytes.
    pub codec: FrameCodec,
    /// Whether the frame is of a kept step of the episode (the time mask).
    pub valid: bool,
    pub(crate) chunk: u64,
    pub(crate) stored: StoredFrame<'a>,
    pub(crate) reference: Option<StoredFrame<'a>>,
}

/// The bytes of a frame and what the frame table says of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredFrame<'a> {
    pub(crate) number: u32,
    pub(crate) bytes: &'a [u8],
    pub(crate) checksum: Checksum,
    pub(crate) codec: FrameCodec,
    pub(crate) form: FrameForm,
    offset: usize,
}

impl<'a> FrameView<'a> {
    /// Frame `number` of a chunk whose tables have been checked; `file` is the chunk.
    pub(crate) fn new(
        chunk: u64,
        number: u32,
        valid: bool,
        frames: FrameTable<'a>,
        file: &'a [u8],
    ) -> Result<Self, ChunkError> {
        let record = frames.get(number)?;
        let stored = StoredFrame::new(number, &record, file)?;
        let reference = match record.reference {
            Some(reference) => Some(StoredFrame::new(reference, &frames.get(reference)?, file)?),
            None => None,
        };
        Ok(Self { form: record.form, codec: record.codec, valid, chunk, stored, reference })
    }

    /// Number of the frame in the chunk.
    pub fn number(&self) -> u32 {
        self.stored.number
    }

    /// The stored bytes, their checksum compared.
    ///
    /// # Errors
    /// The checksum does not fit.
    pub fn bytes(&self) -> Result<&'a [u8], ChunkError> {
        self.stored.checksum.check(self.stored.bytes, Place::Frame(self.stored.number))?;
        Ok(self.stored.bytes)
    }
}

impl<'a> StoredFrame<'a> {
    fn new(number: u32, record: &FrameRecord, file: &'a [u8]) -> Result<Self, ChunkError> {
        let offset = record.offset as usize;
        let bytes = file.get(offset..offset.saturating_add(record.length as usize));
        let bytes = bytes.ok_or_else(|| {
            let expected = format!("a place within {} bytes", file.len());
            ChunkError::invalid(Place::Frame(number), "the offset", record.offset, expected)
        })?;
        let FrameRecord { checksum, codec, form, .. } = *record;
        Ok(Self { number, bytes, checksum, codec, form, offset })
    }

    pub(crate) fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.bytes.len()
    }
}
