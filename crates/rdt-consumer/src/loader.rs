//! Batches, built ahead by worker threads and delivered in order.
//!
//! A loader takes tickets from its `Feed`, lends each to a worker thread together
//! with a *slot* of a batch, into which the worker decodes straight, and delivers the batches in the
//! order in which the feed cut them. It knows no source and no order. Which samples a batch holds is
//! settled before any thread runs, so timing shows in nothing but time. A bounded number of batches is
//! being built at any time; delivered batches give their memory back when they are dropped.

mod building;
mod worker;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use rdt_buffer::embedding::ImageEmbeddings;
use rdt_buffer::{Buffer, SampleId, Samples};
use rdt_schema::CameraSlot;

use crate::bad_sample::{BadSample, OnBadSample};
use crate::batch::{Batch, BatchShape, Delivery};
use crate::batch_order::BatchPosition;
use crate::disturb::{Disturbance, Disturber};
use crate::error::ConsumerError;
use crate::feed::live::{LiveFeed, LiveOptions};
use crate::feed::ordered::{OrderedFeed, OrderedOptions};
use crate::feed::{End, Feed, Instead, Next, Ticket, Tried};
use crate::prepared;
use crate::slot::SlotFiller;
use crate::statistics::{LoaderStatistics, Times};
use building::{Cell, Line};
use worker::{Job, Message, Worker};

/// Between two looks at the stop flag.
const STOP_LOOK: Duration = Duration::from_millis(100);

/// How samples become batches, wherever they come from.
#[derive(Debug, Clone, PartialEq)]
pub struct LoaderOptions {
    /// What a batch is laid out for.
    pub layout: Layout,
    /// Who fills batches.
    pub workers: Workers,
    /// What is masked and disturbed; by default nothing, which is what evaluation takes.
    pub disturbance: Disturbance,
    /// What happens to a sample that cannot be read.
    pub on_bad_sample: OnBadSample,
}

impl LoaderOptions {
    /// Whether the samples of `source` can become such batches, and what disturbs them then.
    ///
    /// # Errors
    /// Data sets of other sizes than the layout's, images that are not stored so, disturbance out of
    /// range or without the means it needs.
    fn fit(&self, source: &dyn Samples) -> Result<Option<Disturber>, ConsumerError> {
        let Layout { shape, delivery } = self.layout;
        check_shape(source, shape)?;
        let side = match delivery {
            Delivery::Pixel { size } => Some(size),
            Delivery::Frames | Delivery::Stored | Delivery::Embeddings { .. } => None,
        };
        prepared::check(source.frame_size(), side, &self.disturbance)?;
        Disturber::new(&self.disturbance, source)
    }

    /// Whether the samples of `source` can become such batches, without loading one.
    ///
    /// # Errors
    /// They cannot.
    pub fn check(&self, source: &dyn Samples) -> Result<(), ConsumerError> {
        self.fit(source).map(drop)
    }
}

/// What a batch is laid out for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Sizes that the samples must have.
    pub shape: BatchShape,
    /// In which form images are delivered.
    pub delivery: Delivery,
}

/// Who fills batches, and how far ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Workers {
    /// Threads; at least one is started.
    pub threads: usize,
    /// Batches that are built ahead of the one delivered; at least one.
    pub batches_ahead: usize,
}

/// Batches, one after another.
///
/// They end at the feed's end, or after an error. Dropping the loader stops and joins its threads;
/// batches already delivered stay valid, and claimed samples that were not delivered are given back.
#[derive(Debug)]
pub struct Loader {
    // Threads, jobs and batches go before the feed: what they hold may be claimed from it.
    jobs: Option<Sender<Job>>,
    waiting_jobs: Receiver<Job>,
    messages: Receiver<Message>,
    threads: Vec<JoinHandle<()>>,
    stop_threads: Arc<AtomicBool>,
    line: Line,
    /// Places whose sample could not be read: how many were tried there, and the first of them.
    tried: HashMap<(u64, usize), (u32, BadSample)>,
    feed: Box<dyn Feed>,
    source: Arc<dyn Samples>,
    dataset_names: Vec<String>,
    on_bad_sample: OnBadSample,
    bad: Vec<BadSample>,
    named: HashSet<(SampleId, Option<u64>)>,
    bad_in_a_row: u32,
    end: Option<End>,
    is_over: bool,
    times: Arc<Times>,
    statistics: LoaderStatistics,
}

impl Loader {
    /// Batches of an order over `source`. Starts the threads and the first batches.
    ///
    /// # Errors
    /// No samples, options out of range (see [`BatchOrder::new`](crate::BatchOrder::new)), data sets
    /// of other sizes than the layout's, disturbance out of range or without the means it needs, or
    /// threads that cannot be started.
    pub fn ordered(
        source: Arc<dyn Samples>,
        batches: OrderedOptions,
        options: LoaderOptions,
    ) -> Result<Self, ConsumerError> {
        // What is announced are frames, and stored embeddings stand for them.
        let announces = !matches!(options.layout.delivery, Delivery::Embeddings { .. });
        let ahead = announces.then_some(options.workers.batches_ahead.max(1) as u64);
        let order = batches.batches(source.sample_count())?;
        let feed = OrderedFeed::new(order, (batches.start, batches.end), ahead)?;
        let mut loader = Self::new(source, Box::new(feed), options)?;
        loader.hand_out()?;
        Ok(loader)
    }

