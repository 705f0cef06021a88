//! The threads of a follow loader: take a slot and a claimed sample, decode the one into the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender};
use rdt_buffer::live::Claimed;

use crate::batch::Slot;
use crate::draw::Visit;
use crate::error::ConsumerError;
use crate::slot::SlotFiller;
use crate::statistics::{Stage, Times, Watch};

/// A slot to fill.
#[derive(Debug)]
pub(super) struct Job {
    /// Number of the batch.
    pub(super) serial: u64,
    /// Slot in the batch.
    pub(super) index: usize,
    pub(super) slot: Slot,
    pub(super) claimed: Claimed,
}

/// What a worker says.
#[derive(Debug)]
pub(super) enum Filled {
    /// A slot comes back.
    Slot { job: Box<Job>, outcome: Result<(), ConsumerError> },
    /// The worker panicked; its slot is lost.
    Lost,
}

/// One thread's share.
pub(super) struct Worker {
    pub(super) filler: SlotFiller,
    pub(super) seed: u64,
    pub(super) jobs: Receiver<Job>,
    pub(super) messages: Sender<Filled>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) times: Arc<Times>,
}

impl Worker {
    /// Fills slots until there are no more or the loader is dropped.
    pub(super) fn run(mut self) {
        let _guard = LostOnPanic(self.messages.clone());
        let times = Arc::clone(&self.times);
        let mut watch = Watch::start(&times);
        while let Ok(mut job) = self.jobs.recv() {
            watch.lap(Stage::Idle);
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let outcome = self.fill(&mut job, &mut watch);
            if self.messages.send(Filled::Slot { job: Box::new(job), outcome }).is_err() {
                return;
            }
        }
    }

    fn fill(&mut self, job: &mut Job, watch: &mut Watch<'_>) -> Result<(), ConsumerError> {
        let Job { slot, claimed, .. } = job;
        slot.record.sample = claimed.id();
        // A sample of a generation is visited once, so its place is what draws depend on.
        let visit = Visit { seed: self.seed, epoch: claimed.generation().generation, at: claimed.id().get() };
        self.filler.fill(&claimed.view()?, visit, slot, watch)
    }
}

/// Tells the loader of a panic.
struct LostOnPanic(Sender<Filled>);

impl Drop for LostOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = self.0.send(Filled::Lost);
        }
    }
}
