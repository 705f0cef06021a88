//! Stored frames against those of their episode, each pair once.
//!
//! A frame is in the windows of several samples; what was found of it is kept for one
//! episode of one chunk. Where a JPEG was taken over as it was, equal bytes are equal
//! pictures, and nothing is decoded: that it decodes is looked at with the chunk itself.

use std::collections::HashMap;

use rdt_chunk::{FrameCodec, FrameDecoder, FrameStorage, FrameView, SampleView};
use rdt_episode::Episode;
use rdt_image::{Picture, Preprocessor};
use rdt_schema::{CameraSlot, DatasetSchema, FrameEncoding, FrameForm};

use super::difference;
use crate::error::Result;

/// What is known of the frames of one episode in one chunk.
pub(super) struct FrameComparison<'a> {
    episode: &'a Episode,
    storage: FrameStorage,
    decoder: FrameDecoder,
    /// Does to source frames what the fill did to those it stored; made at the first one.
    preprocessor: Option<Preprocessor>,
    /// By camera, number of the frame in the chunk and step of the episode; `None`: equal.
    found: HashMap<(usize, u32, u32), Option<String>>,
    source: Vec<u8>,
    stored_pixels: Vec<u8>,
    source_pixels: Vec<u8>,
    prepared: Vec<u8>,
}

impl<'a> FrameComparison<'a> {
    /// Nothing is known yet. Frames were stored as `storage` says: of lossy ones it is enough that they
    /// look alike.
    pub(super) fn new(episode: &'a Episode, storage: FrameStorage) -> Self {
        Self {
            episode,
            storage,
            decoder: FrameDecoder::new(),
            preprocessor: None,
            found: HashMap::new(),
            source: Vec::new(),
            stored_pixels: Vec::new(),
            source_pixels: Vec::new(),
            prepared: Vec::new(),
        }
    }

    /// The episode as its source is now.
    pub(super) fn episode(&self) -> &'a Episode {
        self.episode
    }

    /// The first difference of a sample's frames and their masks from the source's, whose
    /// windows are those of `schema`; `None` if there is none.
    ///
    /// # Errors
    /// A frame cannot be read or decoded.
    pub(super) fn first(&mut self, view: &SampleView<'_>, schema: &DatasetSchema) -> Result<Option<String>> {
        let (info, window) = (self.episode.info(), &schema.window);
        let histories = [view.dataset().window.image_history, window.image_history];
        if histories[0] != histories[1] {
            let [stored, source] = histories;
            return Ok(Some(format!("a window has {stored} frames, the source gives {source}")));
        }
        let span = window.frame_span(view.step(), info.steps);
        for slot in CameraSlot::ALL {
            for history in 0..window.image_history {
                let (frame, there) = (view.frame(slot, history), info.cameras[slot.index()]);
                let Some(frame) = frame.filter(|_| there) else {
                    if view.frame(slot, history).is_some() != there {
                        let is =
                            if there { "absent, the source has it" } else { "there, the source lacks it" };
                        return Ok(Some(format!("camera {} is {is}", slot.name())));
                    }
                    continue;
                };
                let history = u32::from(history);
                let valid = window.frame_mask(view.step(), info.first_step, history);
                if frame.valid != valid {
                    let name = slot.name();
                    return Ok(Some(format!(
                        "the mask of {name} is {}, the source says {valid}",
                        frame.valid
                    )));
                }
                let index = span.row(history);
                let key = (slot.index(), frame.number(), index);
                let difference = match self.found.get(&key) {
                    Some(known) => known.clone(),
                    None => {
                        let difference = self.compare(slot, index, &frame)?;
                        self.found.insert(key, difference.clone());
                        difference
                    }
                };
                if difference.is_some() {
                    return Ok(difference);
                }
            }
        }
        Ok(None)
    }

    fn compare(&mut self, slot: CameraSlot, index: u32, frame: &FrameView<'_>) -> Result<Option<String>> {
        let form = self.episode.frame(slot, index, &mut self.source)?;
        if is_taken_over(frame, &form) && frame.bytes()? == self.source {
            return Ok(None);
        }
        let stored = self.decoder.decode(frame, &mut self.stored_pixels)?;
        let mut source = self.decoder.decode_source(&form, &self.source, &mut self.source_pixels)?;
        let mut source_pixels = &self.source_pixels;
        if let Some(size) = self.storage.size {
            let picture = Picture::new(source.0 as usize, source.1 as usize, source_pixels)?;
            let preprocessor = match &mut self.preprocessor {
                Some(preprocessor) => preprocessor,
                empty => empty.insert(Preprocessor::new(size as usize)?),
            };
            self.prepared.resize(size as usize * size as usize * 3, 0);
            preprocessor.square(picture, &mut self.prepared);
            (source, source_pixels) = ((size, size), &self.prepared);
        }
        Ok(difference::of_pixels(
            slot,
            (stored, &self.stored_pixels),
            (source, source_pixels),
            self.storage.is_lossy(),
        ))
    }
}

/// Whether equal bytes mean equal upright pictures.
fn is_taken_over(frame: &FrameView<'_>, source: &FrameForm) -> bool {
    frame.codec == FrameCodec::Jpeg && source.encoding == FrameEncoding::Jpeg && frame.form == *source
}
