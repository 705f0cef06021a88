//! The threads of a loader: take a cell and a ticket, load the ticket's sample into the cell's slot.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender};
use rdt_buffer::Samples;

use crate::error::ConsumerError;
use crate::feed::{Ticket, TicketPlace};
use crate::loader::building::Cell;
use crate::slot::SlotFiller;
use crate::statistics::{Stage, Times, Watch};

/// A sample to load, and where to.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) cell: Cell,
    pub(super) ticket: Ticket,
}

/// What a worker says.
#[derive(Debug)]
pub(super) enum Message {
    /// A job comes back.
    Done { job: Box<Job>, outcome: Result<(), ConsumerError> },
    /// The worker panicked; its job is lost.
    Lost,
}

/// One thread's share.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) source: Arc<dyn Samples>,
    pub(super) filler: SlotFiller,
    pub(super) jobs: Receiver<Job>,
    pub(super) messages: Sender<Message>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) times: Arc<Times>,
}

impl Worker {
    /// Does jobs until there are no more or the loader is dropped.
    pub(super) fn run(mut self) {
        let _guard = LostOnPanic(self.messages.clone());
        let times = Arc::clone(&self.times);
        let mut watch = Watch::start(&times);
        while let Ok(mut job) = self.jobs.recv() {
            watch.lap(Stage::Idle);
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            if let Some(soon) = job.ticket.soon.take() {
                self.source.will_need(soon.sample);
                if let Some(samples) = soon.samples {
                    self.source.will_need_all(samples);
                }
            }
            let outcome = self.fill(&mut job, &mut watch);
            if self.messages.send(Message::Done { job: Box::new(job), outcome }).is_err() {
                return;
            }
        }
    }

    fn fill(&mut self, job: &mut Job, watch: &mut Watch<'_>) -> Result<(), ConsumerError> {
        let Job { cell, ticket } = job;
        let (slot, filler) = (&mut cell.slot, &mut self.filler);
        slot.record.sample = ticket.place.id();
        match &ticket.place {
            TicketPlace::Claimed(claimed) => filler.fill(&claimed.view()?, ticket.visit, slot, watch),
            TicketPlace::Ordered(id) => {
                let mut filled = Ok(());
                self.source.read(*id, &mut |view| filled = filler.fill(view, ticket.visit, slot, watch))?;
                filled
            }
        }
    }
}

/// Tells the loader when a worker panics, so that it does not wait for the job.
struct LostOnPanic(Sender<Message>);

impl Drop for LostOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Without a loader nobody needs to know.
            let _ = self.0.send(Message::Lost);
        }
    }
}
