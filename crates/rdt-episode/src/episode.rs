//! One episode: rows of the active columns, statistics, and frames read on demand.
//!
//! Invariants: state and action rows are as many as [`EpisodeInfo`] says, every value is finite,
//! and every present camera has a frame for each step.

use std::path::Path;

use rdt_schema::statistics::ColumnStatistics;
use rdt_schema::{
    ActionSource, CameraSlot, DatasetSchema, EpisodeInfo, FrameEncoding, FrameForm, Instruction, Origin,
};

use crate::EpisodeError;
use crate::camera::{CameraFrames, MemoryFrames};

/// An episode that is in the data set.
#[derive(Debug)]
pub struct Episode {
    info: EpisodeInfo,
    states: Vec<f64>,
    actions: Option<Vec<f64>>,
    statistics: ColumnStatistics,
    cameras: [Option<CameraFrames>; CameraSlot::COUNT],
    /// Frames in front that were cut off: frame 0 is the source's frame of this index.
    first_frame: u32,
}

/// An episode as plain values: what tests and other sources hand to [`Episode::from_recording`].
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// File and key, as reports name it.
    pub origin: Option<Origin>,
    /// State rows, `schema.state_columns` wide.
    pub states: Vec<f64>,
    /// Action rows, `schema.action_columns` wide; `None` where actions are the next states.
    pub actions: Option<Vec<f64>>,
    /// First step that is a sample.
    pub first_step: u32,
    /// RDT's `#steps`.
    pub num_steps: u32,
    /// Wordings of the instruction.
    pub instructions: Vec<Instruction>,
    /// Frames of the four camera slots.
    pub frames: [Option<MemoryFrames>; CameraSlot::COUNT],
}

impl Episode {
    /// An episode from values in memory.
    ///
    /// # Errors
    /// No rows, rows that do not fit the columns, a value that is not finite, action rows or
    /// frames that are fewer than steps, no instruction.
    pub fn from_recording(schema: &DatasetSchema, recording: Recording) -> Result<Self, EpisodeError> {
        let origin = recording.origin.unwrap_or(Origin { source: "memory".into(), key: String::new() });
        let parts = Parts {
            origin,
            states: recording.states,
            actions: recording.actions,
            first_step: recording.first_step,
            num_steps: recording.num_steps,
            instructions: recording.instructions,
            cameras: recording.frames.map(|frames| frames.map(CameraFrames::of_memory)),
            first_frame: 0,
        };
        Self::assemble(schema, parts, Path::new("memory"))
    }

    /// Puts checked parts together and takes the statistics; `file` is named in errors.
    pub(crate) fn assemble(schema: &DatasetSchema, parts: Parts, file: &Path) -> Result<Self, EpisodeError> {
        let fault = |place: &str, found: String, expected: String| {
            Err(EpisodeError::content(file, place, found, expected, "record or convert the episode again"))
        };
        let width = schema.state_columns.len().max(1);
        let states = rows(&parts.states, width);
        let action_width = schema.action_columns.len().max(1);
        let actions = parts.actions.as_ref().map_or(states, |actions| rows(actions, action_width));
        let recorded = schema.window.action_source == ActionSource::Recorded;
        if recorded != parts.actions.is_some() {
            return fault(
                "action",
                format!("recorded actions: {}", parts.actions.is_some()),
                format!("{recorded}, as the window of the data set says"),
            );
        }
        let steps = states.min(actions);
        if steps == 0 || parts.first_step >= steps {
            return fault("state", format!("{steps} steps"), format!("more than {}", parts.first_step));
        }
        if parts.states.len() != states as usize * width {
            return fault("state", format!("{} values", parts.states.len()), format!("rows of {width}"));
        }
        if parts.actions.as_ref().is_some_and(|values| values.len() != actions as usize * action_width) {
            return fault("action", "a broken row".into(), format!("rows of {action_width}"));
        }
        for (place, values) in
            [("state", &parts.states), ("action", parts.actions.as_ref().unwrap_or(&parts.states))]
        {
            if let Some(position) = values.iter().position(|value| !value.is_finite()) {
                let found = format!("{} at position {position}", values[position]);
                return fault(place, found, "finite values after the card's conversions".into());
            }
        }
        if parts.instructions.is_empty() || parts.instructions.iter().any(|wording| wording.text.is_empty()) {
            return fault("instruction", "none, or an empty one".into(), "a wording".into());
        }
        for (slot, camera) in CameraSlot::ALL.iter().zip(&parts.cameras) {
            let needed = (parts.first_frame + steps) as usize;
            if let Some(camera) = camera
                && camera.count() < needed
            {
                return fault(
                    slot.name(),
                    format!("{} frames", camera.count()),
                    format!("at least {needed}, one a step"),
                );
            }
        }
        let statistics = statistics(schema, &parts);
        let single = |values: &[f64]| values.iter().map(|&value| value as f32).collect();
        let info = EpisodeInfo {
            origin: parts.origin,
            states,
            actions,
            steps,
            first_step: parts.first_step,
            num_steps: parts.num_steps,
            cameras: parts.cameras.each_ref().map(Option::is_some),
            instructions: parts.instructions,
            state_std: single(&statistics.std),
            state_mean: single(&statistics.mean),
            state_norm: single(&statistics.norm),
        };
        Ok(Self {
            info,
            states: parts.states,
            actions: parts.actions,
            statistics,
            cameras: parts.cameras,
            first_frame: parts.first_frame,
        })
    }

