//! `--holdout`: episodes that are not trained on, but evaluated on.

use std::sync::Arc;

use rdt_consumer::{Holdout, SampleSource, Selection};

use crate::exit::Usage;

/// The share of a training run.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct HoldoutFlag {
    /// Share of the episodes, such as 0.05, that is never trained on; a run's --sample-period
    /// samples these. Chosen by a hash of data set, file and key, so the same for every seed. 0: none
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, allow_negative_numbers = true)]
    pub holdout: f64,
}

/// The two sides of `source`; none where nothing is held out.
///
/// # Errors
/// Wrong usage: a share that is none, or that leaves one side empty.
pub fn divide(source: &SampleSource, share: f64) -> anyhow::Result<Option<Holdout>> {
    if share == 0.0 {
        return Ok(None);
    }
    Ok(Some(Holdout::new(source, share).map_err(Usage::from_error)?))
}

/// What evaluation takes of them: what is held out, or all.
pub fn evaluated(holdout: Option<&Holdout>) -> Option<Arc<Selection>> {
    holdout.map(|holdout| Arc::clone(&holdout.held_out))
}
