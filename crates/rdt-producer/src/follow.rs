//! Following: a live buffer is refilled as it is consumed, endlessly.
//!
//! [`Follow`] owns the threads. Each takes a lease on a chunk that was consumed, a portion of the
//! stream, writes one into the other and publishes it. Whoever runs it calls [`Follow::supervise`]
//! about once a second: threads that died or hang are named and replaced there.

mod dispenser;
mod draws;
mod looks;
mod mark;
mod refill;
mod set_up;
mod stream;
mod worker_thread;

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdt_buffer::ProducerLock;
use rdt_buffer::live::{LiveWriter, Shard};
use rdt_buffer::storage::{Disk, Storage};
use rdt_schema::{DatasetSchema, Omission, Setting};
use serde::Serialize;

use crate::error::ProducerError;
use crate::event::{Event, StopFlag};
use crate::options::{Options, Sampling};
use crate::plan::Plan;
use crate::scan::scan;
use crate::sources::Sources;
use crate::spread::{DEFAULT_RUN_LENGTH, Spread};
use dispenser::Dispenser;
use looks::Looks;
use mark::Mark;
use stream::Dealing;
use worker_thread::WorkerThread;

/// How steps are spread where nothing is said: over enough chunks that none is of two episodes.
const DEFAULT_SPREAD: Spread =
    Spread { chunks: NonZeroU32::new(16).unwrap(), run_length: DEFAULT_RUN_LENGTH };
/// Deaths in a row without a chunk published, after which it is given up.
const MOST_DEATHS: u32 = 16;

/// Everything that a producer of a live buffer is told.
#[derive(Debug, Clone)]
pub struct FollowOptions {
    /// Data sets, configuration, chunk size, codec, spread, seed, workers. `num_chunks` is the size of the
    /// buffer; without it the configuration's, or that of the buffer that is there.
    pub options: Options,
    /// Whether chunks that are missing are written, too.
    pub fill: bool,
    /// The share of a chunk's samples that must be consumed before it is refilled, above 0, at
    /// most 1.
    pub refill_at: f64,
    /// Which part of the chunks is this producer's.
    pub shard: Shard,
    /// How long a worker may work on one frame before it counts as stalled.
    pub stall_after: Duration,
}

impl FollowOptions {
    /// The defaults around these options, steps spread over 16 chunks unless the options say
    /// otherwise.
    pub fn new(mut options: Options) -> Self {
        options.spread.get_or_insert(DEFAULT_SPREAD);
        Self {
            options,
            fill: false,
            refill_at: 1.0,
            shard: Shard::WHOLE,
            stall_after: Duration::from_secs(60),
        }
    }

    /// Chunks of the buffer at `dir`: as many as are given, as it has, or as the configuration says.
    ///
    /// # Errors
    /// The manifest that is there cannot be read.
    pub fn chunk_count(&self, dir: &Path) -> Result<u64, ProducerError> {
        let there = || -> Result<Option<u64>, ProducerError> {
            Ok(rdt_buffer::Manifest::read_if_any(dir)?.map(|there| there.chunk_count()))
        };
        Ok(match self.options.num_chunks {
            Some(chunks) => chunks.into(),
            None => there()?.unwrap_or_else(|| self.options.config.dataset.buf_num_chunks.into()),
        })
    }

    /// Refuses values out of range.
    ///
    /// # Errors
    /// The first such value.
    pub fn check(&self) -> Result<(), ProducerError> {
        let wrong = |argument: &dyn std::fmt::Display, found: String, expected: &str| {
            Err(ProducerError::Argument { argument: argument.to_string(), found, expected: expected.into() })
        };
        if !(self.refill_at > 0.0 && self.refill_at <= 1.0) {
            return wrong(&Setting::REFILL_AT, self.refill_at.to_string(), "above 0, at most 1");
        }
        if self.options.sampling == Sampling::Random {
            let expected = format!("all with {}: the stream draws episodes by weight", Setting::FOLLOW);
            return wrong(&Setting::SAMPLING, "random".into(), &expected);
        }
        if self.shard.count() > u32::from(u16::MAX) {
            return wrong(&Setting::SHARD, self.shard.to_string(), "at most 65535 shards");
        }
        let weights = self.options.datasets.iter().map(|spec| spec.weight);
        if weights.clone().any(|weight| !weight.is_finite() || weight < 0.0) || weights.sum::<f64>() <= 0.0 {
            return wrong(
                &"the weights of the data sets",
                "not usable".into(),
                "numbers from 0, one above 0",
            );
        }
        Ok(())
    }
}

