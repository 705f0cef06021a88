//! Evaluation: the sampler is run on batches, and what it makes is compared with what was recorded.

use std::sync::atomic::AtomicBool;

use rdt_consumer::BadSample;
use rdt_model::metrics::{SampleFigures, SampleMetrics};
use rdt_model::parameters::Weights;
use rdt_model::policy::Policy;

use crate::batch::{Batches, TrainingBatch};
use crate::error::TrainError;

/// What an evaluation found.
#[derive(Debug)]
pub struct Evaluated {
    /// RDT's figures by name.
    pub figures: SampleFigures,
    /// Samples that could not be read and that others stand in for.
    pub bad_samples: Vec<BadSample>,
}

/// Samples actions for `count` batches with `weights` and compares them with the recorded ones; data
/// sets are counted as in `dataset_names`.
///
/// # Errors
/// The data stops with an error, batches of another shape, or the memory is not there.
pub fn evaluate(
    policy: &Policy,
    weights: &Weights,
    batches: &mut impl Batches,
    count: u64,
    dataset_names: &[String],
) -> Result<Evaluated, TrainError> {
    let mut metrics = SampleMetrics::default();
    // A stop from outside ends the run behind the evaluation, which is short.
    let never = AtomicBool::new(false);
    for number in 0..count {
        let Some(batch) = batches.next(&never)? else { break };
        policy.compare(weights, &batch.host(), number, dataset_names, &mut metrics)?;
    }
    Ok(Evaluated { figures: metrics.figures(count), bad_samples: batches.take_bad_samples() })
}