    /// What is the same for all its samples.
    pub fn info(&self) -> &EpisodeInfo {
        &self.info
    }

    /// State rows, `info().states` of them, the schema's state columns each.
    pub fn states(&self) -> &[f64] {
        &self.states
    }

    /// Action rows, `info().actions` of them, the schema's action columns each; the states where
    /// actions are the next states.
    pub fn actions(&self) -> &[f64] {
        self.actions.as_deref().unwrap_or(&self.states)
    }

    /// Mean and standard deviation of the states and the norm that the card asks for, in full
    /// precision, over the whole episode ([`EpisodeInfo`] has them as `f32`).
    pub fn statistics(&self) -> &ColumnStatistics {
        &self.statistics
    }

    /// The steps that are samples, in order.
    pub fn sample_steps<'a>(&'a self, schema: &'a DatasetSchema) -> impl Iterator<Item = u32> + 'a {
        (self.info.first_step..self.info.steps)
            .filter(move |&step| schema.window.keeps(step, self.info.actions))
    }

    /// Replaces `out` by the bytes of frame `index` of a camera and says how to read them.
    ///
    /// # Errors
    /// The slot is empty, there is no such frame, or it cannot be read.
    pub fn frame(&self, slot: CameraSlot, index: u32, out: &mut Vec<u8>) -> Result<FrameForm, EpisodeError> {
        let camera = self.cameras[slot.index()].as_ref().ok_or_else(|| {
            EpisodeError::content(
                Path::new(&self.info.origin.source),
                slot.name(),
                "no such camera in this episode",
                "a camera that the episode has",
                "ask EpisodeInfo::cameras first",
            )
        })?;
        camera.read(self.first_frame + index, out)
    }

    /// What the bytes of a camera's frames are; `None` where the slot is empty.
    pub fn encoding(&self, slot: CameraSlot) -> Option<FrameEncoding> {
        self.cameras[slot.index()].as_ref().map(CameraFrames::encoding)
    }

    /// Checks the structure of every frame of every camera without decoding any, and that the
    /// frames of a camera have one size.
    ///
    /// # Errors
    /// The first frame that is not well-formed.
    pub fn check_frames(&self) -> Result<(), EpisodeError> {
        self.cameras.iter().flatten().try_for_each(CameraFrames::check)
    }
}

/// What an episode is put together from.
pub(crate) struct Parts {
    pub origin: Origin,
    pub states: Vec<f64>,
    pub actions: Option<Vec<f64>>,
    pub first_step: u32,
    pub num_steps: u32,
    pub instructions: Vec<Instruction>,
    pub cameras: [Option<CameraFrames>; CameraSlot::COUNT],
    pub first_frame: u32,
}

fn rows(values: &[f64], width: usize) -> u32 {
    u32::try_from(values.len() / width).unwrap_or(u32::MAX)
}

fn statistics(schema: &DatasetSchema, parts: &Parts) -> ColumnStatistics {
    let of_states = ColumnStatistics::of(&parts.states, schema.state_columns.len());
    match &parts.actions {
        Some(actions) if schema.norm_of_actions => {
            let of_actions = ColumnStatistics::of(actions, schema.action_columns.len());
            ColumnStatistics { norm: of_actions.norm, ..of_states }
        }
        _ => of_states,
    }
}
