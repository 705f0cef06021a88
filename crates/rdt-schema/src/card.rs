//! Dataset cards: how to read the episodes of one HDF5 layout, as checked types.
//!
//! A card is a YAML file (`configs/datasets/*.yaml`; `configs/README.md` lists every key). This
//! module owns its meaning: names of the unified vector are resolved to entries, counts are
//! checked as far as the card alone allows, and a [`DatasetCard`] that exists is consistent. What
//! only the data can tell (arrays present, their widths) is checked where episodes are read.
//!
//! The YAML forms are in `file`, the shipped cards in `shipped`; `convert` takes recorded values to the
//! unified vector and a policy's output back.

mod check;
mod convert;
mod extremes;
mod file;
mod names;
mod rotation;
mod shipped;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::camera::{CameraSlot, ChannelOrder, Flip};
use crate::config::Config;
use crate::dataset::DatasetSchema;
use crate::error::SchemaError;
use crate::window::{ActionSource, Tail, Window};

pub use convert::{CardConversion, Conversion, RobotAction};
pub use extremes::{ColumnExtremes, Extremes};
pub use shipped::SHIPPED;

/// How to read the episodes of one layout. Made by [`DatasetCard::from_text`] only, so its parts
/// fit each other.
///
/// ```
/// use rdt_schema::DatasetCard;
/// let card = DatasetCard::find("libero", None)?;
/// assert_eq!(card.control_freq, 20.0);
/// # Ok::<(), rdt_schema::SchemaError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct DatasetCard {
    /// Steps a second; 0 where unknown.
    pub control_freq: f32,
    /// Of which format the files are.
    pub format: SourceFormat,
    /// Which files hold episodes: a pattern on the file's name, or on the last parts of its path
    /// where it holds `/`. `*` stands for any run of characters inside one part.
    pub files: String,
    /// Which groups of a file are episodes, `data/demo_*`; empty where a file is an episode.
    pub episodes: String,
    /// What fills the state; never empty.
    pub state: Vec<Mapping>,
    /// What fills the action; empty where actions are the next states.
    pub action: Vec<Mapping>,
    /// How action rows align with states.
    pub window: WindowRule,
    /// The four camera slots.
    pub cameras: [Option<CameraRule>; CameraSlot::COUNT],
    /// Where instructions come from, the first source that an episode has; never empty.
    pub instruction: Vec<InstructionSource>,
    /// Whether wordings become sentences (capital letter, full stop), RDT's buffer form.
    pub sentence_case: bool,
    /// Which episodes are left out on purpose.
    pub filter: EpisodeFilter,
    /// How still steps in front are treated.
    pub trim_still: Option<TrimStill>,
    /// What [`crate::EpisodeInfo::state_norm`] is taken over.
    pub norm_of_actions: bool,
    /// What [`crate::EpisodeInfo::num_steps`] counts.
    pub num_steps: NumSteps,
    /// In which precision conversions are computed.
    pub precision: Precision,
    text: String,
    path: PathBuf,
}

/// One array (or some of its columns), its conversions, and the entries it fills.
#[derive(Debug, Clone, PartialEq)]
pub struct Mapping {
    /// Path of the array, inside the episode's group.
    pub array: String,
    /// Columns taken, in this order; all of them where `None`.
    pub columns: Option<Vec<usize>>,
    /// Columns the array must have; told from `columns` and `entries` where the card does not say.
    pub width: Option<usize>,
    /// Rows by which the array is held back: row t shows the array's row t - delay, and zeros
    /// before that (RDT's base velocity is the base action of the step before).
    pub delay: u32,
    /// Conversions in the order in which they are applied.
    pub convert: Vec<Convert>,
    /// Entries of the unified vector that the converted columns fill, in this order.
    pub entries: Vec<u8>,
}

impl Mapping {
    /// Columns that go into the conversions.
    pub fn input_width(&self) -> usize {
        self.convert.iter().rev().fold(self.entries.len(), |width, step| match step {
            Convert::Sum(weights) => weights.len(),
            Convert::RotationFrom(rotation) => rotation.width(),
            _ => width,
        })
    }

    /// Whether it scales by the extremes of the data set.
    pub fn scales(&self) -> bool {
        self.convert.iter().any(|step| matches!(step, Convert::MinMax(_)))
    }

    /// Appends the columns of an array's row that the mapping takes to `out`.
    ///
    /// # Panics
    /// A column is past the end of `row`.
    pub fn take_into(&self, row: &[f64], out: &mut Vec<f64>) {
        match &self.columns {
            Some(columns) => out.extend(columns.iter().map(|&column| row[column])),
            None => out.extend_from_slice(row),
        }
    }
}

