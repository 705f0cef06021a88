//! What a sample record leads to: the spans of its window and the camera slots' places.
//!
//! Frames lie by source index, and at each index camera by camera in slot order, so the
//! window of all cameras is one run of the frame table.

use rdt_schema::window::Span;
use rdt_schema::{CameraSlot, DatasetSchema, EpisodeInfo};

use crate::error::{ChunkError, Place};
use crate::frame_table::{FrameTable, MAX_SAMPLE_PIXELS};
use crate::rows::Rows;
use crate::sample_table::SampleRecord;

/// The source rows and frames of one sample.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// Rows of the state window.
    pub(crate) states: Span,
    /// Source rows of the action window.
    pub(crate) actions: Span,
    /// Frames of the window, the same for each camera.
    pub(crate) frames: Span,
}

impl Layout {
    /// Of step `step`; data set and episode have passed the metadata's check.
    pub(crate) fn of(dataset: &DatasetSchema, info: &EpisodeInfo, step: u32) -> Self {
        Self {
            states: dataset.window.state_span(step, info.states),
            actions: dataset.window.action_span(step, info.actions),
            frames: dataset.window.frame_span(step, info.steps),
        }
    }

    /// Checks that everything the sample needs is in the chunk, and that the frames of a
    /// camera are of one size.
    pub(crate) fn check(
        &self,
        slot: u32,
        record: &SampleRecord,
        dataset: &DatasetSchema,
        info: &EpisodeInfo,
        rows: Rows<'_>,
        frames: FrameTable<'_>,
    ) -> Result<(), ChunkError> {
        let place = Place::Sample(slot);
        if record.step >= info.steps {
            let expected = format!("less than {}", info.steps);
            return Err(ChunkError::invalid(place, "the step", record.step, expected));
        }
        for (what, first, span, columns) in [
            ("the first state value", record.first_state, &self.states, &dataset.state_columns),
            ("the first action value", record.first_action, &self.actions, &dataset.action_columns),
        ] {
            let needed = span.rows.len() as u64 * columns.len() as u64;
            if u64::from(first) + needed > rows.len() {
                let expected = format!("{needed} values before the end at {}", rows.len());
                return Err(ChunkError::invalid(place, what, first, expected));
            }
        }
        let cameras = camera_count(info);
        let needed = self.frames.rows.len() as u64 * u64::from(cameras);
        if u64::from(record.first_frame) + needed > u64::from(frames.len()) {
            let expected = format!("{needed} frames before the end at {}", frames.len());
            return Err(ChunkError::invalid(place, "the first frame", record.first_frame, expected));
        }
        let mut pixels = 0;
        for camera in 0..cameras {
            let mut size = None;
            for index in 0..self.frames.rows.len() as u32 {
                let number = record.first_frame + index * cameras + camera;
                let form = frames.get(number)?.form;
                let (height, width) = *size.get_or_insert((form.height, form.width));
                if (form.height, form.width) != (height, width) {
                    let found = format!("{} x {}", form.height, form.width);
                    let expected = format!("{height} x {width}, as the frame before it");
                    return Err(ChunkError::invalid(Place::Frame(number), "the size", found, expected));
                }
            }
            pixels += size.map_or(0, |(height, width)| u64::from(height) * u64::from(width));
        }
        let pixels = pixels * u64::from(dataset.window.image_history);
        if pixels > MAX_SAMPLE_PIXELS {
            let expected = format!("at most {MAX_SAMPLE_PIXELS}");
            return Err(ChunkError::invalid(place, "the pixels of its frames", pixels, expected));
        }
        Ok(())
    }

    /// Number of the frame that position `history` of the window shows; `None` where the
    /// camera is absent.
    pub(crate) fn frame(
        &self,
        record: &SampleRecord,
        info: &EpisodeInfo,
        camera: CameraSlot,
        history: u32,
    ) -> Option<u32> {
        let rank = camera_rank(info, camera)?;
        let index = self.frames.row(history) - self.frames.rows.start;
        Some(record.first_frame + index * camera_count(info) + rank)
    }
}

/// Cameras that the episode has.
pub(crate) fn camera_count(info: &EpisodeInfo) -> u32 {
    info.cameras.iter().filter(|&&present| present).count() as u32
}

/// Position of a camera among those that the episode has.
fn camera_rank(info: &EpisodeInfo, camera: CameraSlot) -> Option<u32> {
    let before = &info.cameras[..camera.index()];
    info.cameras[camera.index()].then(|| before.iter().filter(|&&present| present).count() as u32)
}
