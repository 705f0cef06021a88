//! The edge between the loader's batches and the model: what the trainer asks of a batch, and where it
//! gets batches from.

use std::sync::atomic::AtomicBool;

use rdt_consumer::{BadSample, BatchPosition, Delivery, End, Loader, Receipt};
use rdt_model::batch::HostBatch;
use rdt_model::images::{HostFrame, HostImages};

use crate::error::TrainError;

/// What the trainer asks of a batch, whoever made it.
pub trait TrainingBatch {
    /// Its arrays.
    fn host(&self) -> HostBatch<'_>;

    /// Where the batch after it begins.
    fn next_position(&self) -> BatchPosition;

    /// What is to be said of its samples once a step has used them; its memory is given back.
    fn into_receipt(self) -> Receipt;
}

/// Where the trainer gets batches from.
pub trait Batches {
    /// A batch.
    type Batch: TrainingBatch;

    /// The next one; none at the end, which [`Batches::end`] explains, or as soon as `stop` is set.
    ///
    /// # Errors
    /// It cannot be made.
    fn next(&mut self, stop: &AtomicBool) -> Result<Option<Self::Batch>, TrainError>;

    /// Why there was no batch.
    fn end(&self) -> Option<End>;

    /// Samples that could not be read since the last call.
    fn take_bad_samples(&mut self) -> Vec<BadSample>;
}

impl Batches for Loader {
    type Batch = rdt_consumer::Batch;

    fn next(&mut self, stop: &AtomicBool) -> Result<Option<Self::Batch>, TrainError> {
        Loader::next(self, stop).map_err(TrainError::data)
    }

    fn end(&self) -> Option<End> {
        Loader::end(self)
    }

    fn take_bad_samples(&mut self) -> Vec<BadSample> {
        Loader::take_bad_samples(self)
    }
}

impl TrainingBatch for rdt_consumer::Batch {
    fn host(&self) -> HostBatch<'_> {
        let samples = self.samples();
        HostBatch {
            state: self.state(),
            state_mask: self.state_mask(),
            actions: self.actions(),
            images: host_images(self),
            control_freq: samples.iter().map(|sample| sample.ctrl_freq).collect(),
            instructions: samples.iter().map(|sample| sample.instruction.as_str()).collect(),
            state_norm: self.state_norm(),
            datasets: samples.iter().map(|sample| sample.dataset).collect(),
            samples: samples.iter().map(|sample| sample.sample.get()).collect(),
        }
    }

    fn next_position(&self) -> BatchPosition {
        rdt_consumer::Batch::next_position(self)
    }

    fn into_receipt(self) -> Receipt {
        rdt_consumer::Batch::into_receipt(self)
    }
}

/// The images of a batch.
fn host_images(batch: &rdt_consumer::Batch) -> HostImages<'_> {
    match batch.delivery() {
        Delivery::Pixel { .. } => HostImages::Pixel(batch.images()),
        Delivery::Embeddings { element, .. } => HostImages::Tokens { bytes: batch.images(), element },
        // Stored bytes are not for training: they are refused where their number is no frame's.
        Delivery::Frames | Delivery::Stored => HostImages::Frames(
            batch
                .samples()
                .iter()
                .flat_map(|sample| sample.frames.iter().zip(&sample.image_valid))
                .map(|(frame, &is_valid)| {
                    let rdt_consumer::FrameImage { height, width, pixels } = frame;
                    is_valid.then_some(HostFrame { height: *height, width: *width, pixels })
                })
                .collect(),
        ),
    }
}
