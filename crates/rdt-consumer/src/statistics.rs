//! Where a loader's time goes: what makes a stalled stage visible.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Figures of a loader since its start. Times of threads add up over threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoaderStatistics {
    /// Batches delivered.
    pub batches: u64,
    /// Samples delivered.
    pub samples: u64,
    /// Bytes of the delivered arrays and frames.
    pub bytes: u64,
    /// Places of batches whose sample could not be read and was replaced, each time counted.
    pub replaced: u64,
    /// Samples of a live buffer that were consumed and not delivered: their episodes are held out.
    pub held_out: u64,
    /// Time that the taker of batches waited for one: the loader is too slow if this grows.
    pub waited: Duration,
    /// Whole batches that were ready when one was asked for, summed up over `batches`.
    pub ready: u64,
    /// Samples that no thread had begun when a batch was asked for, summed up over `batches`.
    pub queued: u64,
    /// Time that threads waited for work: the loader is ahead if this grows.
    pub idle: Duration,
    /// Time to find samples and announce coming ones to the kernel; opening chunks included.
    pub find: Duration,
    /// Time to write states, actions and masks.
    pub rows: Duration,
    /// Time to check and decode frames.
    pub decode: Duration,
    /// Time to brighten and augment images.
    pub augment: Duration,
    /// Time to preprocess images, and to fill absent ones.
    pub preprocess: Duration,
}

/// A stage of a worker thread.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage {
    Idle,
    Find,
    Rows,
    Decode,
    Preprocess,
    Augment,
}

/// Sums of nanoseconds, shared by the threads.
#[derive(Debug, Default)]
pub(crate) struct Times([AtomicU64; 6]);

impl Times {
    fn get(&self, stage: Stage) -> Duration {
        Duration::from_nanos(self.0[stage as usize].load(Ordering::Relaxed))
    }

    pub(crate) fn write_to(&self, statistics: &mut LoaderStatistics) {
        statistics.idle = self.get(Stage::Idle);
        statistics.find = self.get(Stage::Find);
        statistics.rows = self.get(Stage::Rows);
        statistics.decode = self.get(Stage::Decode);
        statistics.augment = self.get(Stage::Augment);
        statistics.preprocess = self.get(Stage::Preprocess);
    }
}

/// One thread's stop watch: the time since the last lap goes to the stage that ends now.
#[derive(Debug)]
pub(crate) struct Watch<'t> {
    times: &'t Times,
    last: Instant,
}

impl<'t> Watch<'t> {
    pub(crate) fn start(times: &'t Times) -> Self {
        Self { times, last: Instant::now() }
    }

    pub(crate) fn lap(&mut self, stage: Stage) {
        let now = Instant::now();
        let spent = now.duration_since(self.last).as_nanos() as u64;
        self.times.0[stage as usize].fetch_add(spent, Ordering::Relaxed);
        self.last = now;
    }
}
