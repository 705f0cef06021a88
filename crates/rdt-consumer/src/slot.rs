//! One sample into its slot of a batch: rows, instruction, images.
//!
//! Each form in which images are delivered has a file of its own.

mod embeddings;
mod frames;
mod pixel;

use std::sync::Arc;

use rdt_buffer::embedding::ImageEmbeddings;
use rdt_chunk::{FrameView, SampleView};
use rdt_schema::CameraSlot;
use rdt_schema::Instruction;

use crate::batch::{BatchShape, Delivery, Slot};
use crate::disturb::Disturber;
use crate::draw::{Purpose, Visit};
use crate::error::ConsumerError;
use crate::loader::Layout;
use crate::statistics::{Stage, Watch};
use embeddings::EmbeddingWriter;
use frames::FrameWriter;
use pixel::PixelWriter;

/// Fills slots; keeps decoders and scratch memory between samples. One a thread.
#[derive(Debug)]
pub(crate) struct SlotFiller {
    shape: BatchShape,
    images: ImageWriter,
    disturber: Option<Disturber>,
    action_mask: Vec<u8>,
}

/// Writes the images of a sample, in one form.
#[derive(Debug)]
enum ImageWriter {
    Pixel(Box<PixelWriter>),
    Frames(FrameWriter),
    Embeddings(EmbeddingWriter),
}

/// The images of one sample in one visit.
struct Images<'a, 'v> {
    view: &'a SampleView<'v>,
    visit: Visit,
    cameras: usize,
    disturber: &'a mut Option<Disturber>,
}

impl SlotFiller {
    /// `embeddings` are those that [`Delivery::Embeddings`] delivers.
    pub(crate) fn new(
        layout: Layout,
        disturber: Option<Disturber>,
        embeddings: Option<Arc<ImageEmbeddings>>,
    ) -> Result<Self, ConsumerError> {
        let Layout { shape, delivery } = layout;
        let images = match delivery {
            Delivery::Pixel { size } => ImageWriter::Pixel(Box::new(PixelWriter::new(size)?)),
            Delivery::Frames => ImageWriter::Frames(FrameWriter::decoded()),
            Delivery::Stored => ImageWriter::Frames(FrameWriter::stored()),
            Delivery::Embeddings { .. } => {
                ImageWriter::Embeddings(EmbeddingWriter(embeddings.ok_or(ConsumerError::NoImageEmbeddings)?))
            }
        };
        let action_mask = vec![0; shape.action_rows];
        Ok(Self { shape, images, disturber, action_mask })
    }

    /// Writes a sample; `visit` is what its instruction and its disturbance are drawn from.
    /// After an error the slot's content is unspecified, and it can be filled again.
    pub(crate) fn fill(
        &mut self,
        view: &SampleView<'_>,
        visit: Visit,
        slot: &mut Slot,
        watch: &mut Watch<'_>,
    ) -> Result<(), ConsumerError> {
        watch.lap(Stage::Find);
        view.write_state(slot.state.elements())?;
        view.write_mask(slot.state_mask.elements())?;
        view.write_action_chunk(slot.actions.elements(), &mut self.action_mask)?;
        view.write_std(slot.state_std.elements())?;
        view.write_norm(slot.state_norm.elements())?;
        let record = &mut slot.record;
        record.dataset = usize::from(view.dataset_index());
        record.step = view.step();
        record.ctrl_freq = view.dataset().control_freq;
        record.instruction_index = Instruction::draw(view.instructions(), visit.unit(Purpose::Instruction));
        record.instruction.clear();
        if let Some(instruction) = view.instructions().get(record.instruction_index) {
            record.instruction.push_str(&instruction.text);
        }
        if let Some(disturber) = &self.disturber {
            disturber.rows(visit, slot);
        }
        watch.lap(Stage::Rows);

        slot.record.image_valid.clear();
        slot.record.image_valid.resize(self.shape.images(), false);
        let disturber = &mut self.disturber;
        let mut images = Images { view, visit, cameras: self.shape.cameras, disturber };
        match &mut self.images {
            ImageWriter::Pixel(writer) => writer.write(&mut images, slot, watch),
            ImageWriter::Frames(writer) => writer.write(&mut images, slot, watch),
            ImageWriter::Embeddings(writer) => writer.write(&images, slot, watch),
        }
    }
}

impl<'v> Images<'_, 'v> {
    /// The frame that image `index` shows, unless its camera is absent or it is masked: that is treated
    /// as absent too, and its frame not even decoded.
    fn shown(&self, index: usize) -> Option<FrameView<'v>> {
        let (history, camera) = (index / self.cameras, index % self.cameras);
        let frame = self.view.frame(*CameraSlot::ALL.get(camera)?, u8::try_from(history).ok()?)?;
        let is_empty = frame.form.height == 0 || frame.form.width == 0;
        let is_shown = |disturber: &Disturber| disturber.shows(self.visit, index, camera);
        (frame.valid && !is_empty && self.disturber.as_ref().is_none_or(is_shown)).then_some(frame)
    }

    /// Brightens and augments the decoded frame of image `index`, where that is asked for.
    fn alter(&mut self, index: usize, size: (usize, usize), pixels: &mut [u8], watch: &mut Watch<'_>) {
        if let Some(disturber) = self.disturber
            && disturber.picture(self.visit, index, size, pixels)
        {
            watch.lap(Stage::Augment);
        }
    }
}
