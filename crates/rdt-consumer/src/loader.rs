//! Batches of a buffer, built ahead by worker threads and delivered in order.
//!
//! The loader lends each worker one *slot* of a batch at a time: a worker decodes straight into
//! the memory that is delivered. Which samples a batch holds is settled before any thread runs,
//! so timing shows in nothing but time. A bounded number of batches is being built at any time;
//! delivered batches give their memory back when they are dropped.

mod worker;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, unbounded};
use rdt_buffer::SampleId;
use rdt_buffer::embedding::ImageEmbeddings;
use rdt_schema::CameraSlot;

use crate::bad_sample::{BadSample, OnBadSample};
use crate::batch::{Batch, BatchShape, Delivery, Slot, Store};
use crate::batch_order::{BatchOrder, LastBatch, Position};
use crate::condition::{Conditioner, Conditioning};
use crate::error::ConsumerError;
use crate::holdout::Selection;
use crate::order::{Order, OrderKind};
use crate::prepared;
use crate::slot::SlotFiller;
use crate::source::SampleSource;
use crate::statistics::{LoaderStatistics, Times};
use worker::{Job, Message, Worker};

/// How to load a buffer.
#[derive(Debug, Clone, PartialEq)]
pub struct LoaderOptions {
    /// Seed of the order, of the wordings drawn and of conditioning.
    pub seed: u64,
    /// Samples of a batch over all ranks.
    pub global_batch: u32,
    /// Ranks.
    pub world: u32,
    /// This rank.
    pub rank: u32,
    /// What happens to an epoch's incomplete batch.
    pub last: LastBatch,
    /// How an epoch goes through the samples.
    pub order: OrderKind,
    /// The samples that are delivered; all of them, if none.
    pub selection: Option<Arc<Selection>>,
    /// The first batch to deliver.
    pub start: Position,
    /// The first batch not to deliver any more; endless over epochs if none.
    pub end: Option<Position>,
    /// Sizes that the samples must have.
    pub shape: BatchShape,
    /// In which form images are delivered.
    pub delivery: Delivery,
    /// What is masked and disturbed; by default nothing, which is what evaluation takes.
    pub conditioning: Conditioning,
    /// Threads that fill batches; at least one is started.
    pub workers: usize,
    /// Batches that are built ahead of the one delivered; at least one.
    pub batches_ahead: usize,
    /// What happens to a sample that cannot be read.
    pub on_bad_sample: OnBadSample,
}

/// Batches of a buffer, in order.
///
/// Iterating stops at the options' end, if there is one, or after an error. Dropping the loader
/// stops and joins its threads; batches already delivered stay valid.
#[derive(Debug)]
pub struct Loader {
    order: BatchOrder,
    options: LoaderOptions,
    dataset_names: Vec<String>,
    jobs: Option<Sender<Job>>,
    messages: Receiver<Message>,
    stop: Arc<AtomicBool>,
    workers: Vec<JoinHandle<()>>,
    /// Where dropped batches come back to.
    pool: (Sender<Store>, Receiver<Store>),
    building: VecDeque<Building>,
    /// The first batch that is not being built yet.
    ahead: Position,
    /// Number of the batch in front of `building`, counted from the loader's start.
    delivered: u64,
    ended: bool,
    bad: BTreeMap<SampleId, BadSample>,
    times: Arc<Times>,
    statistics: LoaderStatistics,
}

/// A batch that workers are filling.
#[derive(Debug)]
struct Building {
    position: Position,
    next: Position,
    store: Store,
    slots: Vec<Option<Slot>>,
    missing: usize,
    error: Option<ConsumerError>,
}

