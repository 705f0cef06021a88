//! Batches of a live buffer: samples are claimed one by one, decoded by worker threads, and
//! delivered in the order of their claims.
//!
//! Claims are made by the thread that takes batches, so that none is made that nobody asks for.
//! A claimed sample is a value ([`Claimed`]) that travels with its slot: whatever ends the loader
//! in order gives back what was not delivered, and a kill loses what was in flight, at most
//! `batches_ahead` batches.

mod worker;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use rdt_buffer::Buffer;
use rdt_buffer::live::{Claimed, Follower, FollowerOptions};

use crate::bad_sample::{BadSample, OnBadSample};
use crate::batch::{Batch, BatchShape, Delivery, Slot, Store};
use crate::batch_order::Position;
use crate::condition::{Conditioner, Conditioning};
use crate::error::ConsumerError;
use crate::loader::check_shape;
use crate::slot::SlotFiller;
use crate::source::SampleSource;
use crate::statistics::{LoaderStatistics, Times};
use worker::{Filled, Job, Worker};

/// Between two looks for samples while there are none: doubled from the one to the other, and longer
/// where a look itself takes long.
const SHORTEST_LOOK: Duration = Duration::from_millis(1);
const LONGEST_LOOK: Duration = Duration::from_millis(16);
/// Between two looks at the stop flag.
const STOP_LOOK: Duration = Duration::from_millis(100);
/// Between two looks whether a producer is there.
const PRODUCER_LOOK: Duration = Duration::from_millis(200);
/// Unreadable samples in a row after which it is given up.
const MOST_BAD: u64 = 64;

/// How to follow a live buffer.
#[derive(Debug, Clone, PartialEq)]
pub struct FollowLoaderOptions {
    /// Seed of the wordings drawn and of conditioning, and of the choice of chunks.
    pub seed: u64,
    /// Samples of a batch.
    pub batch: u32,
    /// Number of the first batch: a run that goes on counts on.
    pub first_batch: u64,
    /// Samples to deliver; endless if none. The last batch may be smaller.
    pub samples: Option<u64>,
    /// Whether to wait on where everything is consumed and no producer works on the buffer.
    pub wait: bool,
    /// Chunks that a batch is mixed from.
    pub window: usize,
    /// Sizes that the samples must have.
    pub shape: BatchShape,
    /// In which form images are delivered.
    pub delivery: Delivery,
    /// What is masked and disturbed.
    pub conditioning: Conditioning,
    /// Threads that fill batches; at least one is started.
    pub workers: usize,
    /// Batches that are built ahead of the one delivered; at least one.
    pub batches_ahead: usize,
    /// What happens to a sample that cannot be read.
    pub on_bad_sample: OnBadSample,
}

/// A batch whose samples are claimed and not yet delivered. Dropped, they are given back.
#[derive(Debug)]
pub struct FollowBatch {
    batch: Batch,
    claimed: Vec<Claimed>,
}

/// Why no batch came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As many samples as were asked for are delivered.
    Enough,
    /// Everything is consumed, and no producer works on the buffer.
    Consumed,
    /// Somebody asked to stop.
    Stopped,
}

/// Batches of a live buffer.
#[derive(Debug)]
pub struct FollowLoader {
    // Threads, jobs and batches go before the follower: they hold claimed samples.
    jobs: Option<Sender<Job>>,
    taken_jobs: Receiver<Job>,
    messages: Receiver<Filled>,
    building: VecDeque<Building>,
    /// Slots whose sample could not be read, waiting for another: batch, place in it, slot.
    empty: Vec<(u64, usize, Slot)>,
    workers: Vec<JoinHandle<()>>,
    stop_workers: Arc<AtomicBool>,
    follower: Follower,
    options: FollowLoaderOptions,
    dataset_names: Vec<String>,
    pool: (Sender<Store>, Receiver<Store>),
    /// Batches delivered: the number of the one in front.
    delivered: u64,
    /// Samples claimed and not given up.
    claimed: u64,
    bad: Vec<BadSample>,
    bad_in_a_row: u64,
    /// Between two looks for samples.
    look: Duration,
    /// There were no samples; the next look is not before this.
    next_look: Instant,
    is_over: bool,
    end: Option<End>,
    times: Arc<Times>,
    statistics: LoaderStatistics,
}

