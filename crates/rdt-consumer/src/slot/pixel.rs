//! Images padded and resized to squares: [`Delivery::Pixel`](crate::Delivery::Pixel).

use rdt_chunk::FrameDecoder;
use rdt_image::{BACKGROUND, Picture, Preprocessor};

use super::Images;
use crate::batch::Slot;
use crate::error::ConsumerError;
use crate::statistics::{Stage, Watch};

/// Decodes, alters and resizes.
#[derive(Debug)]
pub(super) struct PixelWriter {
    decoder: FrameDecoder,
    preprocessor: Preprocessor,
    frame: Vec<u8>,
}

impl PixelWriter {
    /// For squares of `size` pixels.
    pub(super) fn new(size: usize) -> Result<Self, ConsumerError> {
        let preprocessor = Preprocessor::new(size)?;
        Ok(Self { decoder: FrameDecoder::new(), preprocessor, frame: Vec::new() })
    }

    pub(super) fn write(
        &mut self,
        images: &mut Images<'_, '_>,
        slot: &mut Slot,
        watch: &mut Watch<'_>,
    ) -> Result<(), ConsumerError> {
        slot.record.frames.clear();
        let size = self.preprocessor.size();
        let squares = slot.images.elements().chunks_exact_mut(3 * size * size);
        for (index, (square, is_background)) in squares.zip(&mut slot.background).enumerate() {
            let frame = images.shown(index);
            slot.record.image_valid[index] = frame.is_some();
            if let Some(frame) = frame {
                let (height, width) = self.decoder.decode(&frame, &mut self.frame)?;
                watch.lap(Stage::Decode);
                *is_background = false;
                let (height, width) = (height as usize, width as usize);
                images.alter(index, (height, width), &mut self.frame, watch);
                self.preprocessor.square(Picture::new(height, width, &self.frame)?, square);
            } else if !*is_background {
                square.fill(BACKGROUND);
                *is_background = true;
            }
            watch.lap(Stage::Preprocess);
        }
        Ok(())
    }
}
