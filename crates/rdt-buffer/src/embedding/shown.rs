//! The frames of a chunk that a configuration shows to the network.

use memmap2::Mmap;
use rdt_chunk::{Chunk, ChunkError, FrameView};
use rdt_schema::{CameraSlot, Config};

/// A frame that is shown, and one of the samples that show it.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// Its number in the chunk.
    pub frame: u32,
    slot: u32,
    camera: CameraSlot,
    history: u8,
}

impl Shown {
    /// The frame itself; none if the chunk is another one.
    ///
    /// # Errors
    /// The chunk is damaged.
    pub fn find(self, chunk: &Chunk<Mmap>) -> Result<Option<FrameView<'_>>, ChunkError> {
        Ok(chunk.sample(self.slot)?.frame(self.camera, self.history))
    }
}

/// The frames of `chunk` that are shown, each once, in their order.
///
/// # Errors
/// The chunk's tables, metadata or rows are damaged: none of its samples can be read.
pub fn shown(config: &Config, chunk: &Chunk<Mmap>) -> Result<Vec<Shown>, ChunkError> {
    let mut shown = vec![None; chunk.header().frames as usize];
    for slot in 0..chunk.header().samples {
        let sample = chunk.sample(slot)?;
        for camera in CameraSlot::ALL.into_iter().take(config.common.num_cameras.into()) {
            for history in 0..config.common.img_history_size {
                // As the loader: a frame of no size is an absent one.
                let is_shown =
                    |frame: &FrameView<'_>| frame.valid && frame.form.height > 0 && frame.form.width > 0;
                let Some(frame) = sample.frame(camera, history).filter(is_shown) else { continue };
                let frame = frame.number();
                if let Some(place) = shown.get_mut(frame as usize) {
                    *place = Some(Shown { frame, slot, camera, history });
                }
            }
        }
    }
    Ok(shown.into_iter().flatten().collect())
}