/// A batch that workers are filling.
#[derive(Debug)]
struct Building {
    store: Store,
    slots: Vec<Option<(Slot, Claimed)>>,
    /// Slots handed out, or waiting for another sample.
    missing: usize,
}

impl FollowBatch {
    /// The batch.
    pub fn batch(&self) -> &Batch {
        &self.batch
    }

    /// Its samples, in order.
    pub fn samples(&self) -> &[Claimed] {
        &self.claimed
    }

    /// Marks its samples as delivered, for good.
    pub fn deliver(self) -> Batch {
        let (batch, undelivered) = self.split();
        undelivered.deliver();
        batch
    }

    /// The batch, and what is to be said of its samples once they were used.
    pub fn split(self) -> (Batch, Undelivered) {
        (self.batch, Undelivered(self.claimed))
    }
}

/// The samples of a batch that is being used. Dropped, they are given back.
#[derive(Debug)]
pub struct Undelivered(Vec<Claimed>);

impl Undelivered {
    /// Marks them as delivered, for good.
    pub fn deliver(self) {
        self.0.into_iter().for_each(Claimed::deliver);
    }
}

impl FollowLoader {
    /// Registers as a consumer of the buffer at `dir` and starts the threads.
    ///
    /// # Errors
    /// It is no buffer, is being filled or cannot be written; its data sets have other sizes than
    /// the configured ones; conditioning out of range; threads that cannot be started.
    pub fn new(dir: &Path, options: FollowLoaderOptions) -> Result<Self, ConsumerError> {
        if options.batch == 0 {
            return Err(ConsumerError::EmptyBatch);
        }
        if let Delivery::Tokens { .. } = options.delivery {
            // Of chunks that are replaced, nobody makes them.
            return Err(ConsumerError::NoImageEmbeddings);
        }
        let source = SampleSource::from(Arc::new(Buffer::open(dir)?));
        check_shape(&source, options.shape)?;
        let conditioner = Conditioner::new(&options.conditioning, &source)?;
        let follower = Follower::new(dir, FollowerOptions { window: options.window, seed: options.seed })?;
        let (jobs, taken_jobs) = unbounded();
        let (sent_messages, messages) = unbounded();
        let mut loader = Self {
            dataset_names: source.datasets().into_iter().map(|dataset| dataset.name.clone()).collect(),
            jobs: Some(jobs),
            taken_jobs,
            messages,
            building: VecDeque::new(),
            empty: Vec::new(),
            workers: Vec::new(),
            stop_workers: Arc::new(AtomicBool::new(false)),
            follower,
            options,
            pool: unbounded(),
            delivered: 0,
            claimed: 0,
            bad: Vec::new(),
            bad_in_a_row: 0,
            look: SHORTEST_LOOK,
            next_look: Instant::now(),
            is_over: false,
            end: None,
            times: Arc::new(Times::default()),
            statistics: LoaderStatistics::default(),
        };
        for number in 0..loader.options.workers.max(1) {
            let worker = Worker {
                filler: SlotFiller::new(
                    loader.options.shape,
                    loader.options.delivery,
                    conditioner.clone(),
                    None,
                )?,
                seed: loader.options.seed,
                jobs: loader.taken_jobs.clone(),
                messages: sent_messages.clone(),
                stop: Arc::clone(&loader.stop_workers),
                times: Arc::clone(&loader.times),
            };
            let thread = std::thread::Builder::new().name(format!("follow-{number}"));
            loader.workers.push(thread.spawn(move || worker.run()).map_err(ConsumerError::Spawn)?);
        }
        Ok(loader)
    }

