//! What can end a plan or a fill.

use std::path::PathBuf;

use rdt_buffer::BufferError;
use rdt_chunk::ChunkError;
use rdt_episode::EpisodeError;
use rdt_schema::{Omission, SchemaError, Setting};

/// A fill that cannot start or go on. A bad episode is none: it is skipped and named.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProducerError {
    /// A wrong argument.
    #[error("{argument} is {found}, expected {expected}")]
    Argument {
        /// Which one.
        argument: String,
        /// What was given.
        found: String,
        /// What may be given, and what to do.
        expected: String,
    },
    /// A configuration file, list or card is wrong.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A data set's files cannot be listed or opened at all.
    #[error("data set {dataset} cannot be opened")]
    Dataset {
        /// The data set.
        dataset: String,
        /// Why.
        #[source]
        source: EpisodeError,
    },
    /// Nothing of a data set can be used.
    #[error(
        "data set {dataset}: no episode can be used ({skipped} skipped, {filtered} filtered out, \
         {files} files); {}", first_reason(.examples)
    )]
    NoEpisodes {
        /// The data set.
        dataset: String,
        /// Files found.
        files: u64,
        /// Faulty files and episodes.
        skipped: u64,
        /// Episodes left out by design.
        filtered: u64,
        /// The first of each of the first few reasons, with how many agree.
        examples: Vec<(Omission, u64)>,
    },
    /// The buffer was begun with other settings.
    #[error(
        "{} was begun with other settings: {what} was {was}, is now {now}; \
         run it with the former, give another {}, or remove the directory", dir.display(), Setting::BUFFER
    )]
    OtherSettings {
        /// The buffer.
        dir: PathBuf,
        /// Which setting.
        what: String,
        /// What it was.
        was: String,
        /// What it is now.
        now: String,
    },
    /// Source files are not what they were when the fill began.
    #[error(
        "the files of data set {dataset} have changed since the fill of {} began: {change}; \
         put them back as they were, give another {}, or remove the directory to fill anew",
        dir.display(),
        Setting::BUFFER
    )]
    SourceChanged {
        /// The buffer.
        dir: PathBuf,
        /// The data set.
        dataset: String,
        /// What differs.
        change: String,
    },
    /// The buffer is a live one.
    #[error(
        "{} is a live buffer, which is refilled and not filled once; add {}, or give another {}",
        dir.display(),
        Setting::FOLLOW,
        Setting::BUFFER
    )]
    IsLive {
        /// The buffer.
        dir: PathBuf,
    },
    /// There is nothing to refill.
    #[error(
        "{}: {} replaces what was consumed, and there is no buffer yet; add {} to make one",
        dir.display(),
        Setting::FOLLOW,
        Setting::FILL_UP
    )]
    NothingToFollow {
        /// The buffer.
        dir: PathBuf,
    },
    /// A live buffer cannot take over this one.
    #[error("{} cannot be refilled: {what} is {found}, expected {expected}", dir.display())]
    CannotFollow {
        /// The buffer.
        dir: PathBuf,
        /// What does not fit.
        what: String,
        /// What it is.
        found: String,
        /// What it should be, and what to do.
        expected: String,
    },
    /// Every episode turned out to be bad.
    #[error("no episode is left that can be read ({skipped} skipped); check the sources and start again")]
    NothingLeft {
        /// Files and episodes left out.
        skipped: u64,
    },
    /// Workers end again and again.
    #[error("workers died {times} times without publishing a chunk, the last: {reason}")]
    WorkersDie {
        /// How often.
        times: u32,
        /// What the last one said.
        reason: String,
    },
    /// The plan needs more chunks than allowed.
    #[error(
        "{0} is {limit}, but {samples} samples need {needed} chunks of {chunk_size}; \
         leave {0} out, raise {1}, or use {2}, which replaces consumed samples",
        Setting::NUM_CHUNKS,
        Setting::CHUNK_SIZE,
        Setting::FOLLOW
    )]
    TooFewChunks {
        /// Chunks allowed.
        limit: u32,
        /// Chunks needed.
        needed: u64,
        /// Samples planned.
        samples: u64,
        /// Samples a chunk.
        chunk_size: u32,
    },
    /// More samples than chunk numbers allow.
    #[error(
        "{samples} samples need {needed} chunks of {chunk_size}, at most 4294967295 are possible; raise {}",
        Setting::CHUNK_SIZE
    )]
    TooManyChunks {
        /// Samples planned.
        samples: u64,
        /// Chunks needed.
        needed: u64,
        /// Samples a chunk.
        chunk_size: u32,
    },
    /// A sample past the last one was asked for.
    #[error("sample {sample} does not exist: there are {samples}")]
    NoSuchSample {
        /// The sample asked for.
        sample: u64,
        /// Samples there are.
        samples: u64,
    },
    /// A source file is not the one that was scanned.
    #[error("{}: {key}: changed while it is in use: {change}; put it back, or start again", file.display())]
    ChangedSinceScan {
        /// The file.
        file: PathBuf,
        /// The episode inside it.
        key: String,
        /// What differs.
        change: String,
    },
    /// A source file cannot be read.
    #[error(transparent)]
    Source(#[from] EpisodeError),
    /// A sample cannot be laid out.
    #[error(transparent)]
    Sample(#[from] ChunkError),
    /// The buffer cannot be read or written.
    #[error(transparent)]
    Buffer(#[from] BufferError),
    /// A chunk cannot be written.
    #[error("writing stopped at chunk {chunk}; what is published stays, and the same command continues")]
    Chunk {
        /// Which one.
        chunk: rdt_buffer::ChunkId,
        /// Why.
        #[source]
        source: ChunkError,
    },
    /// Somebody asked to stop.
    #[error(
        "interrupted with {published} of {chunks} chunks in {}; the same command continues from there",
        dir.display()
    )]
    Interrupted {
        /// The buffer.
        dir: PathBuf,
        /// Chunks published.
        published: u64,
        /// Chunks of the plan.
        chunks: u64,
    },
    /// Somebody asked to stop before anything was written.
    #[error("interrupted while planning; nothing was written")]
    InterruptedWhilePlanning,
    /// A worker thread ended without a word: a defect of this program.
    #[error("a worker of the fill died; what is published stays; please report this")]
    WorkerDied,
}

impl ProducerError {
    /// Whether the user must change what they typed or wrote (exit code 2), rather than the
    /// world having failed (1).
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Argument { .. }
            | Self::Schema(_)
            | Self::OtherSettings { .. }
            | Self::TooFewChunks { .. }
            | Self::TooManyChunks { .. }
            | Self::IsLive { .. }
            | Self::NothingToFollow { .. }
            | Self::CannotFollow { .. } => true,
            Self::Buffer(error) => {
                matches!(error, BufferError::NotABuffer { .. } | BufferError::OtherVersion { .. })
            }
            _ => false,
        }
    }
}

fn first_reason(examples: &[(Omission, u64)]) -> String {
    if examples.is_empty() {
        return "check the path and the card's file pattern".into();
    }
    let describe = |(omission, count): &(Omission, u64)| match count {
        1 => describe(omission),
        count => format!("{} (the same of {} more)", describe(omission), count - 1),
    };
    let reasons: Vec<String> = examples.iter().map(describe).collect();
    format!("the first: {}", reasons.join("; "))
}

/// An omission in one line: data set, place, reason.
pub(crate) fn describe(omission: &Omission) -> String {
    let Omission { dataset, source, episode, reason } = omission;
    match episode.as_str() {
        "" => format!("{dataset}/{source}: {reason}"),
        episode => format!("{dataset}/{source}:{episode}: {reason}"),
    }
}
