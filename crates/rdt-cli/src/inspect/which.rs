//! The flags that name a sample.

use rdt_buffer::Buffer;
use rdt_inspect::locate::{Located, Which};

use crate::inspect::usage_or_failure;

/// The arguments that name a sample.
#[derive(Debug, Clone, clap::Args)]
pub struct WhichFlags {
    /// Sample id: chunk x chunk size + slot
    #[arg(value_name = "INDEX")]
    #[arg(conflicts_with_all = ["episode", "step", "dataset"])]
    pub index: Option<u64>,
    /// Episode: file relative to the data set's path, and key inside it (empty where a file
    /// is an episode)
    #[arg(long, value_name = "FILE:KEY", requires = "step")]
    pub episode: Option<String>,
    /// Step of the episode, counted as in the source
    #[arg(long, value_name = "T", requires = "episode")]
    pub step: Option<u32>,
    /// Data set, where several have such an episode
    #[arg(long, value_name = "NAME", requires = "episode")]
    pub dataset: Option<String>,
}

impl WhichFlags {
    /// Finds the sample.
    ///
    /// # Errors
    /// As of [`Which::find`].
    pub fn find(&self, buffer: &Buffer) -> anyhow::Result<Located> {
        let Self { index, episode, step, dataset } = self.clone();
        Which { index, episode, step, dataset }.find(buffer).map_err(usage_or_failure)
    }
}
