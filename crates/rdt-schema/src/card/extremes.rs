//! Smallest and largest values of a data set's columns, which `min_max` conversions scale by.

use serde::{Deserialize, Serialize};

/// Smallest and largest values of the columns that `min_max` conversions scale, over a whole data
/// set: what the first pass finds and the manifest keeps.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Extremes {
    /// One entry for each state mapping of the card; `None` where it has no `min_max`.
    pub state: Vec<Option<ColumnExtremes>>,
    /// The same for the action mappings.
    pub action: Vec<Option<ColumnExtremes>>,
}

/// Smallest and largest value of each column of one mapping.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnExtremes {
    /// Smallest.
    pub min: Vec<f64>,
    /// Largest.
    pub max: Vec<f64>,
}

impl ColumnExtremes {
    /// Widens the extremes by a row.
    pub fn include(&mut self, row: &[f64]) {
        for ((min, max), &value) in self.min.iter_mut().zip(&mut self.max).zip(row) {
            *min = min.min(value);
            *max = max.max(value);
        }
    }

    /// Of no row yet.
    pub fn empty(columns: usize) -> Self {
        Self { min: vec![f64::INFINITY; columns], max: vec![f64::NEG_INFINITY; columns] }
    }
}