impl Loader {
    /// Starts the threads and the first batches of a buffer, or of another place with samples.
    ///
    /// # Errors
    /// No samples, options out of range (see [`BatchOrder::new`]), data sets of other
    /// sizes than the configured ones, conditioning out of range or without the means it
    /// needs, or threads that cannot be started.
    pub fn new(samples: impl Into<SampleSource>, options: LoaderOptions) -> Result<Self, ConsumerError> {
        let source = samples.into();
        check_shape(&source, options.shape)?;
        let side = match options.delivery {
            Delivery::Pixel { size } => Some(size),
            Delivery::Frames | Delivery::Stored | Delivery::Tokens { .. } => None,
        };
        let embeddings = stored_images(&source, &options)?;
        prepared::check(source.frame_size(), side, &options.conditioning)?;
        let order = match &options.selection {
            Some(selection) => Order::of(Arc::clone(selection), options.seed)?,
            None => Order::new(source.sample_count(), options.seed)?,
        };
        let order = order.of_kind(options.order);
        let order = BatchOrder::new(order, options.global_batch, options.world, options.rank, options.last)?;
        let start = order.normalised(options.start)?;
        let conditioner = Conditioner::new(&options.conditioning, &source)?;
        let (jobs, taken_jobs) = unbounded();
        let (sent_messages, messages) = unbounded();
        let stop = Arc::new(AtomicBool::new(false));
        let times = Arc::new(Times::default());
        let mut loader = Self {
            dataset_names: source.datasets().iter().map(|dataset| dataset.name.clone()).collect(),
            jobs: Some(jobs),
            messages,
            stop: Arc::clone(&stop),
            workers: Vec::new(),
            pool: unbounded(),
            building: VecDeque::new(),
            ahead: start,
            delivered: 0,
            ended: false,
            bad: BTreeMap::new(),
            times: Arc::clone(&times),
            statistics: LoaderStatistics::default(),
            order,
            options,
        };
        for number in 0..loader.options.workers.max(1) {
            let worker = Worker {
                source: source.clone(),
                order: loader.order.order().clone(),
                filler: SlotFiller::new(
                    loader.options.shape,
                    loader.options.delivery,
                    conditioner.clone(),
                    embeddings.clone(),
                )?,
                on_bad_sample: loader.options.on_bad_sample,
                jobs: taken_jobs.clone(),
                messages: sent_messages.clone(),
                stop: Arc::clone(&stop),
                times: Arc::clone(&times),
            };
            let thread = std::thread::Builder::new().name(format!("load-{number}"));
            loader.workers.push(thread.spawn(move || worker.run()).map_err(ConsumerError::Spawn)?);
        }
        loader.build_ahead();
        Ok(loader)
    }

    /// The batch that comes next: what a checkpoint saves before any batch was taken.
    pub fn position(&self) -> Position {
        self.building.front().map_or(self.ahead, |building| building.position)
    }

    /// Batches of an epoch, the same for all ranks.
    pub fn batches_per_epoch(&self) -> u64 {
        self.order.batches_per_epoch()
    }

    /// Names of the data sets that [`SampleRecord::dataset`](crate::batch::SampleRecord) counts in.
    pub fn dataset_names(&self) -> &[String] {
        &self.dataset_names
    }

    /// The samples that could not be read so far, each once, by id.
    pub fn bad_samples(&self) -> impl Iterator<Item = &BadSample> {
        self.bad.values()
    }

    /// Where the time went so far.
    pub fn statistics(&self) -> LoaderStatistics {
        let mut statistics = self.statistics;
        self.times.write_to(&mut statistics);
        statistics
    }

    /// Hands out work until enough batches are being built.
    fn build_ahead(&mut self) {
        let Some(jobs) = &self.jobs else { return };
        while self.building.len() < self.options.batches_ahead.max(1) {
            if self.options.end.is_some_and(|end| self.ahead >= end) {
                return;
            }
            let position = self.ahead;
            let positions = self.order.positions(position.batch);
            let local = (positions.end - positions.start) as usize;
            let mut store = self.pool.1.try_recv().unwrap_or_else(|_| {
                Store::new(self.order.max_local_batch(), &self.options.shape, self.options.delivery)
            });
            let serial = self.delivered + self.building.len() as u64;
            for (index, (slot, at)) in store.lend(local).into_iter().zip(positions).enumerate() {
                let job = Job {
                    serial,
                    index,
                    epoch: position.epoch,
                    at,
                    announce: self.announced(position, index),
                    slot,
                };
                if jobs.send(job).is_err() {
                    // All workers are gone: the message of the first one says so.
                    break;
                }
            }
            let next = self.order.next(position);
            let slots = (0..local).map(|_| None).collect();
            self.building.push_back(Building { position, next, store, slots, missing: local, error: None });
            self.ahead = next;
        }
    }

    /// The place in the order that a worker announces to the kernel while it fills slot `index`
    /// of the batch at `position`: the same slot as many batches later as are built ahead.
    fn announced(&self, position: Position, index: usize) -> Option<(u64, u64)> {
        // What is announced are frames, and stored embeddings stand for them.
        if matches!(self.options.delivery, Delivery::Tokens { .. }) {
            return None;
        }
        let later = (0..self.options.batches_ahead.max(1)).fold(position, |at, _| self.order.next(at));
        if self.options.end.is_some_and(|end| later >= end) {
            return None;
        }
        self.order.positions(later.batch).nth(index).map(|at| (later.epoch, at))
    }

