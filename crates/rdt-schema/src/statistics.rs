//! RDT's statistics: of an episode (carried by its samples) and of a data set
//! (`dataset_stat.json`).

use serde::{Deserialize, Serialize};

use crate::state_vec::STATE_DIM;

/// Values at most this large count as zero (RDT: `compute_dataset_stat.py`).
const ZERO: f64 = 1e-8;

/// Mean, population standard deviation and root mean square of each column.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ColumnStatistics {
    /// Mean.
    pub mean: Vec<f64>,
    /// Population standard deviation (divisor n).
    pub std: Vec<f64>,
    /// `sqrt(mean(x^2))`.
    pub norm: Vec<f64>,
}

impl ColumnStatistics {
    /// Of `rows`, a row-major matrix of `columns` columns and at least one row.
    pub fn of(rows: &[f64], columns: usize) -> Self {
        let count = (rows.len() / columns.max(1)) as f64;
        let sum_of = |f: &dyn Fn(usize, f64) -> f64| {
            let mut sums = vec![0.0; columns];
            for row in rows.chunks_exact(columns.max(1)) {
                for (column, (sum, &value)) in sums.iter_mut().zip(row).enumerate() {
                    *sum += f(column, value);
                }
            }
            sums
        };
        let mean: Vec<f64> = sum_of(&|_, x| x).iter().map(|s| s / count).collect();
        // Two passes: the textbook one-pass form loses all digits where std << mean.
        let std = sum_of(&|c, x| (x - mean[c]).powi(2)).iter().map(|s| (s / count).sqrt()).collect();
        let norm = sum_of(&|_, x| x * x).iter().map(|s| (s / count).sqrt()).collect();
        Self { mean, std, norm }
    }
}

/// One data set's entry of RDT's `dataset_stat.json`; every list is 128 wide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetStatistics {
    /// Data set name.
    pub dataset_name: String,
    /// Mean over all steps.
    pub state_mean: Vec<f64>,
    /// Standard deviation with zeros handled apart; see [`StatisticsSum::finish`].
    pub state_std: Vec<f64>,
    /// Smallest value.
    pub state_min: Vec<f64>,
    /// Largest value.
    pub state_max: Vec<f64>,
}

/// Running sums from which [`DatasetStatistics`] are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatisticsSum {
    count: u64,
    nonzero: Vec<u64>,
    sum: Vec<f64>,
    nonzero_sum: Vec<f64>,
    nonzero_sum_sq: Vec<f64>,
    min: Vec<f64>,
    max: Vec<f64>,
}

impl Default for StatisticsSum {
    fn default() -> Self {
        Self {
            count: 0,
            nonzero: vec![0; STATE_DIM],
            sum: vec![0.0; STATE_DIM],
            nonzero_sum: vec![0.0; STATE_DIM],
            nonzero_sum_sq: vec![0.0; STATE_DIM],
            min: vec![f64::INFINITY; STATE_DIM],
            max: vec![f64::NEG_INFINITY; STATE_DIM],
        }
    }
}

impl StatisticsSum {
    /// Adds state rows (row-major, `columns.len()` wide); entries of the vector outside
    /// `columns` are zero in every row.
    pub fn add(&mut self, columns: &[u8], rows: &[f64]) {
        if columns.is_empty() {
            return;
        }
        let count = rows.len() / columns.len();
        self.count += count as u64;
        for entry in 0..STATE_DIM {
            match columns.iter().position(|&c| usize::from(c) == entry) {
                None if count > 0 => self.extend(entry, 0.0),
                None => {}
                Some(column) => {
                    for row in rows.chunks_exact(columns.len()) {
                        self.add_value(entry, row[column]);
                    }
                }
            }
        }
    }

    fn extend(&mut self, entry: usize, value: f64) {
        self.min[entry] = self.min[entry].min(value);
        self.max[entry] = self.max[entry].max(value);
    }

    fn add_value(&mut self, entry: usize, value: f64) {
        self.extend(entry, value);
        self.sum[entry] += value;
        if value.abs() > ZERO {
            self.nonzero[entry] += 1;
            self.nonzero_sum[entry] += value;
            self.nonzero_sum_sq[entry] += value * value;
        }
    }

    /// Adds the sums of `other`. Rounding depends on the grouping of rows, so whoever wants
    /// equal bits merges equal groups in an equal order.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        for entry in 0..STATE_DIM {
            self.nonzero[entry] += other.nonzero[entry];
            self.sum[entry] += other.sum[entry];
            self.nonzero_sum[entry] += other.nonzero_sum[entry];
            self.nonzero_sum_sq[entry] += other.nonzero_sum_sq[entry];
            self.min[entry] = self.min[entry].min(other.min[entry]);
            self.max[entry] = self.max[entry].max(other.max[entry]);
        }
    }

    /// Rows added.
    pub fn rows(&self) -> u64 {
        self.count
    }

    /// The statistics: std is `sqrt(max(sum_sq_nz / n_nz - (sum_nz / n)^2 * n / n_nz, 0))`
    /// with n_nz at least 1 (RDT: `compute_dataset_stat.py`); zero without any row.
    pub fn finish(&self, dataset_name: &str) -> DatasetStatistics {
        let n = self.count.max(1) as f64;
        let finite = |v: &[f64]| v.iter().map(|&x| if x.is_finite() { x } else { 0.0 }).collect();
        let std = (0..STATE_DIM).map(|i| {
            let n_nz = self.nonzero[i].max(1) as f64;
            let mean_nz = self.nonzero_sum[i] / n;
            (self.nonzero_sum_sq[i] / n_nz - mean_nz * mean_nz * (n / n_nz)).max(0.0).sqrt()
        });
        DatasetStatistics {
            dataset_name: dataset_name.to_owned(),
            state_mean: self.sum.iter().map(|s| s / n).collect(),
            state_std: std.collect(),
            state_min: finite(&self.min),
            state_max: finite(&self.max),
        }
    }
}
