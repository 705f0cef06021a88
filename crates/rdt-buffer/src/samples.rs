//! Where samples come from: the one seam between those who load them and storage.
//!
//! [`Samples`] is what is asked of a place that has samples. A buffer is one; source files without a
//! buffer are another (`rdt-producer`). Whoever it is lends a sample as a [`SampleView`], so that there
//! is one reading of rows and frames and batches of equal samples are equal bit by bit. It is called
//! once a sample, never once a row or pixel.

use std::error::Error;
use std::fmt::Debug;
use std::ops::Range;

use rdt_chunk::{ChunkError, SampleView};
use rdt_schema::{DatasetSchema, Origin};

use crate::embedding::ImageEmbeddings;
use crate::error::BufferError;
use crate::id::{ChunkId, SampleId, SlotIndex};
use crate::reader::Buffer;

/// A sample that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Its buffer cannot be.
    #[error(transparent)]
    Buffer(#[from] BufferError),
    /// Its chunk's bytes cannot be.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// It is in a source file that cannot be.
    #[error("the sample cannot be read from its source file")]
    Source(#[source] Box<dyn Error + Send + Sync>),
}

/// What takes a sample that is lent. What it finds is its own matter, failures included.
pub type Take<'a> = dyn FnMut(&SampleView<'_>) + 'a;

/// What is told of a sample's origin: data set index, file and episode, step.
pub type TellOrigin<'a> = dyn FnMut(u16, &Origin, u32) + 'a;

/// A place that has samples, read by many threads at once.
pub trait Samples: Debug + Send + Sync {
    /// Number of samples; ids are `0..sample_count`.
    fn sample_count(&self) -> u64;

    /// The data sets, in the order of [`SampleView::dataset_index`].
    fn datasets(&self) -> Vec<&DatasetSchema>;

    /// Side of the squares that frames were padded and resized to when they were stored; none where
    /// they are as the cameras took them.
    fn frame_size(&self) -> Option<u32> {
        None
    }

    /// Mean states of the data sets, in the same order, each 128 wide.
    fn state_means(&self) -> Vec<&[f64]>;

    /// Lends sample `id` to `take`, once, or fails.
    ///
    /// # Errors
    /// The sample cannot be read.
    fn read(&self, id: SampleId, take: &mut Take<'_>) -> Result<(), ReadError>;

    /// Says that sample `id` will be read soon; no error, the read will tell.
    fn will_need(&self, id: SampleId);

    /// Says that all samples from `ids.start` to before `ids.end` will be read, the first of them
    /// soon: worth more than one by one where they lie together.
    fn will_need_all(&self, _ids: Range<SampleId>) {}

    /// The stored embeddings of the frames; none where there are none.
    ///
    /// # Errors
    /// They cannot be read.
    fn image_embeddings(&self) -> Result<Option<ImageEmbeddings>, BufferError> {
        Ok(None)
    }

    /// Chunk and slot of sample `id`, where it is in a chunk.
    fn place(&self, id: SampleId) -> Option<(ChunkId, SlotIndex)>;

    /// Tells where sample `id` comes from, without reading its rows or frames.
    ///
    /// # Errors
    /// It cannot be known.
    fn tell_origin(&self, id: SampleId, tell: &mut TellOrigin<'_>) -> Result<(), ReadError>;
}

impl Samples for Buffer {
    fn sample_count(&self) -> u64 {
        Buffer::sample_count(self)
    }

    fn datasets(&self) -> Vec<&DatasetSchema> {
        self.manifest().datasets.iter().map(|dataset| &dataset.schema).collect()
    }

    fn frame_size(&self) -> Option<u32> {
        self.manifest().fill.frame_size
    }

    fn state_means(&self) -> Vec<&[f64]> {
        self.manifest().datasets.iter().map(|dataset| dataset.statistics.state_mean.as_slice()).collect()
    }

    fn read(&self, id: SampleId, take: &mut Take<'_>) -> Result<(), ReadError> {
        let (chunk, slot) = self.locate(id);
        let chunk = self.chunk(chunk)?;
        take(&chunk.sample(slot.get())?);
        Ok(())
    }

    /// Asks the kernel to read its bytes.
    fn will_need(&self, id: SampleId) {
        let (chunk, slot) = self.locate(id);
        if let Ok(chunk) = self.chunk(chunk) {
            chunk.will_need(slot.get());
        }
    }

    /// Asks the kernel to read their chunks.
    fn will_need_all(&self, ids: Range<SampleId>) {
        let first = self.locate(ids.start).0.get();
        let last = self.locate(SampleId::new(ids.end.get().saturating_sub(1))).0.get();
        for chunk in (first..=last).filter_map(|id| self.chunk(ChunkId::new(id)).ok()) {
            chunk.will_need_all();
        }
    }

    fn image_embeddings(&self) -> Result<Option<ImageEmbeddings>, BufferError> {
        ImageEmbeddings::open(self.dir())
    }

    fn place(&self, id: SampleId) -> Option<(ChunkId, SlotIndex)> {
        Some(self.locate(id))
    }

    fn tell_origin(&self, id: SampleId, tell: &mut TellOrigin<'_>) -> Result<(), ReadError> {
        self.read(id, &mut |view| {
            tell(view.dataset_index(), &view.episode().origin, view.step());
        })
    }
}
