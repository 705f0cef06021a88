//! One worker of a live producer: its thread, and what tells whether it is well.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::ProducerError;
use crate::event::Event;
use crate::follow::refill::{Outcome, Refiller};
use crate::follow::{Shared, lock_whole};

/// Between two looks for a chunk that was consumed: doubled from the one to the other, and longer
/// where a look itself takes long ([`Looks`](crate::follow::looks::Looks)).
const SHORTEST_LOOK: Duration = Duration::from_millis(1);
const LONGEST_LOOK: Duration = Duration::from_millis(16);
/// Between two attempts while there is no room.
const FULL_LOOK: Duration = Duration::from_millis(500);

/// A running worker.
#[derive(Debug)]
pub(crate) struct WorkerThread {
    number: usize,
    pulse: Arc<Pulse>,
    thread: Option<JoinHandle<()>>,
}

/// What a worker says of itself while it works.
#[derive(Debug)]
pub(crate) struct Pulse {
    began: Instant,
    /// Milliseconds after `began` of the last sign of life.
    last_ms: AtomicU64,
    /// What it is at; empty while it waits.
    at: Mutex<String>,
    /// Somebody else does its work; it ends at the next occasion.
    is_replaced: AtomicBool,
}

impl Pulse {
    /// A sign of life; says whether the worker is to stop.
    pub(crate) fn beat(&self, shared: &Shared) -> bool {
        self.last_ms.store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
        self.is_replaced.load(Ordering::Relaxed) || shared.stop.is_set()
    }

    /// A sign of life, with what the worker is at.
    pub(crate) fn is_at(&self, what: String) {
        *lock_whole(&self.at) = what;
        self.last_ms.store(self.began.elapsed().as_millis() as u64, Ordering::Relaxed);
    }
}

impl WorkerThread {
    pub(crate) fn start(number: usize, shared: Arc<Shared>) -> Result<Self, ProducerError> {
        let pulse = Arc::new(Pulse {
            began: Instant::now(),
            last_ms: AtomicU64::new(0),
            at: Mutex::default(),
            is_replaced: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&pulse);
        let thread = std::thread::Builder::new()
            .name(format!("refill-{number}"))
            .spawn(move || run(&shared, &of_thread))
            .map_err(|_| ProducerError::WorkerDied)?;
        Ok(Self { number, pulse, thread: Some(thread) })
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    pub(crate) fn describe(&self) -> (usize, String) {
        (self.number, lock_whole(&self.pulse.at).clone())
    }

    pub(crate) fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Why this worker must be replaced, if it must. It will do nothing more then.
    pub(crate) fn lost(&mut self, stall_after: Duration) -> Option<String> {
        let at = lock_whole(&self.pulse.at).clone();
        if self.is_over() {
            let message = match self.thread.take().map(JoinHandle::join) {
                Some(Err(panic)) => match panic.downcast::<String>() {
                    Ok(text) => *text,
                    Err(panic) => panic.downcast_ref::<&str>().map_or("no reason", |text| text).to_owned(),
                },
                _ => "it ended".to_owned(),
            };
            return Some(format!("it died ({message}) at {}", if at.is_empty() { "nothing" } else { &at }));
        }
        let last = Duration::from_millis(self.pulse.last_ms.load(Ordering::Relaxed));
        let silent = self.pulse.began.elapsed().saturating_sub(last);
        if at.is_empty() || silent < stall_after {
            return None;
        }
        self.pulse.is_replaced.store(true, Ordering::Relaxed);
        Some(format!("it has hung for {:.0} s at {at}", silent.as_secs_f64()))
    }
}

fn run(shared: &Arc<Shared>, pulse: &Pulse) {
    let mut refiller = Refiller::new(shared);
    let mut look = SHORTEST_LOOK;
    while !pulse.beat(shared) {
        let (fill, refill_at) = (shared.options.fill, shared.options.refill_at);
        let Some(lease) = shared.looks.look(|| shared.writer.lease(fill, refill_at)) else {
            pulse.is_at(String::new());
            std::thread::sleep(look);
            shared.counters.waited_us.fetch_add(look.as_micros() as u64, Ordering::Relaxed);
            look = (look * 2).min(LONGEST_LOOK);
            continue;
        };
        look = SHORTEST_LOOK;
        pulse.is_at(format!("chunk {}", lease.chunk()));
        match refiller.refill(lease, pulse) {
            Outcome::Published => {
                if shared.counters.is_paused.swap(false, Ordering::Relaxed) {
                    (shared.watch)(Event::Resumed);
                }
            }
            Outcome::Nothing => {}
            Outcome::Full(reason) => {
                if !shared.counters.is_paused.swap(true, Ordering::Relaxed) {
                    (shared.watch)(Event::Paused { reason: &reason });
                }
                let until = Instant::now() + FULL_LOOK;
                while Instant::now() < until && !pulse.beat(shared) {
                    pulse.is_at(String::new());
                    std::thread::sleep(LONGEST_LOOK);
                }
            }
            Outcome::Failed(error) => {
                lock_whole(&shared.failure).get_or_insert(error);
                return;
            }
        }
    }
    pulse.is_at(String::new());
}
