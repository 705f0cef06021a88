//! What is in a buffer: samples, data sets, coverage, bytes, what was left out.
//!
//! Tables are read, frames are not, so it is quick on a big buffer too. Keys are never
//! renamed, only added.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rdt_buffer::{Buffer, BufferState, ChunkId, SpreadSettings};
use rdt_schema::Omission;
use serde::Serialize;

use crate::embeddings::EmbeddingsReport;
use crate::error::Result;
use crate::survey::{DatasetSurvey, FrameSize, Survey};

/// What is in a buffer.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Version of the buffer's format.
    pub format_version: u32,
    /// `filling` or `complete`.
    pub state: BufferState,
    /// Chunks that are there.
    pub chunks: u64,
    /// Chunks of the whole plan.
    pub planned_chunks: u64,
    /// Samples a chunk.
    pub chunk_size: u32,
    /// Samples that are there.
    pub samples: u64,
    /// Samples of the whole plan.
    pub planned_samples: u64,
    /// Accepted episodes.
    pub episodes: u64,
    /// The data sets.
    pub datasets: Vec<DatasetReport>,
    /// Length of all chunk files.
    pub bytes: u64,
    /// The same a sample; 0 without samples.
    pub bytes_per_sample: f64,
    /// Of `bytes`, encoded frames.
    pub frame_bytes: u64,
    /// Frames stored.
    pub frames: u64,
    /// `all` or `random`.
    pub sampling: String,
    /// How steps were spread over chunks; null where they lie in order.
    pub spread: Option<SpreadSettings>,
    /// Episodes that a chunk holds steps of, on average.
    pub episodes_per_chunk: f64,
    /// Consecutive steps of an episode that lie in a chunk together, on average.
    pub steps_per_run: f64,
    /// Seed of all draws.
    pub seed: u64,
    /// How frames are stored, by its name.
    pub codec: String,
    /// Side of the squares that frames were padded and resized to; null where they are as the
    /// cameras took them.
    pub frame_size: Option<u32>,
    /// Samples that no consumer has taken.
    pub clean: u64,
    /// Samples that were taken.
    pub dirty: u64,
    /// Chunks by generation.
    pub generations: BTreeMap<u64, u64>,
    /// Episodes and files left out because something is wrong with them.
    pub skipped: Vec<OmissionReport>,
    /// Episodes left out by design.
    pub filtered: Vec<OmissionReport>,
    /// What encoders made of instructions and frames.
    pub embeddings: EmbeddingsReport,
    /// Chunks that could not be read.
    pub damaged: Vec<DamagedChunk>,
    /// Chunks that are whole and whose dirty bits could not be read: their samples are
    /// neither in `clean` nor in `dirty`.
    pub damaged_bits: Vec<DamagedChunk>,
}

/// One data set of a [`Report`].
#[derive(Debug, Serialize)]
pub struct DatasetReport {
    /// Name.
    pub name: String,
    /// Accepted episodes.
    pub episodes: u64,
    /// Their steps that are samples.
    pub steps: u64,
    /// Samples stored.
    pub samples: u64,
    /// Distinct steps stored / steps; 1 without steps.
    pub coverage: f64,
    /// Distinct steps stored.
    pub distinct_steps: u64,
    /// Episodes of which at least one step is stored.
    pub stored_episodes: u64,
    /// Steps a second; 0 where unknown.
    pub control_freq: f32,
    /// RDT's sample weight.
    pub weight: f64,
    /// The card it was read by.
    pub card: String,
    /// Where its files are.
    pub path: PathBuf,
    /// Entries of the unified vector that the state fills.
    pub state_columns: Vec<u8>,
    /// Entries that the action fills.
    pub action_columns: Vec<u8>,
    /// Sizes and codecs of frames by camera.
    pub frame_sizes: Vec<FrameSize>,
    /// Distinct instructions (the first wording of each episode).
    pub instructions: u64,
    /// Some of them.
    pub instruction_examples: Vec<String>,
}