/// One conversion of the columns of a mapping. Lists hold one number a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Convert {
    /// Multiplied.
    Scale(Vec<f64>),
    /// Divided: exact where a multiplication with the reciprocal would not be.
    Divide(Vec<f64>),
    /// Added.
    Offset(Vec<f64>),
    /// The weighted sum of all columns; one column remains.
    Sum(Vec<f64>),
    /// From the extremes of the whole data set, found in a first pass, to this range.
    MinMax([f64; 2]),
    /// From another form of rotation to 6D.
    RotationFrom(Rotation),
    /// Held inside this range.
    Clip([f64; 2]),
}

/// Forms of a rotation, other than the 6D of the unified vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rotation {
    /// Axis times angle, radians; three columns.
    AxisAngle,
    /// Quaternion x, y, z, w.
    QuaternionXyzw,
    /// Quaternion w, x, y, z.
    QuaternionWxyz,
    /// Roll, pitch, yaw in radians about the fixed axes x, y, z (scipy's `xyz`).
    EulerXyz,
    /// Rotation matrix, nine columns row by row.
    Matrix,
}

impl Rotation {
    /// Columns of this form.
    pub fn width(self) -> usize {
        match self {
            Self::AxisAngle | Self::EulerXyz => 3,
            Self::QuaternionXyzw | Self::QuaternionWxyz => 4,
            Self::Matrix => 9,
        }
    }
}

/// A format of source files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceFormat {
    /// HDF5.
    #[default]
    Hdf5,
}

/// How action rows align with states, and what a window is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowRule {
    /// Recorded actions or the states that follow.
    pub actions: ActionSource,
    /// Added to t to get the first action row.
    pub shift: i16,
    /// Delivered action rows a recorded one: a window of n rows is interpolated from n / stretch.
    pub stretch: u16,
    /// What happens at the end of an episode.
    pub tail: Tail,
    /// State rows (and frames at most) beyond the number of steps: 1 where an episode of T
    /// actions has T + 1 observations.
    pub extra_states: u32,
}

/// Where the frames of a camera come from, and how they are to be read.
#[derive(Debug, Clone, PartialEq)]
pub struct CameraRule {
    /// The frames.
    pub source: CameraSource,
    /// Colour order of what an ordinary decoder makes of the JPEGs.
    pub jpeg_channels: ChannelOrder,
    /// Colour order of raw pixels.
    pub raw_channels: ChannelOrder,
    /// How stored rows and columns relate to the upright picture.
    pub flip: Flip,
    /// Whether an episode may lack the camera.
    pub optional: bool,
}

/// Where the frames of a camera come from.
#[derive(Debug, Clone, PartialEq)]
pub enum CameraSource {
    /// An array of the episode, in any storage form.
    Array {
        /// Path inside the episode's group.
        path: String,
        /// Table of JPEG lengths and the camera's row in it, used where the file has the table.
        lengths: Option<(String, usize)>,
    },
    /// One PNG file a frame, beside the file of the episode.
    Files(FileTemplate),
}

/// Path of a frame's file, relative to the folder of the episode's file, with numbers filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct FileTemplate {
    parts: Vec<TemplatePart>,
    text: String,
}

#[derive(Debug, Clone, PartialEq)]
enum TemplatePart {
    Text(String),
    Number { variable: Variable, operations: Vec<(char, u64)> },
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Variable {
    Episode,
    Number,
    Frame,
}

/// Where an episode's instruction comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum InstructionSource {
    /// An attribute.
    Attribute {
        /// The group that has it; `""` is the file.
        group: String,
        /// Its name.
        name: String,
        /// Where the attribute holds a JSON object: the key in it.
        json_key: Option<String>,
    },
    /// A JSON file in the folder of the episode's file.
    JsonFile {
        /// Its name.
        name: String,
        /// Keys that share the draws equally; wordings in a list share their key's part.
        keys: Vec<String>,
    },
    /// A text data set inside the episode's group.
    Array(String),
    /// By the name of a folder above the file, the nearest first.
    Folder(BTreeMap<String, String>),
    /// The same for every episode.
    Text(String),
}

/// Episodes left out on purpose.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EpisodeFilter {
    /// Episodes with fewer steps are left out; goes before `epsd_len_thresh_low`.
    pub min_steps: Option<u32>,
    /// Of the files below the folder of this name, only that many episodes of each are kept.
    pub keep_first: BTreeMap<String, usize>,
}

/// Leading steps that do not move are no samples.
#[derive(Debug, Clone, PartialEq)]
pub struct TrimStill {
    /// The array to watch, all its columns, unconverted.
    pub array: String,
    /// The first kept step is the one before the first row of which some value differs from the
    /// first row's by more than this.
    pub threshold: f64,
    /// What becomes of the rows and frames before it.
    pub before: BeforeTrim,
}