    /// The next batch; none at the end, which [`FollowLoader::end`] explains. Waits where there
    /// are no samples, asleep for most of the time, until `stop` is set.
    ///
    /// # Errors
    /// A sample cannot be read, where that is to fail; a folder cannot be listed.
    pub fn next_batch(&mut self, stop: &AtomicBool) -> Result<Option<FollowBatch>, ConsumerError> {
        let asked = Instant::now();
        let mut next_producer_look = asked;
        loop {
            if stop.load(Ordering::Relaxed) {
                self.end = Some(End::Stopped);
                return Ok(None);
            }
            let is_starved = self.hand_out()?;
            while let Ok(filled) = self.messages.try_recv() {
                self.file(filled)?;
            }
            if self.front_is_whole() {
                self.statistics.waited += asked.elapsed();
                self.follower.count_waited(asked.elapsed());
                return Ok(self.deliver());
            }
            let Some(front) = self.building.front() else {
                if self.is_over || self.is_enough() {
                    self.end = Some(if self.is_enough() { End::Enough } else { End::Consumed });
                    return Ok(None);
                }
                self.starve(&mut next_producer_look)?;
                continue;
            };
            let waits_for_samples = !self.empty.is_empty() || front.slots.len() < self.options.batch as usize;
            if is_starved && waits_for_samples {
                self.starve(&mut next_producer_look)?;
            } else {
                // The timeout is for the stop flag.
                match self.messages.recv_timeout(STOP_LOOK) {
                    Ok(filled) => self.file(filled)?,
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return Err(ConsumerError::WorkerLost),
                }
            }
        }
    }

    /// Why there was no batch; none before.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Names of the data sets that [`SampleRecord::dataset`](crate::SampleRecord) counts in.
    pub fn dataset_names(&self) -> &[String] {
        &self.dataset_names
    }

    /// Samples that could not be read since the last call, and chunks, which have a sample's form.
    pub fn take_bad_samples(&mut self) -> Vec<BadSample> {
        for (chunk, error) in self.follower.take_unreadable() {
            self.bad.push(BadSample::of_chunk(chunk, &error));
        }
        std::mem::take(&mut self.bad)
    }

    /// Where the time went so far.
    pub fn statistics(&self) -> LoaderStatistics {
        let mut statistics = self.statistics;
        self.times.write_to(&mut statistics);
        statistics
    }

    fn is_enough(&self) -> bool {
        self.options.samples.is_some_and(|samples| self.claimed >= samples)
    }

    /// Claims samples until enough batches are being built; says whether there were too few.
    fn hand_out(&mut self) -> Result<bool, ConsumerError> {
        let batch = self.options.batch as usize;
        loop {
            let has_room = !self.empty.is_empty()
                || self.building.back().is_some_and(|last| last.slots.len() < batch)
                || self.building.len() < self.options.batches_ahead.max(1);
            if self.is_enough() || !has_room {
                return Ok(false);
            }
            if Instant::now() < self.next_look {
                return Ok(true);
            }
            let Some(claimed) = self.follower.claim()? else {
                self.next_look = Instant::now() + self.look.max(self.follower.search_pause());
                self.look = (self.look * 2).min(LONGEST_LOOK);
                return Ok(true);
            };
            self.look = SHORTEST_LOOK;
            self.claimed += 1;
            self.is_over = false;
            let (serial, index, slot) = match self.empty.pop() {
                Some(place) => place,
                None => self.lend(),
            };
            let job = Job { serial, index, slot, claimed };
            if self.jobs.as_ref().is_none_or(|jobs| jobs.send(job).is_err()) {
                return Err(ConsumerError::WorkerLost);
            }
        }
    }

    /// The next free slot: of the last batch being built, or of a new one.
    fn lend(&mut self) -> (u64, usize, Slot) {
        let batch = self.options.batch as usize;
        if self.building.back().is_none_or(|last| last.slots.len() == batch) {
            let store = self
                .pool
                .1
                .try_recv()
                .unwrap_or_else(|_| Store::new(batch, &self.options.shape, self.options.delivery));
            self.building.push_back(Building { store, slots: Vec::new(), missing: 0 });
        }
        let serial = self.delivered + self.building.len() as u64 - 1;
        let Some(last) = self.building.back_mut() else { unreachable!("one was just added") };
        let index = last.slots.len();
        last.slots.push(None);
        last.missing += 1;
        (serial, index, last.store.lend_one(index))
    }

