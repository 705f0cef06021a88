//! Mean states of data sets, which stand in for masked states.

use std::collections::BTreeMap;

use rdt_buffer::Samples;
use rdt_schema::STATE_DIM;

use crate::error::ConsumerError;

/// Where the mean state of a data set is taken from.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum StateMeans {
    /// The statistics that the samples' source has, over all of its episodes.
    #[default]
    Source,
    /// By name of the data set, each 128 wide: RDT's `dataset_stat.json`, with which its published
    /// weights were trained.
    Given(BTreeMap<String, Vec<f64>>),
}

impl StateMeans {
    /// The means of the data sets of `source`, in their order.
    ///
    /// # Errors
    /// A data set without a mean, or a mean of another width.
    pub(super) fn of(&self, source: &dyn Samples) -> Result<Vec<Vec<f32>>, ConsumerError> {
        source
            .datasets()
            .into_iter()
            .zip(source.state_means())
            .map(|(dataset, stored)| {
                let name = || dataset.name.clone();
                let mean = match self {
                    Self::Source => stored,
                    Self::Given(means) => means
                        .get(&dataset.name)
                        .map(Vec::as_slice)
                        .ok_or_else(|| ConsumerError::NoStateMean { dataset: name() })?,
                };
                if mean.len() != STATE_DIM {
                    return Err(ConsumerError::StateMeanWidth {
                        dataset: name(),
                        found: mean.len(),
                        expected: STATE_DIM,
                    });
                }
                Ok(mean.iter().map(|&value| value as f32).collect())
            })
            .collect()
    }
}
