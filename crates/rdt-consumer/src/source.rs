//! Where samples come from: the one seam between the loader and storage.
//!
//! Today that is a buffer. Training straight from episodes will be a second way to get at the
//! same things (how many samples, one sample by id, what it is called in a report); then this
//! struct becomes the place where the two part. The loader knows nothing else of a buffer.

use std::error::Error;
use std::sync::Arc;

use rdt_buffer::{Buffer, SampleId};
use rdt_chunk::SampleView;
use rdt_schema::DatasetSchema;

use crate::bad_sample::BadSample;
use crate::error::ConsumerError;

/// The samples of a buffer, shared between threads.
#[derive(Debug, Clone)]
pub struct SampleSource {
    buffer: Arc<Buffer>,
}

impl SampleSource {
    /// The samples of `buffer`.
    pub fn new(buffer: Arc<Buffer>) -> Self {
        Self { buffer }
    }

    /// Number of samples; ids are `0..sample_count`.
    pub fn sample_count(&self) -> u64 {
        self.buffer.sample_count()
    }

    /// The data sets, in the order of [`SampleView::dataset_index`].
    pub fn datasets(&self) -> impl Iterator<Item = &DatasetSchema> {
        self.buffer.manifest().datasets.iter().map(|dataset| &dataset.schema)
    }

    /// Mean states of the data sets, in the same order, each 128 wide.
    pub fn state_means(&self) -> impl Iterator<Item = &Vec<f64>> {
        self.buffer.manifest().datasets.iter().map(|dataset| &dataset.statistics.state_mean)
    }

    /// Hands sample `id` to `read`.
    ///
    /// # Errors
    /// The sample's chunk cannot be opened, its tables are damaged, or `read` fails.
    pub fn with<T>(
        &self,
        id: SampleId,
        read: impl FnOnce(&SampleView<'_>) -> Result<T, ConsumerError>,
    ) -> Result<T, ConsumerError> {
        let (chunk, slot) = self.buffer.locate(id);
        let chunk = self.buffer.chunk(chunk)?;
        read(&chunk.sample(slot.get())?)
    }

    /// Asks the kernel to read the bytes of sample `id` soon; no error, the read will tell.
    pub fn will_need(&self, id: SampleId) {
        let (chunk, slot) = self.buffer.locate(id);
        if let Ok(chunk) = self.buffer.chunk(chunk) {
            chunk.will_need(slot.get());
        }
    }

    /// Names sample `id`, which cannot be read because of `error`.
    pub(crate) fn bad_sample(&self, id: SampleId, error: &ConsumerError) -> BadSample {
        let (chunk, slot) = self.buffer.locate(id);
        let mut reason = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            reason.push_str(": ");
            reason.push_str(&error.to_string());
            cause = error.source();
        }
        let named = self.with(id, |view| Ok((view.episode().origin.clone(), view.step()))).ok();
        let (origin, step) = named.unzip();
        BadSample { sample: id, chunk, slot, origin, step, reason }
    }
}