    /// Puts what a worker finished in its place.
    fn file(&mut self, filled: Filled) -> Result<(), ConsumerError> {
        let Filled::Slot { job, outcome } = filled else { return Err(ConsumerError::WorkerLost) };
        let Job { serial, index, slot, claimed } = *job;
        match outcome {
            Ok(()) => {
                self.bad_in_a_row = 0;
                let building = serial.checked_sub(self.delivered).map(|place| place as usize);
                let Some(building) = building.and_then(|place| self.building.get_mut(place)) else {
                    return Err(ConsumerError::WorkerLost);
                };
                building.slots[index] = Some((slot, claimed));
                building.missing -= 1;
            }
            Err(error) => {
                let bad = BadSample::of_claimed(&claimed, &error);
                if self.options.on_bad_sample == OnBadSample::Fail {
                    return Err(ConsumerError::BadSample(bad));
                }
                self.bad_in_a_row += 1;
                if self.bad_in_a_row >= MOST_BAD {
                    let tries = self.bad_in_a_row as u32;
                    return Err(ConsumerError::AllBad { first: bad, tries });
                }
                self.bad.push(bad);
                self.statistics.replaced += 1;
                claimed.give_up();
                self.claimed -= 1;
                self.empty.push((serial, index, slot));
            }
        }
        Ok(())
    }

    /// Whether the batch in front can be delivered: full, or as full as it gets.
    fn front_is_whole(&mut self) -> bool {
        let is_last = self.is_over || self.is_enough();
        if is_last && self.is_over && !self.empty.is_empty() {
            self.close_gaps();
        }
        let batch = self.options.batch as usize;
        self.building.front().is_some_and(|front| {
            front.missing == 0 && (front.slots.len() == batch || (is_last && !front.slots.is_empty()))
        })
    }

    /// Nothing more will come: slots that wait for a sample get the last one of their batch.
    fn close_gaps(&mut self) {
        for (serial, index, slot) in std::mem::take(&mut self.empty) {
            let Some(building) = self.building.get_mut((serial - self.delivered) as usize) else { continue };
            // Others at the end may be gaps or in work: they are settled first.
            match building.slots.pop() {
                Some(None) if building.slots.len() == index => building.missing -= 1,
                Some(Some((_, claimed))) if building.slots.len() > index => {
                    // Decoded anew into the gap: slots are memory of the batch and cannot move.
                    let job = Job { serial, index, slot, claimed };
                    if let Some(jobs) = &self.jobs {
                        // Workers that are gone have said so by a message.
                        let _ = jobs.send(job);
                    }
                }
                last => {
                    building.slots.extend(last);
                    self.empty.push((serial, index, slot));
                }
            }
        }
        while self.building.back().is_some_and(|last| last.slots.is_empty() && last.missing == 0) {
            self.building.pop_back();
        }
        while self.building.front().is_some_and(|front| front.slots.is_empty() && front.missing == 0) {
            self.building.pop_front();
            self.delivered += 1;
        }
    }

    fn deliver(&mut self) -> Option<FollowBatch> {
        let Building { store, slots, .. } = self.building.pop_front()?;
        let (slots, claimed): (Vec<Slot>, Vec<Claimed>) = slots.into_iter().flatten().unzip();
        let position = Position { epoch: 0, batch: self.options.first_batch + self.delivered };
        self.delivered += 1;
        let next = Position { batch: position.batch + 1, ..position };
        let pool = self.pool.0.clone();
        let (shape, delivery) = (self.options.shape, self.options.delivery);
        let batch = Batch::assemble((position, next), shape, delivery, store, slots, pool);
        self.statistics.batches += 1;
        self.statistics.samples += batch.len() as u64;
        self.statistics.bytes += batch.bytes();
        Some(FollowBatch { batch, claimed })
    }

    /// Sleeps a little, or finds out that nothing will come.
    fn starve(&mut self, next_producer_look: &mut Instant) -> Result<(), ConsumerError> {
        let left = self.next_look.saturating_duration_since(Instant::now());
        if let Ok(filled) = self.messages.recv_timeout(left.min(STOP_LOOK)) {
            return self.file(filled);
        }
        let now = Instant::now();
        if !self.options.wait && now >= *next_producer_look {
            *next_producer_look = now + PRODUCER_LOOK;
            self.is_over = self.follower.is_over()?;
        }
        Ok(())
    }
}

impl Drop for FollowLoader {
    fn drop(&mut self) {
        self.stop_workers.store(true, Ordering::Relaxed);
        self.jobs = None;
        for worker in self.workers.drain(..) {
            // A worker that panicked has said so on standard error already.
            let _ = worker.join();
        }
        // What was handed out and not taken is given back.
        while self.taken_jobs.try_recv().is_ok() {}
        while self.messages.try_recv().is_ok() {}
    }
}

#[cfg(test)]
mod tests;
