//! The manifest: what a buffer was made from, with which settings, and how far.
//!
//! Plain data; reading, writing and its checksum are in `manifest_file`. Keys are documented in
//! `docs/protocol.md`.

use std::path::PathBuf;

use rdt_schema::card::Extremes;
use rdt_schema::statistics::DatasetStatistics;
use rdt_schema::{DataAbout, DatasetAbout, DatasetSchema, Omission, TextFile};
use serde::{Deserialize, Serialize};

/// The version of the directory layout and manifest that this crate writes and reads.
pub const FORMAT_VERSION: u32 = 1;
/// What `format` says in every manifest.
pub const FORMAT: &str = "rdt-buffer";

/// Everything in `manifest.json` except its checksum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Whether the fill has reached its end.
    pub state: BufferState,
    /// Samples of the whole plan; ids are `0..samples`.
    pub samples: u64,
    /// Samples a chunk; the last chunk may hold fewer.
    pub chunk_size: u32,
    /// How it is filled.
    pub fill: FillSettings,
    /// Digest of the whole plan, 32 hexadecimal digits.
    pub plan_digest: String,
    /// The configuration, verbatim.
    pub config: TextFile,
    /// RDT's JSON lists that were read, verbatim.
    pub lists: Vec<TextFile>,
    /// The data sets; a chunk's data set index is a place in this list.
    pub datasets: Vec<ManifestDataset>,
    /// Files and episodes left out because something is wrong with them.
    pub skipped: Vec<Omission>,
    /// Episodes left out by design.
    pub filtered: Vec<Omission>,
    /// Those of `skipped` that were found while chunks were written; a resumed fill leaves
    /// them out from the start.
    pub found_while_writing: Vec<Omission>,
    /// Of a live buffer, how it is refilled; else absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<LiveSettings>,
    /// When the fill began, milliseconds since 1970.
    pub started_unix_ms: u64,
    /// The program's version.
    pub written_by: String,
}

/// How far a buffer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BufferState {
    /// Chunks are being added, and may still be withdrawn: not to be trained on.
    Filling,
    /// All chunks of the plan are there.
    Complete,
    /// Chunks are replaced when they are consumed.
    Live,
}

/// How a live buffer is refilled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LiveSettings {
    /// Chunks of the buffer.
    pub chunks: u32,
    /// The first generation whose chunks are parts of the endless stream; generations before it
    /// are those of a fill.
    pub from_generation: u64,
}

/// Settings of a fill that decide what is in the chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FillSettings {
    /// `all` (every step once) or `random` (draws with replacement).
    pub sampling: String,
    /// Chunks of `random` sampling, where they were given.
    pub num_chunks: Option<u32>,
    /// Seed of all draws.
    pub seed: u64,
    /// How frames are stored, as `--image-codec` takes it.
    pub image_codec: String,
    /// Side of the squares that frames were padded and resized to; absent from the file where they
    /// are as the cameras took them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_size: Option<u32>,
    /// Whether every source frame was decoded before anything was laid out.
    pub check_frames: bool,
    /// How steps were spread over chunks; absent from the file where they lie in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<SpreadSettings>,
}

/// How the steps of a buffer were spread over chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpreadSettings {
    /// Chunks that were open at once, at least.
    pub chunks: u32,
    /// Most consecutive steps of an episode in one run.
    pub run_length: u32,
}

/// One data set of a buffer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestDataset {
    /// Layout of its samples, and its name.
    pub schema: DatasetSchema,
    /// Absolute path of its files (or its file).
    pub root: PathBuf,
    /// Name of the card, as given.
    pub card_name: String,
    /// The card, verbatim.
    pub card: TextFile,
    /// RDT's sample weight.
    pub weight: f64,
    /// Source files that the card's pattern found.
    pub files: u64,
    /// Accepted episodes.
    pub episodes: u64,
    /// Steps of the accepted episodes that are samples.
    pub steps: u64,
    /// Samples of this data set in the buffer (equal to `steps` unless drawn at random).
    pub samples: u64,
    /// Digest of name, length and time of change of all `files`, also of those that gave no
    /// episode, 32 hexadecimal digits: a fill that is run again compares it without opening any.
    pub source_digest: String,
    /// Digest of its files, episodes and card, 32 hexadecimal digits.
    pub digest: String,
    /// Extremes of a first pass; null where the card needs none.
    pub extremes: Option<Extremes>,
    /// RDT's statistics over the accepted episodes.
    pub statistics: DatasetStatistics,
}

impl Manifest {
    /// Chunks of the whole plan.
    pub fn chunk_count(&self) -> u64 {
        self.samples.div_ceil(u64::from(self.chunk_size.max(1)))
    }

    /// Samples that chunk `chunk` holds; 0 past the end.
    pub fn samples_of(&self, chunk: crate::ChunkId) -> u32 {
        let size = u64::from(self.chunk_size);
        let start = u64::from(chunk.get()) * size;
        self.samples.saturating_sub(start).min(size) as u32
    }

    /// What is to be known of the data beside its samples.
    pub fn about(&self) -> DataAbout {
        let of = |dataset: &ManifestDataset| DatasetAbout {
            schema: dataset.schema.clone(),
            card_name: dataset.card_name.clone(),
            card: dataset.card.clone(),
            extremes: dataset.extremes.clone(),
            statistics: dataset.statistics.clone(),
        };
        DataAbout::new(self.samples, self.plan_digest.clone(), self.datasets.iter().map(of).collect())
    }

    /// The data sets' schemas, in the order of a chunk's data set index.
    pub fn schemas(&self) -> Vec<DatasetSchema> {
        self.datasets.iter().map(|dataset| dataset.schema.clone()).collect()
    }
}
