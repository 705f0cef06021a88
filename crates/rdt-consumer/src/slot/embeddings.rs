//! What the image encoder made of images, as it is stored in the buffer:
//! [`Delivery::Embeddings`](crate::Delivery::Embeddings).

use std::sync::Arc;

use rdt_buffer::embedding::{self, ImageEmbeddings};

use super::Images;
use crate::batch::Slot;
use crate::error::ConsumerError;
use crate::statistics::{Stage, Watch};

/// Copies embeddings.
#[derive(Debug)]
pub(super) struct EmbeddingWriter(pub(super) Arc<ImageEmbeddings>);

impl EmbeddingWriter {
    pub(super) fn write(
        &mut self,
        images: &Images<'_, '_>,
        slot: &mut Slot,
        watch: &mut Watch<'_>,
    ) -> Result<(), ConsumerError> {
        slot.record.frames.clear();
        let chunk = images.view.chunk();
        let file = self.0.of_chunk(chunk)?;
        let places = slot.images.elements().chunks_exact_mut(self.0.image_bytes());
        for (index, (image, is_background)) in places.zip(&mut slot.background).enumerate() {
            let frame = images.shown(index);
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
        Ok(())
    }
}
