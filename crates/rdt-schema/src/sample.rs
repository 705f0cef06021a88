//! A decoded sample under RDT's names: what `rdt-buf sample` writes and what tests compare.
//!
//! The training path never builds one: it decodes straight into batches.

use crate::camera::CameraSlot;

/// Frames of one camera.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frames {
    /// Rows of a frame; 0 for an absent camera.
    pub height: u32,
    /// Columns of a frame; 0 for an absent camera.
    pub width: u32,
    /// `(history, height, width, 3)`, RGB, oldest frame first.
    pub pixels: Vec<u8>,
    /// One entry a frame: 1 where the frame is of a kept step of the episode.
    pub time_mask: Vec<u8>,
}

/// One sample, decoded: vectors 128 wide, rows oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Data set name.
    pub dataset_name: String,
    /// File of origin, relative to the data set's path.
    pub source: String,
    /// Episode inside the file; empty where a file is an episode.
    pub key: String,
    /// RDT's `#steps`.
    pub num_steps: u32,
    /// Original step index.
    pub step_id: u32,
    /// Wordings of the instruction with their weights.
    pub instructions: Vec<crate::Instruction>,
    /// Steps a second; 0 where unknown.
    pub control_freq: f32,
    /// `(state_rows, 128)`.
    pub state_chunk: Vec<f32>,
    /// `(state_rows,)`.
    pub state_chunk_time_mask: Vec<u8>,
    /// `(action_rows, 128)`.
    pub action_chunk: Vec<f32>,
    /// `(action_rows,)`.
    pub action_chunk_time_mask: Vec<u8>,
    /// `(128,)`: 1 where the data set's state fills the entry.
    pub state_vec_mask: Vec<u8>,
    /// The four camera slots.
    pub frames: [Frames; CameraSlot::COUNT],
    /// `(128,)`.
    pub state_std: Vec<f32>,
    /// `(128,)`.
    pub state_mean: Vec<f32>,
    /// `(128,)`.
    pub state_norm: Vec<f32>,
}
