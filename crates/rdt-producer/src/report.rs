//! What a fill or a dry run found and made.

use rdt_schema::Omission;
use serde::Serialize;

/// What [`crate::fill()`] made.
#[derive(Debug, Clone, Serialize)]
pub struct FillReport {
    /// The buffer was complete already; nothing was written.
    pub already_complete: bool,
    /// Chunks of the buffer.
    pub chunks: u64,
    /// Samples a chunk.
    pub chunk_size: u32,
    /// Samples of the buffer.
    pub samples: u64,
    /// Episodes of the buffer.
    pub episodes: u64,
    /// The data sets.
    pub datasets: Vec<DatasetReport>,
    /// Bytes of all chunk files.
    pub bytes: u64,
    /// Bytes of chunk files a sample.
    pub bytes_per_sample: f64,
    /// Chunks written by this run.
    pub written_chunks: u64,
    /// Samples written by this run.
    pub written_samples: u64,
    /// Chunks whose dirty bits were missing or damaged, and were made anew.
    pub healed_bits: u64,
    /// Wall-clock seconds of this run.
    pub seconds: f64,
    /// Of these, seconds that all workers together waited for the device to make files durable.
    pub sync_seconds: f64,
    /// Files and episodes left out because something is wrong with them.
    pub skipped: Vec<Omission>,
    /// Episodes left out by design.
    pub filtered: Vec<Omission>,
}

/// One data set of a [`FillReport`] or a [`Prediction`].
#[derive(Debug, Clone, Serialize)]
pub struct DatasetReport {
    /// Its name.
    pub name: String,
    /// Accepted episodes.
    pub episodes: u64,
    /// Their steps that are samples.
    pub steps: u64,
    /// Samples of it in the buffer.
    pub samples: u64,
}

/// What [`crate::predict()`] expects of a fill.
#[derive(Debug, Clone, Serialize)]
pub struct Prediction {
    /// Chunks.
    pub chunks: u64,
    /// Samples a chunk.
    pub chunk_size: u32,
    /// Samples.
    pub samples: u64,
    /// Episodes.
    pub episodes: u64,
    /// The data sets.
    pub datasets: Vec<DatasetReport>,
    /// Bytes of all chunk files, from a few samples that were encoded.
    pub bytes: u64,
    /// Bytes of chunk files a sample.
    pub bytes_per_sample: f64,
    /// Seconds that writing would take with these workers, from the same samples.
    pub seconds: f64,
    /// Samples that were encoded to find out.
    pub samples_tried: u64,
    /// Files and episodes that would be left out because something is wrong with them.
    pub skipped: Vec<Omission>,
    /// Episodes that would be left out by design.
    pub filtered: Vec<Omission>,
}

impl From<&crate::plan::PlannedDataset> for DatasetReport {
    fn from(planned: &crate::plan::PlannedDataset) -> Self {
        Self {
            name: planned.name.clone(),
            episodes: planned.episodes,
            steps: planned.steps,
            samples: planned.samples,
        }
    }
}
