//! How far sampled actions are from the recorded ones: the four figures RDT logs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

/// Figures by RDT's names.
pub type Figures = BTreeMap<String, f64>;

/// What one sampling found: RDT's figures, rounded to 4 decimals as RDT's are, and the same
/// unrounded, for what falls below 0.0001.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SampleFigures {
    /// RDT's.
    #[serde(flatten)]
    pub rounded: Figures,
    /// The same, unrounded.
    #[serde(default)]
    pub unrounded: Figures,
}

/// Sums over batches. RDT's figures are rounded to 4 decimals.
#[derive(Debug, Default)]
pub struct SampleMetrics {
    by_dataset: BTreeMap<String, (f64, f64, u64)>,
    overall: (f64, f64),
    batches: u64,
}

/// One batch: predictions and recordings (B, N, D), mask (B, D) or (B, 1, D), the episode's
/// `state_norm` (B, D), all f32.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// Sampled actions.
    pub predicted: &'a Tensor,
    /// Recorded actions.
    pub actions: &'a Tensor,
    /// 1 where the data set fills the entry.
    pub mask: &'a Tensor,
    /// Root mean square of each entry over its episode.
    pub state_norm: &'a Tensor,
    /// Data set of each sample.
    pub datasets: &'a [&'a str],
}

impl SampleMetrics {
    /// Adds a batch.
    ///
    /// # Errors
    /// Shapes do not fit.
    pub fn add(&mut self, batch: &Comparison<'_>) -> Result<(), TchError> {
        let (samples, _, width) = batch.actions.size3()?;
        let mask = batch.mask.f_reshape([samples, 1, width])?.f_expand_as(batch.actions)?;
        let norm = batch.state_norm.f_reshape([samples, 1, width])?.f_add_scalar(1e-3)?;
        let gap = batch.predicted.f_sub(batch.actions)?;
        let squared = gap.f_square()?.f_mul(&mask)?;
        let relative = gap.f_abs()?.f_div(&norm)?.f_mul(&mask)?;
        let dims = [1i64, 2];
        let per_sample = |x: &Tensor| -> Result<Vec<f32>, TchError> {
            let sum = x.f_sum_dim_intlist(dims.as_slice(), false, None::<Kind>)?;
            let count = mask.f_sum_dim_intlist(dims.as_slice(), false, None::<Kind>)?;
            Vec::try_from(sum.f_div(&count)?)
        };
        let whole = |x: &Tensor| -> Result<f64, TchError> {
            x.f_sum(None::<Kind>)?.f_div(&mask.f_sum(None::<Kind>)?)?.f_double_value(&[])
        };
        for ((dataset, mse), l2err) in
            batch.datasets.iter().zip(per_sample(&squared)?).zip(per_sample(&relative)?)
        {
            let entry = self.by_dataset.entry((*dataset).to_owned()).or_default();
            *entry = (entry.0 + f64::from(mse), entry.1 + f64::from(l2err), entry.2 + 1);
        }
        self.overall.0 += whole(&squared)?;
        self.overall.1 += whole(&relative)?;
        self.batches += 1;
        Ok(())
    }

    /// The figures under RDT's names. `expected_batches` is what the overall ones are
    /// divided by, even where fewer batches came.
    pub fn figures(&self, expected_batches: u64) -> SampleFigures {
        let batches = expected_batches.max(1) as f64;
        let mut unrounded = BTreeMap::from([
            ("overall_avg_sample_mse".to_owned(), self.overall.0 / batches),
            ("overall_avg_sample_l2err".to_owned(), self.overall.1 / batches),
        ]);
        for (dataset, (mse, l2err, samples)) in &self.by_dataset {
            let samples = *samples as f64;
            unrounded.insert(format!("{dataset}_sample_mse"), mse / samples);
            unrounded.insert(format!("{dataset}_sample_l2err"), l2err / samples);
        }
        let round = |x: &f64| (x * 1e4).round_ties_even() / 1e4;
        let rounded = unrounded.iter().map(|(name, value)| (name.clone(), round(value))).collect();
        SampleFigures { rounded, unrounded }
    }
}
