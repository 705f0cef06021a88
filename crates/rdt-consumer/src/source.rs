//! Where samples come from: the one seam between the loader and storage.
//!
//! [`Samples`] is what a loader asks of a place that has samples. A buffer is one; source files
//! without a buffer are another (in the programs, since nothing here may know HDF5). Whoever it is
//! lends a sample as a [`SampleView`], so that there is one reading of rows and frames and
//! batches of equal samples are equal bit by bit. A loader calls it once a sample, never once a
//! row or pixel.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use rdt_buffer::embedding::ImageEmbeddings;
use rdt_buffer::{Buffer, ChunkId, SampleId, SlotIndex};
use rdt_chunk::SampleView;
use rdt_schema::{DatasetSchema, Origin};

use crate::error::ConsumerError;

/// What takes a sample that is lent.
pub type Take<'a> = dyn FnMut(&SampleView<'_>) -> Result<(), ConsumerError> + 'a;

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
    /// The sample cannot be read, or `take` fails.
    fn read(&self, id: SampleId, take: &mut Take<'_>) -> Result<(), ConsumerError>;

    /// Says that sample `id` will be read soon; no error, the read will tell.
    fn will_need(&self, id: SampleId);

    /// Says that all samples from `ids.start` to before `ids.end` will be read, the first of them
    /// soon: worth more than one by one where they lie together.
    fn will_need_all(&self, _ids: Range<SampleId>) {}

    /// The stored embeddings of the frames; none where there are none.
    ///
    /// # Errors
    /// They cannot be read.
    fn image_embeddings(&self) -> Result<Option<ImageEmbeddings>, ConsumerError> {
        Ok(None)
    }

    /// Chunk and slot of sample `id`, where it is in a chunk.
    fn place(&self, id: SampleId) -> Option<(ChunkId, SlotIndex)>;

    /// Tells where sample `id` comes from, without reading its rows or frames.
    ///
    /// # Errors
    /// It cannot be known.
    fn tell_origin(&self, id: SampleId, tell: &mut TellOrigin<'_>) -> Result<(), ConsumerError>;
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

    fn read(&self, id: SampleId, take: &mut Take<'_>) -> Result<(), ConsumerError> {
        let (chunk, slot) = self.locate(id);
        let chunk = self.chunk(chunk)?;
        take(&chunk.sample(slot.get())?)
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

    fn image_embeddings(&self) -> Result<Option<ImageEmbeddings>, ConsumerError> {
        Ok(ImageEmbeddings::open(self.dir())?)
    }

    fn place(&self, id: SampleId) -> Option<(ChunkId, SlotIndex)> {
        Some(self.locate(id))
    }

    fn tell_origin(&self, id: SampleId, tell: &mut TellOrigin<'_>) -> Result<(), ConsumerError> {
        self.read(id, &mut |view| {
            tell(view.dataset_index(), &view.episode().origin, view.step());
            Ok(())
        })
    }
}

/// A handle on [`Samples`], shared between threads.
#[derive(Debug, Clone)]
pub struct SampleSource(Arc<dyn Samples>);

impl<S: Samples + 'static> From<Arc<S>> for SampleSource {
    fn from(samples: Arc<S>) -> Self {
        Self(samples)
    }
}

impl SampleSource {
    /// As of [`Samples::sample_count`].
    pub fn sample_count(&self) -> u64 {
        self.0.sample_count()
    }

    /// As of [`Samples::datasets`].
    pub fn datasets(&self) -> Vec<&DatasetSchema> {
        self.0.datasets()
    }

    /// As of [`Samples::frame_size`].
    pub fn frame_size(&self) -> Option<u32> {
        self.0.frame_size()
    }

    /// As of [`Samples::state_means`].
    pub fn state_means(&self) -> Vec<&[f64]> {
        self.0.state_means()
    }

    /// As of [`Samples::read`].
    ///
    /// # Errors
    /// The sample cannot be read, or `take` fails.
    pub fn read(&self, id: SampleId, take: &mut Take<'_>) -> Result<(), ConsumerError> {
        self.0.read(id, take)
    }

    /// As of [`Samples::will_need`].
    pub fn will_need(&self, id: SampleId) {
        self.0.will_need(id);
    }

    /// As of [`Samples::will_need_all`].
    pub fn will_need_all(&self, ids: Range<SampleId>) {
        self.0.will_need_all(ids);
    }

    /// As of [`Samples::image_embeddings`].
    ///
    /// # Errors
    /// They cannot be read.
    pub fn image_embeddings(&self) -> Result<Option<ImageEmbeddings>, ConsumerError> {
        self.0.image_embeddings()
    }

    /// As of [`Samples::tell_origin`].
    ///
    /// # Errors
    /// It cannot be known.
    pub fn tell_origin(&self, id: SampleId, tell: &mut TellOrigin<'_>) -> Result<(), ConsumerError> {
        self.0.tell_origin(id, tell)
    }

    /// As of [`Samples::place`].
    pub fn place(&self, id: SampleId) -> Option<(ChunkId, SlotIndex)> {
        self.0.place(id)
    }
}