/// What becomes of the rows and frames in front of the first kept step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BeforeTrim {
    /// They stay: windows show them, masked, and statistics count them (RDT's HDF5 loader).
    #[default]
    Keep,
    /// They are removed as if never recorded; steps are counted from the cut (RDT's buffer form).
    Cut,
}

/// What RDT's `#steps` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumSteps {
    /// The number of steps (RDT's HDF5 loaders).
    #[default]
    Count,
    /// The index of the last step (RDT's buffer form).
    LastIndex,
}

/// In which precision conversions are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 64-bit.
    #[default]
    Double,
    /// 32-bit, each operation rounded: to the last bit what RDT computes in float32.
    Single,
}

impl DatasetCard {
    /// Finds a card: `name` as a path (if it has a separator or ends in `.yaml`), then
    /// `<config_dir>/datasets/<name>.yaml`, then `configs/datasets/<name>.yaml` below the current
    /// folder, then the shipped card of that name.
    ///
    /// # Errors
    /// No such card, or it is wrong; see [`DatasetCard::from_text`].
    pub fn find(name: &str, config_dir: Option<&Path>) -> Result<Self, SchemaError> {
        shipped::find(name, config_dir)
    }

    /// Reads and checks a card.
    ///
    /// # Errors
    /// As [`DatasetCard::from_text`], or the file cannot be read.
    pub fn from_file(path: &Path) -> Result<Self, SchemaError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SchemaError::Read { path: path.to_owned(), source })?;
        Self::from_text(&text, path)
    }

    /// Reads a card from `text`; `path` is only named in errors.
    ///
    /// # Errors
    /// Not YAML, an unknown or missing key, a value of the wrong kind (with line and column), or
    /// parts that do not fit each other: an unknown entry name, more or fewer names than
    /// columns, an entry filled twice.
    pub fn from_text(text: &str, path: &Path) -> Result<Self, SchemaError> {
        check::card(text, path)
    }

    /// The card as it was written, for manifests.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the card was read from; of a shipped one, its place in the repository.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Entries that the state fills, in the order of its columns.
    pub fn state_columns(&self) -> Vec<u8> {
        self.state.iter().flat_map(|mapping| mapping.entries.iter().copied()).collect()
    }

    /// Entries that the action fills, in the order of its columns.
    pub fn action_columns(&self) -> Vec<u8> {
        match self.window.actions {
            ActionSource::NextState => self.state_columns(),
            ActionSource::Recorded => {
                self.action.iter().flat_map(|mapping| mapping.entries.iter().copied()).collect()
            }
        }
    }

    /// Whether some conversion needs the extremes of the whole data set.
    pub fn needs_extremes(&self) -> bool {
        self.state.iter().chain(&self.action).any(Mapping::scales)
    }

    /// The layout of this card's samples under the window sizes of `config`.
    pub fn schema(&self, name: &str, config: &Config) -> DatasetSchema {
        let rows = config.common.action_chunk_size;
        let window = Window {
            state_rows: rows,
            action_rows: rows,
            action_source_rows: (rows / self.window.stretch).max(1),
            action_source: self.window.actions,
            action_shift: self.window.shift,
            image_history: config.common.img_history_size,
            tail: self.window.tail,
        };
        DatasetSchema {
            name: name.to_owned(),
            state_columns: self.state_columns(),
            action_columns: self.action_columns(),
            window,
            cameras: self.cameras.each_ref().map(|camera| camera.as_ref().is_some_and(|c| !c.optional)),
            control_freq: self.control_freq,
            norm_of_actions: self.norm_of_actions,
        }
    }
}

impl FileTemplate {
    /// The path of frame `frame` of an episode: `episode` is its position in the file, `number`
    /// the number that ends its group's name (the position where there is none).
    pub fn path(&self, episode: u64, number: u64, frame: u64) -> String {
        let mut path = String::new();
        for part in &self.parts {
            match part {
                TemplatePart::Text(text) => path.push_str(text),
                TemplatePart::Number { variable, operations } => {
                    let start = match variable {
                        Variable::Episode => episode,
                        Variable::Number => number,
                        Variable::Frame => frame,
                    };
                    let value =
                        operations.iter().fold(start, |value, &(operation, operand)| match operation {
                            '+' => value.saturating_add(operand),
                            '-' => value.saturating_sub(operand),
                            '/' => value / operand,
                            _ => value % operand,
                        });
                    path.push_str(&value.to_string());
                }
            }
        }
        path
    }

    /// The template as the card has it.
    pub fn text(&self) -> &str {
        &self.text
    }
}