    /// Waits until the batch in front is whole.
    fn finish_front(&mut self) -> Result<(), ConsumerError> {
        while self.building.front().is_some_and(|front| front.missing > 0) {
            let message = self.messages.recv().map_err(|_| ConsumerError::WorkerLost)?;
            self.file(message)?;
        }
        Ok(())
    }

    /// Puts what a worker finished in its place.
    fn file(&mut self, message: Message) -> Result<(), ConsumerError> {
        let Message::Filled { serial, index, slot, outcome, bad } = message else {
            return Err(ConsumerError::WorkerLost);
        };
        self.statistics.replaced += u64::from(outcome.is_ok() && !bad.is_empty());
        for bad in bad {
            self.bad.entry(bad.sample).or_insert(bad);
        }
        let building = serial.checked_sub(self.delivered).map(|place| place as usize);
        let Some(building) = building.and_then(|place| self.building.get_mut(place)) else {
            return Err(ConsumerError::WorkerLost);
        };
        building.slots[index] = Some(*slot);
        building.missing -= 1;
        if let Err(error) = outcome {
            building.error.get_or_insert(error);
        }
        Ok(())
    }

    fn deliver(&mut self) -> Option<Result<Batch, ConsumerError>> {
        let asked = Instant::now();
        while let Ok(message) = self.messages.try_recv() {
            if let Err(error) = self.file(message) {
                return Some(Err(error));
            }
        }
        self.statistics.ready +=
            self.building.iter().take_while(|building| building.missing == 0).count() as u64;
        self.statistics.queued += self.jobs.as_ref().map_or(0, |jobs| jobs.len() as u64);
        if let Err(error) = self.finish_front() {
            return Some(Err(error));
        }
        self.statistics.waited += asked.elapsed();
        let Building { position, next, store, slots, error, .. } = self.building.pop_front()?;
        self.delivered += 1;
        if let Some(error) = error {
            return Some(Err(error));
        }
        let slots = slots.into_iter().flatten().collect();
        let pool = self.pool.0.clone();
        let (shape, delivery) = (self.options.shape, self.options.delivery);
        let batch = Batch::assemble((position, next), shape, delivery, store, slots, pool);
        self.statistics.batches += 1;
        self.statistics.samples += batch.len() as u64;
        self.statistics.bytes += batch.bytes();
        Some(Ok(batch))
    }
}

impl Iterator for Loader {
    type Item = Result<Batch, ConsumerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        // Memory that came back since the last call is put to work before any waiting.
        self.build_ahead();
        let delivered = self.deliver();
        if matches!(delivered, Some(Ok(_))) {
            self.build_ahead();
        } else {
            self.ended = true;
        }
        delivered
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.jobs = None;
        for worker in self.workers.drain(..) {
            // A worker that panicked has said so on standard error already.
            let _ = worker.join();
        }
    }
}

/// The stored embeddings of images, where these are delivered.
fn stored_images(
    source: &SampleSource,
    options: &LoaderOptions,
) -> Result<Option<Arc<ImageEmbeddings>>, ConsumerError> {
    let Delivery::Tokens { tokens, width, element } = options.delivery else { return Ok(None) };
    if options.conditioning.changes_images() {
        return Err(ConsumerError::EmbeddedImagesAltered);
    }
    let embeddings = source.image_embeddings()?.ok_or(ConsumerError::NoImageEmbeddings)?;
    let stored = embeddings.header();
    let (found, expected) = ((embeddings.tokens(), stored.width, stored.element), (tokens, width, element));
    if found != expected {
        return Err(ConsumerError::ImageEmbeddings {
            found: format!("{} tokens of {} {}", found.0, found.1, found.2.name()),
            expected: format!("{} of {} {}", expected.0, expected.1, expected.2.name()),
        });
    }
    Ok(Some(Arc::new(embeddings)))
}

/// Whether all data sets have the sizes that batches are laid out for.
pub(crate) fn check_shape(source: &SampleSource, shape: BatchShape) -> Result<(), ConsumerError> {
    if shape.cameras == 0 || shape.cameras > CameraSlot::COUNT {
        return Err(ConsumerError::Cameras { found: shape.cameras, most: CameraSlot::COUNT });
    }
    for dataset in source.datasets() {
        let window = &dataset.window;
        for (what, found, expected) in [
            ("the number of action rows", usize::from(window.action_rows), shape.action_rows),
            ("the number of frames a camera", usize::from(window.image_history), shape.history),
        ] {
            if found != expected {
                return Err(ConsumerError::Shape { dataset: dataset.name.clone(), what, found, expected });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
