//! The YAML form of a card: keys and their types, nothing about their meaning.
//!
//! Every struct refuses unknown keys. The visitors take a number or a list of numbers, a word or
//! a list of words, so that simple cards stay simple; errors keep line and column.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, de};

use super::{BeforeTrim, NumSteps, Precision, Rotation, SourceFormat};
use crate::camera::{ChannelOrder, Flip};
use crate::window::{ActionSource, Tail};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CardFile {
    pub control_freq: f32,
    #[serde(default)]
    pub format: SourceFormat,
    pub files: String,
    #[serde(default)]
    pub episodes: String,
    pub state: Vec<MappingFile>,
    #[serde(default)]
    pub action: Vec<MappingFile>,
    pub window: WindowFile,
    #[serde(default)]
    pub cameras: CamerasFile,
    pub instruction: InstructionFile,
    #[serde(default)]
    pub filter: FilterFile,
    pub trim_still: Option<TrimStillFile>,
    #[serde(default)]
    pub state_norm_of: NormOf,
    #[serde(default)]
    pub num_steps: NumSteps,
    #[serde(default)]
    pub precision: Precision,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MappingFile {
    pub array: String,
    pub columns: Option<Columns>,
    pub width: Option<usize>,
    #[serde(default)]
    pub delay: u32,
    #[serde(default)]
    pub convert: Vec<ConvertFile>,
    pub to: Words,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ConvertFile {
    Scale(Numbers),
    Divide(Numbers),
    Offset(Numbers),
    Sum(Numbers),
    MinMax([f64; 2]),
    RotationFrom(Rotation),
    Clip([f64; 2]),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WindowFile {
    pub actions: ActionSource,
    pub shift: Option<i64>,
    #[serde(default = "one")]
    pub stretch: u16,
    #[serde(default)]
    pub tail: Tail,
    #[serde(default)]
    pub extra_states: u32,
}

fn one() -> u16 {
    1
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct CamerasFile {
    pub external: Option<CameraFile>,
    pub right_wrist: Option<CameraFile>,
    pub left_wrist: Option<CameraFile>,
    pub extra: Option<CameraFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CameraFile {
    pub array: Option<String>,
    pub files: Option<String>,
    pub lengths: Option<LengthsFile>,
    #[serde(default)]
    pub jpeg_channels: ChannelOrder,
    #[serde(default)]
    pub raw_channels: ChannelOrder,
    #[serde(default)]
    pub flip: Flip,
    #[serde(default)]
    pub optional: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LengthsFile {
    pub array: String,
    pub row: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InstructionFile {
    pub from: Vec<InstructionSourceFile>,
    #[serde(default)]
    pub sentence_case: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum InstructionSourceFile {
    Attribute(AttributeFile),
    JsonFile(JsonFileFile),
    Array(String),
    Folder(BTreeMap<String, String>),
    Text(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AttributeFile {
    #[serde(default)]
    pub group: String,
    pub name: String,
    pub json_key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JsonFileFile {
    pub name: String,
    pub keys: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct FilterFile {
    pub min_steps: Option<u32>,
    #[serde(default)]
    pub keep_first: BTreeMap<String, usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrimStillFile {
    pub array: String,
    pub threshold: f64,
    #[serde(default)]
    pub before: BeforeTrim,
}

#[derive(Deserialize, Default, PartialEq, Eq, Clone, Copy)]
#[serde(rename_all = "snake_case")]
pub(super) enum NormOf {
    #[default]
    State,
    Action,
}

/// A number, or a list of numbers.
pub(super) struct Numbers(pub Vec<f64>);

/// A word, or a list of words.
pub(super) struct Words(pub Vec<String>);

/// A column, a range `a..b` (both ends in), or a list of them.
pub(super) struct Columns(pub Vec<usize>);

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Numeric;
        impl<'de> Visitor<'de> for Numeric {
            type Value = Numbers;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a list of one number a column")
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Numbers, E> {
                Ok(Numbers(vec![value as f64]))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Numbers, E> {
                Ok(Numbers(vec![value as f64]))
            }
            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Numbers, E> {
                Ok(Numbers(vec![value]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Numbers, A::Error> {
                let mut numbers = Vec::new();
                while let Some(number) = list.next_element()? {
                    numbers.push(number);
                }
                Ok(Numbers(numbers))
            }
        }
        deserializer.deserialize_any(Numeric)
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Named;
        impl<'de> Visitor<'de> for Named {
            type Value = Words;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name of the unified vector, or a list of them")
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Words, E> {
                Ok(Words(vec![value.to_owned()]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Words, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = list.next_element()? {
                    words.push(word);
                }
                Ok(Words(words))
            }
        }
        deserializer.deserialize_any(Named)
    }
}

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Positions;
        impl<'de> Visitor<'de> for Positions {
            type Value = Columns;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a column such as 6, a range such as 0..5 (both ends in), or a list of them")
            }
            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Columns, E> {
                let column = usize::try_from(value)
                    .map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))?;
                Ok(Columns(vec![column]))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Columns, E> {
                let column = usize::try_from(value)
                    .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(value), &self))?;
                Ok(Columns(vec![column]))
            }
            fn visit_str<E: de::Error>(self, value: &str) -> Result<Columns, E> {
                super::names::range(value)
                    .map(|range| Columns(range.collect()))
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Str(value), &self))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Columns, A::Error> {
                let mut columns = Vec::new();
                while let Some(Columns(more)) = list.next_element()? {
                    columns.extend(more);
                }
                Ok(Columns(columns))
            }
        }
        deserializer.deserialize_any(Positions)
    }
}