/// An episode or file that is not in the buffer.
#[derive(Debug, Serialize)]
pub struct OmissionReport {
    /// Data set.
    pub dataset: String,
    /// File, relative to the data set's path.
    pub source: String,
    /// Episode inside the file; empty for the whole file.
    pub episode: String,
    /// Why.
    pub reason: String,
}

/// A chunk that could not be read, or whose bits could not.
#[derive(Debug, Serialize)]
pub struct DamagedChunk {
    /// Which one.
    pub chunk: u32,
    /// What is wrong with it.
    pub reason: String,
}

impl Report {
    /// Whether nothing was skipped and nothing is damaged.
    pub fn is_whole(&self) -> bool {
        self.skipped.is_empty()
            && self.damaged.is_empty()
            && self.damaged_bits.is_empty()
            && self.embeddings.damaged.is_empty()
    }

    /// Of a buffer in any state.
    ///
    /// # Errors
    /// The folder of chunks cannot be listed.
    pub fn of(buffer: &Buffer) -> Result<Self> {
        let manifest = buffer.manifest();
        let survey = Survey::of(buffer)?;
        let datasets: Vec<DatasetReport> = manifest
            .datasets
            .iter()
            .zip(survey.datasets)
            .map(|(dataset, stored)| DatasetReport::of(dataset, stored))
            .collect();
        let omissions = |list: &[Omission]| list.iter().map(OmissionReport::of).collect();
        Ok(Self {
            format_version: manifest.format_version,
            state: manifest.state,
            chunks: survey.chunks,
            planned_chunks: buffer.chunk_count(),
            chunk_size: manifest.chunk_size,
            samples: survey.samples,
            planned_samples: buffer.sample_count(),
            episodes: datasets.iter().map(|dataset| dataset.episodes).sum(),
            datasets,
            bytes: survey.bytes,
            bytes_per_sample: survey.bytes as f64 / survey.samples.max(1) as f64,
            frame_bytes: survey.frame_bytes,
            frames: survey.frames,
            sampling: manifest.fill.sampling.clone(),
            spread: manifest.fill.spread,
            episodes_per_chunk: survey.chunk_episodes as f64 / survey.chunks.max(1) as f64,
            steps_per_run: survey.samples as f64 / survey.runs.max(1) as f64,
            seed: manifest.fill.seed,
            codec: manifest.fill.image_codec.clone(),
            frame_size: manifest.fill.frame_size,
            clean: survey.bits.clean(),
            dirty: survey.bits.dirty(),
            generations: survey.generations,
            skipped: omissions(&manifest.skipped),
            filtered: omissions(&manifest.filtered),
            embeddings: EmbeddingsReport::of(buffer)?,
            damaged: DamagedChunk::list(survey.unread),
            damaged_bits: DamagedChunk::list(survey.unread_bits),
        })
    }
}

impl DatasetReport {
    fn of(dataset: &rdt_buffer::ManifestDataset, stored: DatasetSurvey) -> Self {
        let schema = &dataset.schema;
        let coverage = match dataset.steps {
            0 => 1.0,
            steps => stored.distinct_steps as f64 / steps as f64,
        };
        Self {
            name: schema.name.clone(),
            episodes: dataset.episodes,
            steps: dataset.steps,
            samples: stored.samples,
            coverage,
            distinct_steps: stored.distinct_steps,
            stored_episodes: stored.episodes,
            control_freq: schema.control_freq,
            weight: dataset.weight,
            card: dataset.card_name.clone(),
            path: dataset.root.clone(),
            state_columns: schema.state_columns.clone(),
            action_columns: schema.action_columns.clone(),
            frame_sizes: stored.frame_forms.into_iter().collect(),
            instructions: stored.instructions,
            instruction_examples: stored.examples,
        }
    }
}

impl DamagedChunk {
    fn list(chunks: Vec<(ChunkId, String)>) -> Vec<Self> {
        chunks.into_iter().map(|(id, reason)| Self { chunk: id.get(), reason }).collect()
    }
}

impl OmissionReport {
    fn of(omission: &Omission) -> Self {
        let Omission { dataset, source, episode, reason } = omission.clone();
        Self { dataset, source, episode, reason }
    }
}
