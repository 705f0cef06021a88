//! What a running fill tells whoever watches it, and how it is asked to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rdt_buffer::{ChunkId, Recovered};
use rdt_schema::Omission;

/// Something that happened. Told as it happens, from any thread.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// So many source files have been looked at.
    Scanned {
        /// Files done.
        files: u64,
        /// Files there are.
        total: u64,
    },
    /// A file or episode is left out because something is wrong with it.
    Skipped(&'a Omission),
    /// An episode is left out by design.
    Filtered(&'a Omission),
    /// Files of a data set have several names (links); their episodes are there once a name.
    SeveralNames {
        /// The data set.
        dataset: &'a str,
        /// A further name.
        file: &'a str,
        /// The first name of the same file.
        first: &'a str,
        /// Further names beside this one.
        more: u64,
    },
    /// Leftovers of an earlier start, or of chunks that somebody removed, were cleaned away.
    Recovered(Recovered),
    /// Published chunks are removed, to be written again where the plan has them.
    Withdrawn {
        /// How many hold what the plan no longer has, or has elsewhere.
        of_another_plan: u64,
        /// How many are damaged, or have no usable bits.
        damaged: u64,
    },
    /// Dirty bits of a complete buffer were missing or damaged, and are clean now.
    BitsHealed {
        /// Of how many chunks.
        chunks: u64,
    },
    /// The plan stands, and writing begins.
    Planned {
        /// Samples of the whole plan.
        samples: u64,
        /// Chunks of the whole plan.
        chunks: u64,
        /// Samples that are in published chunks already.
        published_samples: u64,
    },
    /// A live buffer stands, and refilling begins.
    Following {
        /// Chunks of this producer.
        chunks: u64,
        /// Of these, published already.
        published: u64,
        /// Samples of one pass over all data sets.
        pass: u64,
    },
    /// Producing pauses.
    Paused {
        /// Why, and what to do.
        reason: &'a str,
    },
    /// Producing goes on.
    Resumed,
    /// A chunk's unread samples cannot be carried into its next generation: it is replaced once
    /// they are consumed.
    NotCarried {
        /// Which one.
        chunk: ChunkId,
        /// Why.
        reason: &'a str,
    },
    /// A worker was replaced by a new one.
    WorkerReplaced {
        /// Its number.
        worker: usize,
        /// What happened to it, and on what it was working.
        reason: &'a str,
    },
    /// A chunk was published.
    Published {
        /// Which one.
        chunk: ChunkId,
        /// Its samples.
        samples: u32,
        /// Bytes of its file.
        bytes: u64,
    },
}

/// Asks a fill to stop at its next safe point. Clones share one flag.
#[derive(Debug, Clone, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Asks.
    pub fn stop(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Whether somebody has asked.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl From<Arc<AtomicBool>> for StopFlag {
    fn from(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }
}