    /// Batches of the live buffer at `dir`. Registers as one of its consumers and starts the threads.
    ///
    /// # Errors
    /// It is no buffer, is being filled or cannot be written; else as of [`Loader::ordered`].
    pub fn live(dir: &Path, batches: LiveOptions, options: LoaderOptions) -> Result<Self, ConsumerError> {
        let source = Arc::new(Buffer::open(dir)?);
        // Chunks that nobody has embedded yet are left for later.
        let stored_images = matches!(options.layout.delivery, Delivery::Embeddings { .. });
        Self::new(source, Box::new(LiveFeed::open(dir, batches, stored_images)?), options)
    }

    fn new(
        source: Arc<dyn Samples>,
        feed: Box<dyn Feed>,
        options: LoaderOptions,
    ) -> Result<Self, ConsumerError> {
        let disturber = options.fit(source.as_ref())?;
        let LoaderOptions { layout, workers, disturbance, on_bad_sample } = options;
        let embeddings = stored_images(source.as_ref(), layout.delivery, &disturbance)?;
        let (jobs, waiting_jobs) = unbounded();
        let (sent_messages, messages) = unbounded();
        let mut loader = Self {
            line: Line::new(layout, workers.batches_ahead.max(1), feed.max_batch()),
            dataset_names: source.datasets().iter().map(|dataset| dataset.name.clone()).collect(),
            jobs: Some(jobs),
            waiting_jobs,
            messages,
            threads: Vec::new(),
            stop_threads: Arc::default(),
            tried: HashMap::new(),
            feed,
            source,
            on_bad_sample,
            bad: Vec::new(),
            named: HashSet::new(),
            bad_in_a_row: 0,
            end: None,
            is_over: false,
            times: Arc::default(),
            statistics: LoaderStatistics::default(),
        };
        for number in 0..workers.threads.max(1) {
            let worker = Worker {
                source: loader.source.clone(),
                filler: SlotFiller::new(layout, disturber.clone(), embeddings.clone())?,
                jobs: loader.waiting_jobs.clone(),
                messages: sent_messages.clone(),
                stop: Arc::clone(&loader.stop_threads),
                times: Arc::clone(&loader.times),
            };
            let thread = std::thread::Builder::new().name(format!("load-{number}"));
            loader.threads.push(thread.spawn(move || worker.run()).map_err(ConsumerError::Spawn)?);
        }
        Ok(loader)
    }

    /// The next batch; none at the end, which [`Loader::end`] explains. Waits where there are no
    /// samples, asleep for most of the time, until `stop` is set.
    ///
    /// # Errors
    /// A sample cannot be read, where that is to fail, or none of those that stand in for it; a
    /// thread was lost; a live buffer cannot be looked at.
    pub fn next(&mut self, stop: &AtomicBool) -> Result<Option<Batch>, ConsumerError> {
        if self.is_over {
            return Ok(None);
        }
        let mut batch = self.wait_for_batch(stop);
        if matches!(batch, Ok(Some(_))) && self.feed.runs_ahead() {
            // What was in the batch's place is put to work while the batch is used.
            batch = self.hand_out().and(batch);
        }
        self.is_over = match &batch {
            Ok(Some(_)) => false,
            Ok(None) => self.end != Some(End::Stopped),
            Err(_) => true,
        };
        batch
    }

    /// Why there was no batch; none before.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Samples that could not be read since the last call, each once, by id; chunks of a live buffer
    /// too, in a sample's form.
    pub fn take_bad_samples(&mut self) -> Vec<BadSample> {
        self.bad.extend(self.feed.take_unreadable());
        self.bad.sort_by_key(|bad| bad.sample);
        std::mem::take(&mut self.bad)
    }

    /// The batch that comes next: what a checkpoint saves before any batch was taken.
    pub fn position(&self) -> BatchPosition {
        self.line.position().unwrap_or_else(|| self.feed.position())
    }

    /// Names of the data sets that [`SampleRecord::dataset`](crate::batch::SampleRecord) counts in.
    pub fn dataset_names(&self) -> &[String] {
        &self.dataset_names
    }

    /// Where the time went so far.
    pub fn statistics(&self) -> LoaderStatistics {
        let mut statistics = LoaderStatistics { held_out: self.feed.held_out(), ..self.statistics };
        self.times.write_to(&mut statistics);
        statistics
    }

