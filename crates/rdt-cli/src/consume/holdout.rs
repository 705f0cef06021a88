//! `--holdout`: episodes that are not trained on, but evaluated on.

/// The share of a training run.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct HoldoutFlag {
    /// Share of the episodes, such as 0.05, that is never trained on; a run's --sample-period
    /// samples these. Chosen by a hash of data set, file and key, so the same for every seed. 0: none
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, allow_negative_numbers = true)]
    pub holdout: f64,
}
