//! One sample into its slot of a batch: rows, instruction, images.

use std::sync::Arc;

use rdt_buffer::embedding::{self, ImageEmbeddings};
use rdt_chunk::{FrameDecoder, FrameView, SampleView};
use rdt_image::{BACKGROUND, Picture, Preprocessor};
use rdt_schema::CameraSlot;
use rdt_schema::Instruction;

use crate::batch::{BatchShape, Delivery, FrameImage, Slot};
use crate::condition::Conditioner;
use crate::draw::{Purpose, Visit};
use crate::error::ConsumerError;
use crate::statistics::{Stage, Watch};

/// Fills slots; keeps decoders and scratch memory between samples. One a thread.
#[derive(Debug)]
pub(crate) struct SlotFiller {
    shape: BatchShape,
    decoder: FrameDecoder,
    images: ImageFiller,
    conditioner: Option<Conditioner>,
    action_mask: Vec<u8>,
}

#[derive(Debug)]
enum ImageFiller {
    Pixel { preprocessor: Box<Preprocessor>, frame: Vec<u8> },
    Frames { decode: bool },
    Tokens(Arc<ImageEmbeddings>),
}

impl SlotFiller {
    /// `embeddings` are those that [`Delivery::Tokens`] delivers.
    pub(crate) fn new(
        shape: BatchShape,
        delivery: Delivery,
        conditioner: Option<Conditioner>,
        embeddings: Option<Arc<ImageEmbeddings>>,
    ) -> Result<Self, ConsumerError> {
        let images = match delivery {
            Delivery::Tokens { .. } => {
                ImageFiller::Tokens(embeddings.ok_or(ConsumerError::NoImageEmbeddings)?)
            }
            Delivery::Pixel { size } => {
                ImageFiller::Pixel { preprocessor: Box::new(Preprocessor::new(size)?), frame: Vec::new() }
            }
            Delivery::Frames => ImageFiller::Frames { decode: true },
            Delivery::Stored => ImageFiller::Frames { decode: false },
        };
        let action_mask = vec![0; shape.action_rows];
        Ok(Self { shape, decoder: FrameDecoder::new(), images, conditioner, action_mask })
    }

    /// Writes a sample; `visit` is what its instruction and its conditioning are drawn from.
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
        if let Some(conditioner) = &self.conditioner {
            conditioner.rows(visit, slot);
        }
        watch.lap(Stage::Rows);
        self.images(view, visit, slot, watch)
    }

    fn images(
        &mut self,
        view: &SampleView<'_>,
        visit: Visit,
        slot: &mut Slot,
        watch: &mut Watch<'_>,
    ) -> Result<(), ConsumerError> {
        let BatchShape { history, cameras, .. } = self.shape;
        // A masked image is treated as an absent one: its frame is not even decoded.
        let conditioner = &mut self.conditioner;
        let shown_frame = |conditioner: &Option<Conditioner>, index: usize| {
            let camera = index % cameras;
            valid_frame(view, index / cameras, camera).filter(|_| {
                conditioner.as_ref().is_none_or(|conditioner| conditioner.shows(visit, index, camera))
            })
        };
        slot.record.image_valid.clear();
        slot.record.image_valid.resize(self.shape.images(), false);
        match &mut self.images {
            ImageFiller::Pixel { preprocessor, frame: pixels } => {
                slot.record.frames.clear();
                let size = preprocessor.size();
                let images = slot.images.elements().chunks_exact_mut(3 * size * size);
                for (index, (image, is_background)) in images.zip(&mut slot.background).enumerate() {
                    let frame = shown_frame(conditioner, index);
                    slot.record.image_valid[index] = frame.is_some();
                    if let Some(frame) = frame {
                        let (height, width) = self.decoder.decode(&frame, pixels)?;
                        watch.lap(Stage::Decode);
                        *is_background = false;
                        let (height, width) = (height as usize, width as usize);
                        alter(conditioner, (visit, index), (height, width), pixels, watch);
                        preprocessor.square(Picture::new(height, width, pixels)?, image);
                    } else if !*is_background {
                        image.fill(BACKGROUND);
                        *is_background = true;
                    }
                    watch.lap(Stage::Preprocess);
                }
            }
            ImageFiller::Frames { decode } => {
                slot.record.frames.resize_with(history * cameras, FrameImage::default);
                for (index, image) in slot.record.frames.iter_mut().enumerate() {
                    let frame = shown_frame(conditioner, index);
                    slot.record.image_valid[index] = frame.is_some();
                    match frame {
                        Some(frame) if !*decode => {
                            (image.height, image.width) =
                                (frame.form.height as usize, frame.form.width as usize);
                            image.pixels.clear();
                            image.pixels.extend_from_slice(frame.bytes()?);
                        }
                        Some(frame) => {
                            let (height, width) = self.decoder.decode(&frame, &mut image.pixels)?;
                            (image.height, image.width) = (height as usize, width as usize);
                            watch.lap(Stage::Decode);
                            let size = (image.height, image.width);
                            alter(conditioner, (visit, index), size, &mut image.pixels, watch);
                        }
                        None => {
                            (image.height, image.width) = (0, 0);
                            image.pixels.clear();
                        }
                    }
                }
                watch.lap(Stage::Decode);
            }
            ImageFiller::Tokens(embeddings) => {
                slot.record.frames.clear();
                let chunk = view.chunk();
                let file = embeddings.of_chunk(chunk)?;
                let images = slot.images.elements().chunks_exact_mut(embeddings.image_bytes());
                for (index, (image, is_background)) in images.zip(&mut slot.background).enumerate() {
                    let frame = shown_frame(conditioner, index);
                    slot.record.image_valid[index] = frame.is_some();
                    // A read that fails leaves anything in the image, and the slot is filled again.
                    let was_background = std::mem::replace(is_background, false);
                    match frame {
                        Some(frame) => file.read(frame.number(), image)?,
                        None if was_background => {}
                        None => file.read(embedding::background(chunk), image)?,
                    }
                    *is_background = frame.is_none();
                }
                watch.lap(Stage::Decode);
            }
        }
        Ok(())
    }
}

/// Brightens and augments a decoded frame, where that is asked for.
fn alter(
    conditioner: &mut Option<Conditioner>,
    (visit, index): (Visit, usize),
    size: (usize, usize),
    pixels: &mut [u8],
    watch: &mut Watch<'_>,
) {
    if let Some(conditioner) = conditioner
        && conditioner.picture(visit, index, size, pixels)
    {
        watch.lap(Stage::Augment);
    }
}

/// The frame of an image, unless the camera is absent or the frame is masked.
fn valid_frame<'v>(view: &SampleView<'v>, history: usize, camera: usize) -> Option<FrameView<'v>> {
    let frame = view.frame(*CameraSlot::ALL.get(camera)?, u8::try_from(history).ok()?)?;
    let is_empty = frame.form.height == 0 || frame.form.width == 0;
    (frame.valid && !is_empty).then_some(frame)
}