    fn wait_for_batch(&mut self, stop: &AtomicBool) -> Result<Option<Batch>, ConsumerError> {
        let asked = Instant::now();
        self.file_all()?;
        self.statistics.ready += self.line.whole_batches();
        self.statistics.queued += self.waiting_jobs.len() as u64;
        loop {
            if stop.load(Ordering::Relaxed) {
                self.end = Some(End::Stopped);
                return Ok(None);
            }
            // Memory that came back since the last call is put to work before any waiting.
            let pause = self.hand_out()?;
            self.file_all()?;
            if let Some(batch) = self.line.deliver() {
                let batch = batch?;
                self.statistics.waited += asked.elapsed();
                self.feed.count_waited(asked.elapsed());
                self.statistics.batches += 1;
                self.statistics.samples += batch.len() as u64;
                self.statistics.bytes += batch.bytes();
                return Ok(Some(batch));
            }
            if self.end.is_some() && self.line.is_empty() {
                return Ok(None);
            }
            // Not longer than to the next look at the stop flag.
            match self.messages.recv_timeout(pause.unwrap_or(STOP_LOOK).min(STOP_LOOK)) {
                Ok(message) => self.file(message)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(ConsumerError::WorkerLost),
            }
        }
    }

    /// Hands out work until enough batches are being built; where there is too little of it, says how
    /// long to wait for more.
    fn hand_out(&mut self) -> Result<Option<Duration>, ConsumerError> {
        while self.line.has_room() {
            let position = self.feed.position();
            match self.feed.next()? {
                Next::Take(ticket) => {
                    self.end = None;
                    let cell = self.line.lend(position);
                    self.send(cell, ticket)?;
                }
                Next::CutBatch => self.line.cut(position, self.feed.position()),
                Next::Later(pause) => return Ok(Some(pause)),
                Next::End(end) => {
                    self.end = Some(end);
                    for (cell, ticket) in self.line.close_gaps() {
                        self.send(cell, ticket)?;
                    }
                    break;
                }
            }
        }
        Ok(None)
    }

    fn send(&mut self, cell: Cell, ticket: Ticket) -> Result<(), ConsumerError> {
        let Some(jobs) = &self.jobs else { return Err(ConsumerError::WorkerLost) };
        jobs.send(Job { cell, ticket }).map_err(|_| ConsumerError::WorkerLost)
    }

    fn file_all(&mut self) -> Result<(), ConsumerError> {
        while let Ok(message) = self.messages.try_recv() {
            self.file(message)?;
        }
        Ok(())
    }

    /// Puts what a worker finished in its place, or another sample to work there.
    fn file(&mut self, message: Message) -> Result<(), ConsumerError> {
        let Message::Done { job, outcome } = message else { return Err(ConsumerError::WorkerLost) };
        let Job { cell, ticket } = *job;
        match outcome {
            Ok(()) => {
                self.bad_in_a_row = 0;
                let replaced = !self.tried.is_empty() && self.tried.remove(&cell.place()).is_some();
                self.statistics.replaced += u64::from(replaced);
                self.line.put(cell, ticket)
            }
            Err(error) => self.replace(cell, ticket, &error),
        }
    }

    /// Names a sample that cannot be read, and loads another in its place.
    fn replace(&mut self, cell: Cell, ticket: Ticket, error: &ConsumerError) -> Result<(), ConsumerError> {
        let bad = BadSample::of(&ticket.place, self.source.as_ref(), error);
        if self.on_bad_sample == OnBadSample::Fail {
            return self.line.fail(cell, ticket, ConsumerError::BadSample(Box::new(bad)));
        }
        if self.named.insert((bad.sample, bad.generation)) {
            self.bad.push(bad.clone());
        }
        self.bad_in_a_row += 1;
        let (in_place, first) = self.tried.entry(cell.place()).or_insert((0, bad));
        *in_place += 1;
        let (tried, first) = (Tried { in_place: *in_place, in_a_row: self.bad_in_a_row }, first.clone());
        match self.feed.instead(ticket, tried)? {
            Instead::Another(ticket) => self.send(cell, ticket),
            Instead::Later => {
                self.line.leave_gap(cell);
                Ok(())
            }
            Instead::GiveUp { tries } => {
                self.line.give_up(cell, ConsumerError::AllBad { first: Box::new(first), tries })
            }
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.stop_threads.store(true, Ordering::Relaxed);
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A worker that panicked has said so on standard error already.
            let _ = thread.join();
        }
        // What was handed out and not taken is given back.
        while self.waiting_jobs.try_recv().is_ok() {}
        while self.messages.try_recv().is_ok() {}
    }
}

/// The stored embeddings of images, where these are delivered.
fn stored_images(
    source: &dyn Samples,
    delivery: Delivery,
    disturbance: &Disturbance,
) -> Result<Option<Arc<ImageEmbeddings>>, ConsumerError> {
    let Delivery::Embeddings { tokens, width, element } = delivery else { return Ok(None) };
    if disturbance.changes_images() {
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
fn check_shape(source: &dyn Samples, shape: BatchShape) -> Result<(), ConsumerError> {
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
mod tests;
