//! What a chunk must know of a data set and of an episode to rebuild its samples.

use serde::{Deserialize, Serialize};

use crate::camera::CameraSlot;
use crate::instruction::Instruction;
use crate::state_vec::Columns;
use crate::window::Window;

/// How the samples of one data set are laid out. Equal for all its episodes, so a chunk
/// holds it once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, bincode::Encode, bincode::Decode)]
pub struct DatasetSchema {
    /// Name, as in RDT's lists.
    pub name: String,
    /// Entries of the unified vector that the stored state columns fill, in their order.
    pub state_columns: Columns,
    /// The same for the stored action columns; equal to `state_columns` where actions are
    /// the next states.
    pub action_columns: Columns,
    /// Which rows and frames make a sample.
    pub window: Window,
    /// Whether each of the four camera slots is filled in every episode. `false` here
    /// still allows single episodes to have the camera; see [`EpisodeInfo::cameras`].
    pub cameras: [bool; CameraSlot::COUNT],
    /// Steps a second (RDT: `dataset_control_freq.json`); 0 means unknown.
    pub control_freq: f32,
    /// Columns that `state_norm` is taken over: true for the action columns (RDT's buffer
    /// form of recorded actions), false for the state columns.
    pub norm_of_actions: bool,
}

impl DatasetSchema {
    /// The columns that the stored `state_norm` fills.
    pub fn norm_columns(&self) -> &[u8] {
        if self.norm_of_actions { &self.action_columns } else { &self.state_columns }
    }
}

/// Where an episode comes from.
#[derive(
    Debug,
    Clone,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    bincode::Encode,
    bincode::Decode,
)]
pub struct Origin {
    /// The file, relative to the data set's path, with `/` between folders. Where the
    /// data set's path is a file, its name.
    pub source: String,
    /// The group inside the file; empty where a file is an episode.
    pub key: String,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.key.is_empty() {
            f.write_str(&self.source)
        } else {
            write!(f, "{}:{}", self.source, self.key)
        }
    }
}

/// What is the same for all samples of an episode.
///
/// Vectors hold the active columns only: `state_std` and `state_mean` those of
/// [`DatasetSchema::state_columns`], `state_norm` those of [`DatasetSchema::norm_columns`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, bincode::Encode, bincode::Decode)]
pub struct EpisodeInfo {
    /// File and key.
    pub origin: Origin,
    /// Rows of the state array.
    pub states: u32,
    /// Rows of the array that actions come from (the states, in next-state form).
    pub actions: u32,
    /// Steps of the episode before any trimming: every step index is below it, and every
    /// camera has at least as many frames.
    pub steps: u32,
    /// First step that is a sample; rows and frames before it are real and masked.
    pub first_step: u32,
    /// RDT's `#steps`: the number of steps (HDF5 loaders) or the last index (buffer form).
    pub num_steps: u32,
    /// Camera slots that this episode fills.
    pub cameras: [bool; CameraSlot::COUNT],
    /// Weighted wordings of the instruction; never empty.
    pub instructions: Vec<Instruction>,
    /// Population standard deviation of the states, over the whole episode.
    pub state_std: Vec<f32>,
    /// Mean of the states, over the whole episode.
    pub state_mean: Vec<f32>,
    /// Root mean square of the states (or actions), over the whole episode.
    pub state_norm: Vec<f32>,
}

/// An episode, or a whole file, that is not in the buffer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Omission {
    /// Data set name.
    pub dataset: String,
    /// The file, relative to the data set's path.
    pub source: String,
    /// The episode inside the file; empty for the whole file.
    pub episode: String,
    /// Why, for a person: place, found, expected, remedy.
    pub reason: String,
}

impl std::fmt::Display for Omission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { dataset, source, episode, reason } = self;
        match episode.as_str() {
            "" => write!(f, "{dataset}: {source}: {reason}"),
            episode => write!(f, "{dataset}: {source}:{episode}: {reason}"),
        }
    }
}