/// What a producer has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Figures {
    /// Samples published, those carried over not counted.
    pub produced: u64,
    /// Samples carried into a new generation.
    pub carried: u64,
    /// Chunks published.
    pub published: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Milliseconds that all workers together waited for a chunk to be consumed.
    pub waited_ms: u64,
    /// Milliseconds that all workers together waited for the device to make files durable.
    pub sync_ms: u64,
    /// Workers replaced because they died or stalled.
    pub replaced_workers: u64,
    /// Files and episodes left out because something is wrong with them.
    pub skipped: u64,
    /// Whether producing pauses for want of room.
    pub is_paused: bool,
}

/// What a producer had done when it was stopped.
#[derive(Debug, Clone, Serialize)]
pub struct FollowReport {
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
    /// Wall-clock seconds.
    pub seconds: f64,
    /// Files and episodes left out because something is wrong with them.
    pub skipped: Vec<Omission>,
}

/// A running producer of a live buffer.
#[derive(Debug)]
pub struct Follow {
    shared: Arc<Shared>,
    threads: Mutex<Threads>,
    started: Instant,
}

#[derive(Debug)]
struct Threads {
    running: Vec<WorkerThread>,
    next_number: usize,
    deaths: u32,
    published_at_death: u64,
}

/// What all threads see.
pub(crate) struct Shared {
    sources: Sources,
    plan: Arc<Plan>,
    schemas: Vec<DatasetSchema>,
    writer: Arc<LiveWriter>,
    dispenser: Arc<Dispenser>,
    looks: Looks,
    options: FollowOptions,
    counters: Counters,
    skipped: Mutex<Vec<Omission>>,
    failure: Mutex<Option<ProducerError>>,
    stop: StopFlag,
    watch: Box<dyn Fn(Event<'_>) + Send + Sync>,
    /// Tests make workers hang or die here.
    #[cfg(test)]
    probe: Mutex<Option<Arc<Probe>>>,
}

/// Gets the name of each episode before it is read.
#[cfg(test)]
type Probe = dyn Fn(&str) + Send + Sync;

/// [`Figures`] as they are counted.
#[derive(Debug, Default)]
struct Counters {
    produced: AtomicU64,
    carried: AtomicU64,
    published: AtomicU64,
    bytes: AtomicU64,
    waited_us: AtomicU64,
    sync_us: AtomicU64,
    replaced_workers: AtomicU64,
    is_paused: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Follow {
    /// Scans the sources, makes the buffer at `dir` a live one, and starts the workers. What
    /// happens is told to `watch`, from any thread.
    ///
    /// # Errors
    /// Wrong options or cards; another producer works on these chunks; the buffer is missing or
    /// does not fit; a data set without a usable episode; a file cannot be written.
    pub fn start(
        options: FollowOptions,
        dir: &Path,
        stop: StopFlag,
        watch: impl Fn(Event<'_>) + Send + Sync + 'static,
    ) -> Result<Self, ProducerError> {
        Self::start_on(Arc::new(Disk), options, dir, stop, watch)
    }

    /// As [`Follow::start`], writing through `storage`.
    pub(crate) fn start_on(
        storage: Arc<dyn Storage>,
        options: FollowOptions,
        dir: &Path,
        stop: StopFlag,
        watch: impl Fn(Event<'_>) + Send + Sync + 'static,
    ) -> Result<Self, ProducerError> {
        let started = Instant::now();
        options.check()?;
        if !options.fill && rdt_buffer::Manifest::read_if_any(dir)?.is_none() {
            return Err(ProducerError::NothingToFollow { dir: dir.to_owned() });
        }
        let mut sources = Sources::open(&options.options)?;
        let lock = ProducerLock::acquire_shard(dir, options.shard)?;
        set_up::check_buffer(dir, &options, &sources)?;
        for source in &mut sources.list {
            source.prepare(None, &stop)?;
        }
        // As a size of the buffer it is no limit to what the sources hold.
        let unlimited = Options { num_chunks: None, ..options.options.clone() };
        let plan = scan(&sources, &unlimited, &[], &stop, &|event| watch(event))?;
        let manifest = LiveWriter::set_up(&lock, &*storage, |former| {
            set_up::decide(former, &options, &sources, &plan, dir)
        })?;
        let from_generation = manifest.live.as_ref().map_or(1, |live| live.from_generation);
        let writer = LiveWriter::start(lock, storage, manifest)?;
        watch(Event::Recovered(writer.recovered()));
        let published = writer.published();
        let marks: Vec<Mark> = published
            .iter()
            .filter(|header| header.generation >= from_generation)
            .map(|header| Mark::from_bytes(header.plan_digest))
            .collect();
        let config = &options.options.config.dataset;
        let dealing = Dealing {
            chunk_size: writer.manifest().chunk_size,
            spread: options.options.spread.unwrap_or(DEFAULT_SPREAD),
            most_steps: config.epsd_len_thresh_high,
            shard: options.shard.index(),
            shards: options.shard.count(),
            seed: options.options.seed,
        };
        let weights: Vec<f64> = options.options.datasets.iter().map(|spec| spec.weight).collect();
        watch(Event::Following {
            chunks: writer.chunks().len() as u64,
            published: published.len() as u64,
            pass: plan.samples(),
        });
        let plan = Arc::new(plan);
        let workers = options.options.workers.get();
        let shared = Arc::new(Shared {
            schemas: sources.schemas(),
            skipped: Mutex::new(plan.skipped.clone()),
            dispenser: Dispenser::new(Arc::clone(&plan), &weights, dealing, &marks),
            sources,
            looks: Looks::new(),
            plan,
            writer,
            options,
            counters: Counters::default(),
            failure: Mutex::new(None),
            stop,
            watch: Box::new(watch),
            #[cfg(test)]
            probe: Mutex::new(None),
        });
        let threads = Threads { running: Vec::new(), next_number: 0, deaths: 0, published_at_death: 0 };
        let follow = Self { shared, threads: Mutex::new(threads), started };
        let mut threads = lock_whole(&follow.threads);
        for _ in 0..workers {
            threads.start(&follow.shared)?;
        }
        drop(threads);
        Ok(follow)
    }

    /// Replaces workers that died or hang, and removes replaced chunks that nobody has samples of
    /// any more. To be called about once a second.
    ///
    /// # Errors
    /// A worker failed in a way that concerns all, or workers die again and again; the producer is
    /// to be finished then.
    pub fn supervise(&self) -> Result<(), ProducerError> {
        if let Some(failure) = lock_whole(&self.shared.failure).take() {
            return Err(failure);
        }
        if self.shared.stop.is_set() {
            return Ok(());
        }
        self.shared.writer.settle()?;
        lock_whole(&self.threads).replace_lost(&self.shared)
    }

    /// What was done so far.
    pub fn figures(&self) -> Figures {
        let counters = &self.shared.counters;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            produced: get(&counters.produced),
            carried: get(&counters.carried),
            published: get(&counters.published),
            bytes: get(&counters.bytes),
            waited_ms: get(&counters.waited_us) / 1000,
            sync_ms: get(&counters.sync_us) / 1000,
            replaced_workers: get(&counters.replaced_workers),
            skipped: lock_whole(&self.shared.skipped).len() as u64,
            is_paused: counters.is_paused.load(Ordering::Relaxed),
        }
    }

    /// The workers: number, and what each is at (empty while it waits).
    pub fn workers(&self) -> Vec<(usize, String)> {
        lock_whole(&self.threads).running.iter().map(WorkerThread::describe).collect()
    }

    /// Stops the workers and waits for them, `patience` at most: one that hangs is left behind.
    pub fn finish(self, patience: Duration) -> FollowReport {
        self.shared.stop.stop();
        let began = Instant::now();
        let mut threads = lock_whole(&self.threads);
        while threads.running.iter().any(|thread| !thread.is_over()) && began.elapsed() < patience {
            std::thread::sleep(Duration::from_millis(2));
        }
        threads.running.clear();
        drop(threads);
        let skipped = lock_whole(&self.shared.skipped).clone();
        FollowReport { figures: self.figures(), seconds: self.started.elapsed().as_secs_f64(), skipped }
    }
}

impl Threads {
    fn start(&mut self, shared: &Arc<Shared>) -> Result<(), ProducerError> {
        self.running.push(WorkerThread::start(self.next_number, Arc::clone(shared))?);
        self.next_number += 1;
        Ok(())
    }

    fn replace_lost(&mut self, shared: &Arc<Shared>) -> Result<(), ProducerError> {
        for at in 0..self.running.len() {
            let Some(reason) = self.running[at].lost(shared.options.stall_after) else { continue };
            let lost = self.running.remove(at);
            (shared.watch)(Event::WorkerReplaced { worker: lost.number(), reason: &reason });
            shared.counters.replaced_workers.fetch_add(1, Ordering::Relaxed);
            let published = shared.counters.published.load(Ordering::Relaxed);
            self.deaths = if published > self.published_at_death { 1 } else { self.deaths + 1 };
            self.published_at_death = published;
            if self.deaths > MOST_DEATHS {
                return Err(ProducerError::WorkersDie { times: self.deaths, reason });
            }
            self.start(shared)?;
            // The list has moved; the others are looked at the next time.
            return Ok(());
        }
        Ok(())
    }
}

/// A panic elsewhere leaves these values whole, so a poisoned lock is taken as it is.
fn lock_whole<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
