//! Frames of their own size, decoded or as they are stored:
//! [`Delivery::Frames`](crate::Delivery::Frames) and [`Delivery::Stored`](crate::Delivery::Stored).

use rdt_chunk::FrameDecoder;

use super::Images;
use crate::batch::{FrameImage, Slot};
use crate::error::ConsumerError;
use crate::statistics::{Stage, Watch};

/// Decodes and alters, or copies what is stored.
#[derive(Debug)]
pub(super) struct FrameWriter {
    /// None where stored bytes are copied.
    decoder: Option<FrameDecoder>,
}

impl FrameWriter {
    /// Of decoded frames.
    pub(super) fn decoded() -> Self {
        Self { decoder: Some(FrameDecoder::new()) }
    }

    /// Of stored bytes.
    pub(super) fn stored() -> Self {
        Self { decoder: None }
    }

    pub(super) fn write(
        &mut self,
        images: &mut Images<'_, '_>,
        slot: &mut Slot,
        watch: &mut Watch<'_>,
    ) -> Result<(), ConsumerError> {
        let record = &mut slot.record;
        record.frames.resize_with(record.image_valid.len(), FrameImage::default);
        for (index, image) in record.frames.iter_mut().enumerate() {
            let frame = images.shown(index);
            record.image_valid[index] = frame.is_some();
            match (frame, &mut self.decoder) {
                (Some(frame), None) => {
                    (image.height, image.width) = (frame.form.height as usize, frame.form.width as usize);
                    image.pixels.clear();
                    image.pixels.extend_from_slice(frame.bytes()?);
                }
                (Some(frame), Some(decoder)) => {
                    let (height, width) = decoder.decode(&frame, &mut image.pixels)?;
                    (image.height, image.width) = (height as usize, width as usize);
                    watch.lap(Stage::Decode);
                    images.alter(index, (image.height, image.width), &mut image.pixels, watch);
                }
                (None, _) => {
                    (image.height, image.width) = (0, 0);
                    image.pixels.clear();
                }
            }
        }
        watch.lap(Stage::Decode);
        Ok(())
    }
}
