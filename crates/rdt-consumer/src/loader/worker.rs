//! The threads of a loader: take a slot, fill it, give it back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender};
use rdt_buffer::SampleId;

use crate::bad_sample::{BadSample, OnBadSample};
use crate::batch::Slot;
use crate::draw::Visit;
use crate::error::ConsumerError;
use crate::order::{EpochOrder, Order};
use crate::slot::SlotFiller;
use crate::source::SampleSource;
use crate::statistics::{Stage, Times, Watch};

/// Replacements that are tried before the loader gives up: a buffer that bad is not trained on.
const MOST_TRIES: u32 = 64;

/// A slot to fill.
#[derive(Debug)]
pub(super) struct Job {
    /// Number of the batch, counted from the loader's start.
    pub(super) serial: u64,
    /// Slot in the batch.
    pub(super) index: usize,
    pub(super) epoch: u64,
    /// Position in the epoch's order.
    pub(super) at: u64,
    /// Epoch and position of a sample to announce to the kernel.
    pub(super) announce: Option<(u64, u64)>,
    pub(super) slot: Slot,
}

/// What a worker says.
#[derive(Debug)]
pub(super) enum Message {
    /// A slot comes back.
    Filled {
        serial: u64,
        index: usize,
        slot: Box<Slot>,
        outcome: Result<(), ConsumerError>,
        bad: Vec<BadSample>,
    },
    /// The worker panicked; its slot is lost.
    Lost,
}

/// One thread's share.
pub(super) struct Worker {
    pub(super) source: SampleSource,
    pub(super) order: Order,
    pub(super) filler: SlotFiller,
    pub(super) on_bad_sample: OnBadSample,
    pub(super) jobs: Receiver<Job>,
    pub(super) messages: Sender<Message>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) times: Arc<Times>,
}

impl Worker {
    /// Fills slots until there are no more or the loader is dropped.
    pub(super) fn run(mut self) {
        let _guard = LostOnPanic(self.messages.clone());
        let times = Arc::clone(&self.times);
        let mut watch = Watch::start(&times);
        let mut epoch = (0, self.order.epoch(0));
        while let Ok(mut job) = self.jobs.recv() {
            watch.lap(Stage::Idle);
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            if let Some((epoch, at)) = job.announce {
                let order = self.order.epoch(epoch);
                self.source.will_need(order.sample(at));
                if let Some(samples) = order.soon(at) {
                    self.source.will_need_all(samples);
                }
            }
            if epoch.0 != job.epoch {
                epoch = (job.epoch, self.order.epoch(job.epoch));
            }
            let mut bad = Vec::new();
            let outcome = self.fill(&epoch.1, &mut job, &mut bad, &mut watch);
            let Job { serial, index, slot, .. } = job;
            let message = Message::Filled { serial, index, slot: Box::new(slot), outcome, bad };
            if self.messages.send(message).is_err() {
                return;
            }
        }
    }

    /// Fills a slot with the sample of its position, or with its replacement.
    fn fill(
        &mut self,
        order: &EpochOrder,
        job: &mut Job,
        bad: &mut Vec<BadSample>,
        watch: &mut Watch<'_>,
    ) -> Result<(), ConsumerError> {
        let visit = Visit { seed: self.order.seed(), epoch: job.epoch, at: job.at };
        for attempt in 0..=MOST_TRIES {
            let sample = order.sample(replacement(job.at, attempt, self.order.samples()));
            let Err(error) = self.fill_with(sample, visit, &mut job.slot, watch) else { return Ok(()) };
            let named = self.source.bad_sample(sample, &error);
            if self.on_bad_sample == OnBadSample::Fail {
                return Err(ConsumerError::BadSample(named));
            }
            bad.push(named);
        }
        let first = bad[0].clone();
        Err(ConsumerError::AllBad { first, tries: MOST_TRIES })
    }

    fn fill_with(
        &mut self,
        sample: SampleId,
        visit: Visit,
        slot: &mut Slot,
        watch: &mut Watch<'_>,
    ) -> Result<(), ConsumerError> {
        slot.record.sample = sample;
        let filler = &mut self.filler;
        self.source.read(sample, &mut |view| filler.fill(view, visit, slot, watch))
    }
}

/// The position whose sample is delivered at position `at` if the first `attempt` choices cannot
/// be read: half an epoch later, so that no batch holds a sample twice, and on from there.
fn replacement(at: u64, attempt: u32, samples: u64) -> u64 {
    match attempt {
        0 => at,
        _ => (at + samples / 2 + u64::from(attempt - 1)) % samples,
    }
}

/// Tells the loader when a worker panics, so that it does not wait for the slot.
struct LostOnPanic(Sender<Message>);

impl Drop for LostOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Without a loader nobody needs to know.
            let _ = self.0.send(Message::Lost);
        }
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}
