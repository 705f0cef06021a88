//! A chunk that is read: the header checked at opening, all else at its first use.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use rdt_schema::DatasetSchema;

use crate::decode::FrameDecoder;
use crate::error::{ChunkError, Place};
use crate::frame_table::FrameTable;
use crate::frame_view::FrameView;
use crate::header::{Header, Section};
use crate::layout::Layout;
use crate::metadata::{ChunkEpisode, Metadata};
use crate::rows::Rows;
use crate::sample_table::SampleTable;
use crate::view::SampleView;

/// Chunks opened by this process; tells decoded reference frames of different chunks
/// apart. Counts from 1.
static OPENED: AtomicU64 = AtomicU64::new(1);

/// A chunk file as bytes: a map, a vector, a slice.
///
/// `Send` and `Sync` where the bytes are; every method takes `&self`.
///
/// See the [crate] for an example.
#[derive(Debug)]
pub struct Chunk<B> {
    bytes: B,
    header: Header,
    opened: u64,
    /// Set once the tables and the metadata have been checked.
    metadata: OnceLock<Metadata>,
    /// Set once the rows have been checked.
    rows: OnceLock<()>,
}

impl<B: AsRef<[u8]>> Chunk<B> {
    /// Opens a chunk that is `bytes` in whole. Looks at the header and the length only.
    ///
    /// # Errors
    /// No chunk, another version, a damaged header, or bytes that are missing or too many.
    pub fn open(bytes: B) -> Result<Self, ChunkError> {
        let header = Header::parse(bytes.as_ref())?;
        let opened = OPENED.fetch_add(1, Ordering::Relaxed);
        Ok(Self { bytes, header, opened, metadata: OnceLock::new(), rows: OnceLock::new() })
    }

    /// What the chunk says about itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The bytes that were opened.
    pub(crate) fn bytes(&self) -> &B {
        &self.bytes
    }

    /// Data sets of the buffer; [`ChunkEpisode::dataset`] is a position in it.
    ///
    /// # Errors
    /// A table or the metadata is damaged (checked at the first use).
    pub fn datasets(&self) -> Result<&[DatasetSchema], ChunkError> {
        Ok(&self.metadata()?.datasets)
    }

    /// Episodes with samples in the chunk, in the order in which they were added.
    ///
    /// # Errors
    /// A table or the metadata is damaged (checked at the first use).
    pub fn episodes(&self) -> Result<&[ChunkEpisode], ChunkError> {
        Ok(&self.metadata()?.episodes)
    }

    /// The sample in slot `slot`.
    ///
    /// # Errors
    /// There is no such slot, or a table, the metadata or the rows are damaged (checked
    /// at the first use). Frames are checked when they are decoded.
    pub fn sample(&self, slot: u32) -> Result<SampleView<'_>, ChunkError> {
        let metadata = self.metadata()?;
        let record = self.sample_table()?.get(slot)?;
        let rows = self.rows()?;
        let place = (self.opened, &self.header);
        SampleView::new(place, slot, record, metadata, rows, self.frame_table()?, self.bytes.as_ref())
    }

    /// Checks every byte: all checksums, all tables, and that every frame decodes.
    ///
    /// # Errors
    /// The first fault found. To name all damaged samples, call
    /// [`SampleView::check`] for each slot.
    pub fn verify(&self) -> Result<(), ChunkError> {
        // What was checked before may have rotted since: nothing is taken from memory.
        let metadata = self.read_metadata()?;
        self.checked_section(Section::Rows, Place::Rows)?;
        let mut decoder = FrameDecoder::new();
        let mut pixels = Vec::new();
        let frames = self.frame_table()?;
        for number in 0..frames.len() {
            let frame = FrameView::new(self.opened, number, true, frames, self.bytes.as_ref())?;
            decoder.decode(&frame, &mut pixels)?;
        }
        drop(metadata);
        Ok(())
    }

    /// Tables and metadata, checked at the first call.
    fn metadata(&self) -> Result<&Metadata, ChunkError> {
        match self.metadata.get() {
            Some(metadata) => Ok(metadata),
            None => {
                let metadata = self.read_metadata()?;
                Ok(self.metadata.get_or_init(|| metadata))
            }
        }
    }

    fn read_metadata(&self) -> Result<Metadata, ChunkError> {
        let metadata = Metadata::parse(self.checked_section(Section::Metadata, Place::Metadata)?)?;
        let frames = FrameTable::new(self.checked_section(Section::FrameTable, Place::FrameTable)?);
        frames.check(self.header.frame_bytes())?;
        let samples = SampleTable::new(self.checked_section(Section::SampleTable, Place::SampleTable)?);
        let rows = Rows::new(self.section(Section::Rows)?);
        for slot in 0..samples.len() {
            let record = samples.get(slot)?;
            let Some(episode) = metadata.episodes.get(record.episode as usize) else {
                let expected = format!("less than {}", metadata.episodes.len());
                return Err(ChunkError::invalid(
                    Place::Sample(slot),
                    "the episode",
                    record.episode,
                    expected,
                ));
            };
            // The metadata's check has seen to it that the data set exists.
            let dataset = &metadata.datasets[usize::from(episode.dataset)];
            let layout = Layout::of(dataset, &episode.info, record.step);
            layout.check(slot, &record, dataset, &episode.info, rows, frames)?;
        }
        Ok(metadata)
    }

    fn rows(&self) -> Result<Rows<'_>, ChunkError> {
        if self.rows.get().is_none() {
            self.checked_section(Section::Rows, Place::Rows)?;
            self.rows.get_or_init(|| ());
        }
        Ok(Rows::new(self.section(Section::Rows)?))
    }

    fn frame_table(&self) -> Result<FrameTable<'_>, ChunkError> {
        Ok(FrameTable::new(self.section(Section::FrameTable)?))
    }

    fn sample_table(&self) -> Result<SampleTable<'_>, ChunkError> {
        Ok(SampleTable::new(self.section(Section::SampleTable)?))
    }

    fn section(&self, section: Section) -> Result<&[u8], ChunkError> {
        let bytes = self.bytes.as_ref();
        // The header's check has compared the lengths; only bytes that shrank since fail.
        bytes
            .get(self.header.range(section))
            .ok_or(ChunkError::Truncated { found: bytes.len() as u64, expected: self.header.file_bytes() })
    }

    fn checked_section(&self, section: Section, place: Place) -> Result<&[u8], ChunkError> {
        let bytes = self.section(section)?;
        if let Some(checksum) = self.header.checksum(section) {
            checksum.check(bytes, place)?;
        }
        Ok(bytes)
    }
}
