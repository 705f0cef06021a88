//! What can go wrong between a buffer and a batch.

use rdt_buffer::{BufferError, ReadError};
use rdt_schema::Setting;

use crate::bad_sample::BadSample;

/// An error of the consumer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumerError {
    /// The buffer holds no samples.
    #[error("there are no samples; a buffer is filled with rdt-produce --fill-up")]
    NoSamples,
    /// More samples than the order can permute.
    #[error("{samples} samples are more than the order can permute; expected at most {most}")]
    TooManySamples {
        /// Samples of the buffer.
        samples: u64,
        /// The limit.
        most: u64,
    },
    /// A batch of no samples.
    #[error("global batch size is 0, expected at least 1")]
    EmptyBatch,
    /// No ranks.
    #[error("world size is 0, expected at least 1")]
    NoRanks,
    /// A rank that the world does not have.
    #[error("rank is {rank}, expected less than the world size {world}")]
    Rank {
        /// The rank asked for.
        rank: u32,
        /// Ranks there are.
        world: u32,
    },
    /// Ranks that would get no sample of any batch.
    #[error(
        "global batch size {global_batch} leaves ranks without samples, expected at least the world size {world}"
    )]
    BatchUnderWorld {
        /// Samples of a batch.
        global_batch: u32,
        /// Ranks there are.
        world: u32,
    },
    /// Dropping the incomplete batch leaves none.
    #[error(
        "the buffer holds {samples} samples, fewer than one global batch of {global_batch}, \
         and the incomplete batch is dropped; keep it or take a smaller batch"
    )]
    AllDropped {
        /// Samples of the buffer.
        samples: u64,
        /// Samples of a batch.
        global_batch: u32,
    },
    /// A start beyond the end of the epoch.
    #[error("start batch is {batch}, expected at most {batches}, the batches of an epoch")]
    StartBatch {
        /// The batch asked for.
        batch: u64,
        /// Batches of an epoch.
        batches: u64,
    },
    /// A data set whose samples do not have the sizes that batches are laid out for.
    #[error(
        "data set {dataset}: {what} is {found}, expected {expected} as configured; train with the \
         configuration that the buffer was made with"
    )]
    Shape {
        /// The data set.
        dataset: String,
        /// Which size differs.
        what: &'static str,
        /// What its samples have.
        found: usize,
        /// What the batch is laid out for.
        expected: usize,
    },
    /// More cameras than samples have slots.
    #[error("number of cameras is {found}, expected 1 to {most}")]
    Cameras {
        /// The number asked for.
        found: usize,
        /// Camera slots of a sample.
        most: usize,
    },
    /// Stored frames were resized for another encoder.
    #[error(
        "images of {asked} x {asked} pixels are asked for, but the frames are stored padded and resized to \
         {stored} x {stored}; take an encoder of that size, or fill a buffer without {}",
        Setting::FRAME_SIZE
    )]
    PreparedSize {
        /// Side of the stored frames.
        stored: u32,
        /// Side asked for.
        asked: usize,
    },
    /// Stored frames were resized, and are to be altered.
    #[error(
        "images are to be altered ({}, {}), but the frames are stored padded \
         and resized to {stored} x {stored}, and RDT alters them before that: fill a buffer without {}, \
         or accept the difference with {}",
        Setting::IMAGE_AUG,
        Setting::AUTO_ADJUST_IMAGE_BRIGHTNESS,
        Setting::FRAME_SIZE,
        Setting::ALTER_PREPARED_IMAGES
    )]
    PreparedAltered {
        /// Side of the stored frames.
        stored: u32,
    },
    /// A frame, or an image size, that cannot be prepared.
    #[error(transparent)]
    Image(#[from] rdt_image::ImageError),
    /// A probability outside of [0, 1].
    #[error("{setting} is {found}, expected 0 to 1")]
    Probability {
        /// Which one.
        setting: Setting,
        /// Its value.
        found: f64,
    },
    /// A signal-to-noise ratio that is no number.
    #[error("{} is {found}, expected decibels", Setting::STATE_NOISE_SNR)]
    NoiseRatio {
        /// Its value.
        found: f64,
    },
    /// States are to be masked, but nobody gave the data set's mean.
    #[error(
        "the data set statistics given have no entry {dataset}, the name of a data set of the buffer; \
         add it, or leave them out: the buffer has its own"
    )]
    NoStateMean {
        /// The data set.
        dataset: String,
    },
    /// A mean state of another width.
    #[error("data set {dataset}: state_mean has {found} entries, expected {expected}")]
    StateMeanWidth {
        /// The data set.
        dataset: String,
        /// Its entries.
        found: usize,
        /// The width of the unified vector.
        expected: usize,
    },
    /// Stored embeddings of images are asked for, and there are none.
    #[error("there are no embeddings of images; make them with rdt-consume embed --images")]
    NoImageEmbeddings,
    /// Stored embeddings are those of the images as they are.
    #[error("images are to be altered and taken from stored embeddings, expected one of the two")]
    EmbeddedImagesAltered,
    /// Stored embeddings of another size than a batch is laid out for.
    #[error("the stored embeddings of an image are {found}, expected {expected}")]
    ImageEmbeddings {
        /// What is stored.
        found: String,
        /// What the batch is laid out for.
        expected: String,
    },
    /// A sample that cannot be read, and the policy is to fail.
    #[error("{0}; {setting} skip replaces it and goes on", setting = Setting::ON_BAD_SAMPLE)]
    BadSample(Box<BadSample>),
    /// A sample that cannot be read, and neither can any of its replacements.
    #[error("{first}; {tries} samples in a row cannot be read; run rdt-buf verify")]
    AllBad {
        /// The first of them.
        first: Box<BadSample>,
        /// How many were tried.
        tries: u32,
    },
    /// A share of episodes to hold out that is none.
    #[error("{} is {share}, expected more than 0 and less than 1, such as 0.05", Setting::HOLDOUT)]
    HoldoutShare {
        /// The share.
        share: f64,
    },
    /// Holding episodes out leaves nothing on one side.
    #[error(
        "{} {share} leaves none of {episodes} episodes {side} (each is chosen by a hash of where it comes \
         from); take another share, or none",
        Setting::HOLDOUT
    )]
    HoldoutSide {
        /// The share.
        share: f64,
        /// Episodes there are.
        episodes: u64,
        /// The side that is empty.
        side: &'static str,
    },
    /// A worker ended without delivering; its panic message is on standard error.
    #[error("a loader thread ended before its work was done")]
    WorkerLost,
    /// The threads cannot be started.
    #[error("cannot start a loader thread")]
    Spawn(#[source] std::io::Error),
    /// A sample cannot be read where it is.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The buffer cannot be read.
    #[error(transparent)]
    Buffer(#[from] BufferError),
    /// A chunk's bytes cannot be read.
    #[error(transparent)]
    Chunk(#[from] rdt_chunk::ChunkError),
}

impl ConsumerError {
    /// Whether the user must change what was asked for; otherwise the world failed.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::NoSamples
            | Self::TooManySamples { .. }
            | Self::BadSample(_)
            | Self::AllBad { .. }
            | Self::WorkerLost
            | Self::Spawn(_)
            | Self::Read(_)
            | Self::Buffer(_)
            | Self::Chunk(_) => false,
            Self::EmptyBatch
            | Self::NoRanks
            | Self::Rank { .. }
            | Self::BatchUnderWorld { .. }
            | Self::AllDropped { .. }
            | Self::StartBatch { .. }
            | Self::Shape { .. }
            | Self::Cameras { .. }
            | Self::PreparedSize { .. }
            | Self::PreparedAltered { .. }
            | Self::Image(_)
            | Self::Probability { .. }
            | Self::NoiseRatio { .. }
            | Self::NoStateMean { .. }
            | Self::StateMeanWidth { .. }
            | Self::NoImageEmbeddings
            | Self::EmbeddedImagesAltered
            | Self::ImageEmbeddings { .. }
            | Self::HoldoutShare { .. }
            | Self::HoldoutSide { .. } => true,
        }
    }
}
