//! Numeric arrays as rows of `f64`.

use std::sync::Arc;

use super::layout::{Kind, Layed, Number, Storage, damaged, look_up};
use super::library::library;
use super::rows::Rows;
use super::source::SourceFile;
use crate::EpisodeError;
use crate::matrix::Matrix;

impl Matrix {
    pub(super) fn read(file: &Arc<SourceFile>, place: &str) -> Result<Self, EpisodeError> {
        let (dataset, layed) = look_up(file, place)?;
        let Some((&rows, rest)) = layed.shape.split_first() else {
            return Err(file.fault(
                place,
                "a scalar",
                "an array with one row a step: (steps,) or (steps, values)",
                "name another array in the dataset card",
            ));
        };
        if layed.shape.contains(&0) {
            return Err(file.fault(
                place,
                format!("shape {:?}: no values", layed.shape),
                "at least one step",
                "record the episode again, or remove it",
            ));
        }
        let number = match &layed.kind {
            Kind::Native(number) => Some(*number),
            Kind::Foreign(_) => None,
            other => {
                return Err(file.fault(
                    place,
                    other.describe(layed.element_bytes),
                    "integers or floats",
                    "name another array in the dataset card",
                ));
            }
        };
        check_size(file, place, &layed)?;
        let columns = rest.iter().product();
        let values = match (number, &layed.storage) {
            (None, _) | (_, Storage::Library { .. }) => {
                library(|| dataset.read_raw::<f64>()).map_err(|message| damaged(file, place, message))?
            }
            (Some(number), _) => number.to_f64(&Rows::new(file, place, layed)?.read_all()?),
        };
        Ok(Self { rows, columns, values })
    }
}

/// The shape comes from the file: what it makes this program allocate is bounded.
fn check_size(file: &SourceFile, place: &str, layed: &Layed) -> Result<(), EpisodeError> {
    const MOST_VALUES: usize = 1 << 27;
    if layed.elements().is_some_and(|n| n <= MOST_VALUES) {
        return Ok(());
    }
    Err(file.fault(
        place,
        format!("shape {:?}", layed.shape),
        format!("at most {MOST_VALUES} values"),
        "check the array's shape and its path in the dataset card",
    ))
}

impl Number {
    fn to_f64(self, bytes: &[u8]) -> Vec<f64> {
        /// The bytes as numbers of one width, each made a double.
        fn each<const N: usize>(bytes: &[u8], double: impl Fn([u8; N]) -> f64) -> Vec<f64> {
            bytes.as_chunks::<N>().0.iter().map(|&chunk| double(chunk)).collect()
        }
        match self {
            Self::U8 => bytes.iter().map(|&byte| f64::from(byte)).collect(),
            Self::I8 => bytes.iter().map(|&byte| f64::from(byte as i8)).collect(),
            Self::U16 => each(bytes, |b| f64::from(u16::from_ne_bytes(b))),
            Self::I16 => each(bytes, |b| f64::from(i16::from_ne_bytes(b))),
            Self::U32 => each(bytes, |b| f64::from(u32::from_ne_bytes(b))),
            Self::I32 => each(bytes, |b| f64::from(i32::from_ne_bytes(b))),
            // Above 2^53 the nearest double, as numpy does.
            Self::U64 => each(bytes, |b| u64::from_ne_bytes(b) as f64),
            Self::I64 => each(bytes, |b| i64::from_ne_bytes(b) as f64),
            Self::F32 => each(bytes, |b| f64::from(f32::from_ne_bytes(b))),
            Self::F64 => each(bytes, f64::from_ne_bytes),
        }
    }
}
