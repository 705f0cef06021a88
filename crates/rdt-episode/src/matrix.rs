//! A numeric array as rows, wherever it was read from.

/// A numeric array, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// Number of rows (steps); at least 1.
    pub rows: usize,
    /// Values in a row: all dimensions but the first, multiplied; 1 for a 1-D array.
    pub columns: usize,
    /// `rows * columns` values, row by row.
    pub values: Vec<f64>,
}

impl Matrix {
    /// One row.
    pub fn row(&self, index: usize) -> &[f64] {
        &self.values[index * self.columns..(index + 1) * self.columns]
    }
}
