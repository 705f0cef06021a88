//! The sample table: one record a slot. Spans, paddings and masks are not stored: they
//! follow from the episode, the step and the data set's window
//! ([`rdt_schema::window`]).

use crate::error::ChunkError;
use crate::header::u32_at;

/// Bytes of a record.
pub(crate) const SAMPLE_RECORD_LENGTH: usize = 20;

/// Offsets of a record's fields.
pub(crate) mod field {
    pub(crate) const EPISODE: usize = 0;
    pub(crate) const STEP: usize = 4;
    pub(crate) const FIRST_STATE: usize = 8;
    pub(crate) const FIRST_ACTION: usize = 12;
    pub(crate) const FIRST_FRAME: usize = 16;
}

/// One sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SampleRecord {
    /// Number of the episode in the metadata.
    pub(crate) episode: u32,
    /// Original step.
    pub(crate) step: u32,
    /// Number of the first value of the first state row of the window.
    pub(crate) first_state: u32,
    /// Number of the first value of the first source action row of the window.
    pub(crate) first_action: u32,
    /// Number of the first frame of the window: that of the first camera present.
    pub(crate) first_frame: u32,
}

impl SampleRecord {
    /// The record's bytes.
    pub(crate) fn to_bytes(self) -> [u8; SAMPLE_RECORD_LENGTH] {
        let mut bytes = [0; SAMPLE_RECORD_LENGTH];
        let mut put = |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        put(field::EPISODE, self.episode);
        put(field::STEP, self.step);
        put(field::FIRST_STATE, self.first_state);
        put(field::FIRST_ACTION, self.first_action);
        put(field::FIRST_FRAME, self.first_frame);
        bytes
    }

    fn parse(bytes: &[u8]) -> Self {
        Self {
            episode: u32_at(bytes, field::EPISODE),
            step: u32_at(bytes, field::STEP),
            first_state: u32_at(bytes, field::FIRST_STATE),
            first_action: u32_at(bytes, field::FIRST_ACTION),
            first_frame: u32_at(bytes, field::FIRST_FRAME),
        }
    }
}

/// The bytes of the sample table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SampleTable<'a> {
    bytes: &'a [u8],
}

impl<'a> SampleTable<'a> {
    /// A table of whole records; the header's check has seen to that.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Number of samples.
    pub(crate) fn len(self) -> u32 {
        (self.bytes.len() / SAMPLE_RECORD_LENGTH) as u32
    }

    /// Record of slot `slot`.
    pub(crate) fn get(self, slot: u32) -> Result<SampleRecord, ChunkError> {
        let at = slot as usize * SAMPLE_RECORD_LENGTH;
        let bytes = self.bytes.get(at..at + SAMPLE_RECORD_LENGTH);
        bytes.map(SampleRecord::parse).ok_or(ChunkError::Slot { slot, samples: self.len() })
    }
}
