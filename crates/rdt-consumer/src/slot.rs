//! One sample into its slot of a batch: rows, instruction, images.

use rdt_chunk::{FrameDecoder, FrameView, SampleView};
use rdt_schema::CameraSlot;
use rdt_schema::Instruction;

use crate::batch::{BatchShape, Delivery, FrameImage, Slot};
use crate::error::ConsumerError;
use crate::preprocess::{Picture, Preprocessor};
use crate::statistics::{Stage, Watch};

/// Fills slots; keeps decoders and scratch memory between samples. One a thread.
#[derive(Debug)]
pub(crate) struct SlotFiller {
    shape: BatchShape,
    decoder: FrameDecoder,
    images: ImageFiller,
    action_mask: Vec<u8>,
}

#[derive(Debug)]
enum ImageFiller {
    Pixel { preprocessor: Box<Preprocessor>, frame: Vec<u8> },
    Frames,
}

impl SlotFiller {
    pub(crate) fn new(shape: BatchShape, delivery: Delivery) -> Result<Self, ConsumerError> {
        let images = match delivery {
            Delivery::Pixel { size } => {
                ImageFiller::Pixel { preprocessor: Box::new(Preprocessor::new(size)?), frame: Vec::new() }
            }
            Delivery::Frames => ImageFiller::Frames,
        };
        let action_mask = vec![0; shape.action_rows];
        Ok(Self { shape, decoder: FrameDecoder::new(), images, action_mask })
    }

    /// Writes a sample; `unit` in [0, 1) draws its instruction. After an error the slot's
    /// content is unspecified, and it can be filled again.
    pub(crate) fn fill(
        &mut self,
        view: &SampleView<'_>,
        unit: f64,
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
        record.instruction_index = Instruction::draw(view.instructions(), unit);
        record.instruction.clear();
        if let Some(instruction) = view.instructions().get(record.instruction_index) {
            record.instruction.push_str(&instruction.text);
        }
        // Conditioning (masked images, instructions, states and frequencies, state noise,
        // colour augmentation) belongs here and before the preprocessing of each image: it
        // is a function of the same (seed, epoch, position) as the instruction.
        watch.lap(Stage::Rows);
        self.images(view, slot, watch)
    }

    fn images(
        &mut self,
        view: &SampleView<'_>,
        slot: &mut Slot,
        watch: &mut Watch<'_>,
    ) -> Result<(), ConsumerError> {
        let BatchShape { history, cameras, .. } = self.shape;
        slot.record.image_valid.clear();
        slot.record.image_valid.resize(self.shape.images(), false);
        match &mut self.images {
            ImageFiller::Pixel { preprocessor, frame: pixels } => {
                slot.record.frames.clear();
                let size = preprocessor.size();
                let images = slot.images.elements().chunks_exact_mut(3 * size * size);
                for (index, (image, is_background)) in images.zip(&mut slot.background).enumerate() {
                    let frame = valid_frame(view, index / cameras, index % cameras);
                    slot.record.image_valid[index] = frame.is_some();
                    if let Some(frame) = frame {
                        let (height, width) = self.decoder.decode(&frame, pixels)?;
                        watch.lap(Stage::Decode);
                        *is_background = false;
                        preprocessor.pixel(Picture::new(height as usize, width as usize, pixels)?, image);
                    } else if !*is_background {
                        image.fill(preprocessor.background_value());
                        *is_background = true;
                    }
                    watch.lap(Stage::Preprocess);
                }
            }
            ImageFiller::Frames => {
                slot.record.frames.resize_with(history * cameras, FrameImage::default);
                for (index, image) in slot.record.frames.iter_mut().enumerate() {
                    let frame = valid_frame(view, index / cameras, index % cameras);
                    slot.record.image_valid[index] = frame.is_some();
                    match frame {
                        Some(frame) => {
                            let (height, width) = self.decoder.decode(&frame, &mut image.pixels)?;
                            (image.height, image.width) = (height as usize, width as usize);
                        }
                        None => {
                            (image.height, image.width) = (0, 0);
                            image.pixels.clear();
                        }
                    }
                }
                watch.lap(Stage::Decode);
            }
        }
        Ok(())
    }
}

/// The frame of an image, unless the camera is absent or the frame is masked.
fn valid_frame<'v>(view: &SampleView<'v>, history: usize, camera: usize) -> Option<FrameView<'v>> {
    let frame = view.frame(*CameraSlot::ALL.get(camera)?, u8::try_from(history).ok()?)?;
    let is_empty = frame.form.height == 0 || frame.form.width == 0;
    (frame.valid && !is_empty).then_some(frame)
}
