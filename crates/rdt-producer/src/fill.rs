//! The fill: plan, lock, compare with what is published, write what is missing, complete.
//!
//! Each chunk is written by one worker thread; chunk numbers are handed out in order. An episode
//! that turns out to be bad while it is written leaves the plan; chunks behind it that were
//! published before are withdrawn if their content moves, and the fill goes on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, unbounded};
use rdt_buffer::storage::{Disk, Storage};
use rdt_buffer::{Buffer, BufferState, BufferWriter, ChunkId, Manifest, ProducerLock};
use rdt_schema::Omission;

use crate::error::ProducerError;
use crate::event::{Event, StopFlag};
use crate::options::Options;
use crate::plan::Plan;
use crate::report::FillReport;
use crate::resume;
use crate::scan::{no_episodes, scan};
use crate::sources::Sources;
use crate::worker::{FIRST_GENERATION, Fault, Worker};

/// Fills the buffer at `dir`, or continues to.
///
/// Everything that happens is told to `watch`. When this returns an error, what was published
/// before stays, and the same call continues from there.
///
/// # Errors
/// Wrong options or cards; another producer works on the buffer; it was begun with other settings
/// or other sources; a data set without a usable episode; the device is full or broken;
/// [`ProducerError::Interrupted`] once `stop` is set.
pub fn fill(
    options: &Options,
    dir: &Path,
    stop: &StopFlag,
    watch: &(dyn Fn(Event<'_>) + Sync),
) -> Result<FillReport, ProducerError> {
    fill_on(Arc::new(Disk), options, dir, stop, watch)
}

/// As [`fill`], writing through `storage`.
pub(crate) fn fill_on(
    storage: Arc<dyn Storage>,
    options: &Options,
    dir: &Path,
    stop: &StopFlag,
    watch: &(dyn Fn(Event<'_>) + Sync),
) -> Result<FillReport, ProducerError> {
    let started = Instant::now();
    let mut sources = Sources::open(options)?;
    let lock = ProducerLock::acquire(dir)?;
    let former = Manifest::read_if_any(dir)?;
    let mut healed = 0;
    if let Some(former) = &former {
        if former.state == BufferState::Live {
            return Err(ProducerError::IsLive { dir: dir.to_owned() });
        }
        resume::check_settings(dir, former, options, &sources)?;
        if former.state == BufferState::Complete {
            resume::check_files(dir, former, &sources)?;
            healed = heal(&lock, &*storage, dir)?;
            if healed > 0 {
                watch(Event::BitsHealed { chunks: healed });
            }
        }
        if let Some(report) = already_complete(dir, former, healed, started)? {
            former.skipped.iter().for_each(|omission| watch(Event::Skipped(omission)));
            former.filtered.iter().for_each(|omission| watch(Event::Filtered(omission)));
            return Ok(report);
        }
    }
    for (index, source) in sources.list.iter_mut().enumerate() {
        let known = former.as_ref().and_then(|former| former.datasets.get(index));
        source.prepare(known.and_then(|dataset| dataset.extremes.as_ref()), stop)?;
    }
    let mut found = former.as_ref().map(|former| former.found_while_writing.clone()).unwrap_or_default();
    found.iter().for_each(|omission| watch(Event::Skipped(omission)));
    let mut plan = scan(&sources, options, &found, stop, watch)?;
    if let Some(former) = &former {
        resume::check_sources(dir, former, &sources, &plan)?;
    }
    let began = former.map_or_else(now_unix_ms, |former| former.started_unix_ms);
    let manifest = resume::manifest_of(options, &sources, &plan, found.clone(), began);
    let mut writer = BufferWriter::start(lock, storage, manifest)?;
    watch(Event::Recovered(writer.recovered()));

    let mut tally = Tally { healed_bits: healed, ..Tally::default() };
    let found_before = found.len();
    loop {
        let bad = Round { options, sources: &sources, plan: &plan, writer: &writer, stop, watch }
            .write_missing(&mut tally)?;
        if bad.is_empty() {
            break;
        }
        let episodes: Vec<usize> = bad.iter().map(|(episode, _)| *episode).collect();
        bad.iter().for_each(|(_, omission)| watch(Event::Skipped(omission)));
        found.extend(bad.iter().map(|(_, omission)| omission.clone()));
        plan.skipped.extend(bad.into_iter().map(|(_, omission)| omission));
        plan.remove(&episodes);
        plan.settle(&sources, stop)?;
        for (source, dataset) in sources.list.iter().zip(plan.datasets()) {
            if dataset.episodes == 0 {
                return Err(no_episodes(&plan, source));
            }
        }
        // The new plan goes first: a start after a kill here then finds that the chunks do not
        // fit it, and withdraws them.
        writer.write_manifest(resume::manifest_of(options, &sources, &plan, found.clone(), began))?;
    }
    if found.len() > found_before {
        // The statistics still count the episodes that left. What they are over the others is
        // known only by another pass.
        let nothing = |_: Event<'_>| {};
        plan = scan(&sources, options, &found, stop, &nothing)?;
        if plan.digest() != writer.manifest().plan_digest {
            resume::check_sources(dir, writer.manifest(), &sources, &plan)?;
        }
    }
    let mut manifest = resume::manifest_of(options, &sources, &plan, found, began);
    manifest.state = BufferState::Complete;
    writer.write_manifest(manifest)?;
    Ok(report(writer.manifest(), &tally, started, false))
}

/// What a run has written, and what there was before.
#[derive(Debug, Default)]
struct Tally {
    healed_bits: u64,
    written_chunks: u64,
    written_samples: u64,
    bytes: u64,
    sync_ns: u64,
}

/// One attempt to write everything that a plan has and the buffer lacks.
struct Round<'a> {
    options: &'a Options,
    sources: &'a Sources,
    plan: &'a Plan,
    writer: &'a BufferWriter,
    stop: &'a StopFlag,
    watch: &'a (dyn Fn(Event<'_>) + Sync),
}

/// What became of one chunk.
enum Done {
    Published { id: ChunkId, samples: u32, bytes: u64, sync_ns: u64 },
    Failed { id: ChunkId, fault: Fault },
    Buffer(rdt_buffer::BufferError),
}

impl Round<'_> {
    /// Returns the episodes that turned out to be bad, with their place in the plan.
    fn write_missing(&self, tally: &mut Tally) -> Result<Vec<(usize, Omission)>, ProducerError> {
        let todo = self.compare(tally)?;
        if todo.is_empty() {
            return Ok(Vec::new());
        }
        let workers = self.options.workers.get().min(todo.len());
        let (send_id, receive_id) = unbounded();
        for id in todo {
            // The receiver is alive below.
            let _ = send_id.send(id);
        }
        drop(send_id);
        // Chunks from here on are not begun, or dropped: an episode before them is bad, or
        // something worse happened.
        let give_up_from = AtomicU64::new(u64::MAX);
        std::thread::scope(|scope| {
            let (send_done, receive_done) = unbounded();
            for _ in 0..workers {
                let (receive_id, send_done) = (receive_id.clone(), send_done.clone());
                let give_up_from = &give_up_from;
                scope.spawn(move || self.work(&receive_id, &send_done, give_up_from));
            }
            drop(send_done);
            self.gather(&receive_done, tally, &give_up_from)
        })
    }

    /// The chunks that are missing. Withdraws those that the plan no longer has as they are.
    fn compare(&self, tally: &mut Tally) -> Result<Vec<ChunkId>, ProducerError> {
        let chunks = self.plan.chunk_count() as u32;
        let (mut of_another_plan, mut damaged, mut published_samples, mut bytes) = (0, 0, 0, 0);
        let mut is_there = vec![false; chunks as usize];
        for id in self.writer.published_chunks()? {
            let fits = match self.writer.published(id) {
                Ok(Some(found)) if found.plan_digest == self.plan.chunk_digest(self.sources, id) => {
                    Some(found)
                }
                Ok(_) => {
                    of_another_plan += 1;
                    None
                }
                Err(_) => {
                    damaged += 1;
                    None
                }
            };
            match (fits, is_there.get_mut(id.get() as usize)) {
                (Some(found), Some(place)) => {
                    *place = true;
                    published_samples += u64::from(found.samples);
                    bytes += found.bytes;
                }
                _ => self.writer.withdraw(id)?,
            }
        }
        tally.bytes = bytes;
        if of_another_plan + damaged > 0 {
            (self.watch)(Event::Withdrawn { of_another_plan, damaged });
        }
        (self.watch)(Event::Planned {
            samples: self.plan.samples(),
            chunks: u64::from(chunks),
            published_samples,
        });
        Ok((0..chunks).filter(|&id| !is_there[id as usize]).map(ChunkId::new).collect())
    }

    fn work(&self, ids: &Receiver<ChunkId>, done: &Sender<Done>, give_up_from: &AtomicU64) {
        let mut worker = Worker::new(self.sources, self.plan, self.options.frames);
        for id in ids {
            let given_up =
                || self.stop.is_set() || u64::from(id.get()) >= give_up_from.load(Ordering::Relaxed);
            if given_up() {
                break;
            }
            let outcome = self.write_chunk(&mut worker, id, &given_up);
            if let Done::Failed { fault, .. } = &outcome {
                // An error of the device or the sources concerns every chunk.
                let from = if matches!(fault, Fault::Episode { .. }) { u64::from(id.get()) } else { 0 };
                give_up_from.fetch_min(from, Ordering::Relaxed);
            }
            if matches!(outcome, Done::Buffer(_)) {
                give_up_from.store(0, Ordering::Relaxed);
            }
            if done.send(outcome).is_err() {
                break;
            }
        }
    }

    fn write_chunk(&self, worker: &mut Worker<'_>, id: ChunkId, given_up: &dyn Fn() -> bool) -> Done {
        let new = match self.writer.begin(id, FIRST_GENERATION) {
            Ok(new) => new,
            Err(error) => return Done::Buffer(error),
        };
        let pieces = self.plan.pieces(id);
        let (new, summary) = match worker.write(id, self.options.chunk_size, &pieces, new, given_up) {
            Ok(written) => written,
            Err(fault) => return Done::Failed { id, fault },
        };
        let start = Instant::now();
        match self.writer.publish(new, &summary) {
            Ok(()) => Done::Published {
                id,
                samples: summary.header.samples,
                bytes: summary.file_bytes,
                sync_ns: start.elapsed().as_nanos() as u64,
            },
            Err(error) => Done::Buffer(error),
        }
    }

    fn gather(
        &self,
        results: &Receiver<Done>,
        tally: &mut Tally,
        give_up_from: &AtomicU64,
    ) -> Result<Vec<(usize, Omission)>, ProducerError> {
        let mut bad: Vec<(usize, Omission)> = Vec::new();
        let mut failure: Option<ProducerError> = None;
        let mut stopped = false;
        for done in results {
            match done {
                Done::Published { id, samples, bytes, sync_ns } => {
                    tally.written_chunks += 1;
                    tally.written_samples += u64::from(samples);
                    tally.bytes += bytes;
                    tally.sync_ns += sync_ns;
                    (self.watch)(Event::Published { chunk: id, samples, bytes });
                }
                Done::Failed { fault: Fault::Stopped, .. } => stopped = true,
                Done::Failed { fault: Fault::Episode { episode, reason }, id } => {
                    if !bad.iter().any(|(known, _)| *known == episode) {
                        bad.push((episode, self.omission(id, episode, reason)));
                    }
                }
                Done::Failed { id, fault } => {
                    failure.get_or_insert(self.failure(id, fault));
                }
                Done::Buffer(error) => {
                    failure.get_or_insert(error.into());
                }
            }
        }
        match failure {
            Some(failure) => Err(failure),
            None if self.stop.is_set() => Err(ProducerError::Interrupted {
                dir: self.writer.dir().to_owned(),
                published: self.writer.published_chunks()?.len() as u64,
                chunks: self.plan.chunk_count(),
            }),
            // A worker that stopped without a reason, or ended without a word.
            None if bad.is_empty() && (stopped || give_up_from.load(Ordering::Relaxed) != u64::MAX) => {
                Err(ProducerError::WorkerDied)
            }
            None => Ok(bad),
        }
    }

    fn omission(&self, id: ChunkId, episode: usize, reason: String) -> Omission {
        let pieces = self.plan.pieces(id);
        let piece = pieces.iter().find(|piece| piece.episode == episode);
        let (dataset, origin) = match piece {
            Some(piece) => (piece.dataset, Some(self.plan.origin(self.sources, piece))),
            None => (0, None),
        };
        let (source, episode) = origin.map(|origin| (origin.source, origin.key)).unwrap_or_default();
        Omission {
            dataset: self.sources.list[usize::from(dataset)].spec.name.clone(),
            source,
            episode,
            reason,
        }
    }

    fn failure(&self, chunk: ChunkId, fault: Fault) -> ProducerError {
        match fault {
            Fault::Changed { dataset, file, change } => ProducerError::SourceChanged {
                dir: self.writer.dir().to_owned(),
                dataset: self.sources.list[usize::from(dataset)].spec.name.clone(),
                change: format!("{file}: {change}"),
            },
            Fault::Chunk(source) => ProducerError::Chunk { chunk, source },
            Fault::Stopped | Fault::Episode { .. } | Fault::Source(_) => ProducerError::WorkerDied,
        }
    }
}

/// The report of a buffer that needs nothing; `None` where something is missing.
fn already_complete(
    dir: &Path,
    former: &Manifest,
    healed_bits: u64,
    started: Instant,
) -> Result<Option<FillReport>, ProducerError> {
    if former.state != BufferState::Complete {
        return Ok(None);
    }
    let Ok(buffer) = Buffer::open_complete(dir) else {
        return Ok(None);
    };
    let mut tally = Tally { healed_bits, ..Tally::default() };
    for id in buffer.published_chunks()? {
        // What is damaged, another buffer's or without bits is not complete.
        match (buffer.map(id), buffer.bits_of(id)) {
            (Ok(chunk), Ok(_)) if chunk.datasets().is_ok() && chunk.episodes().is_ok() => {
                tally.bytes += chunk.header().file_bytes();
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(report(former, &tally, started, healed_bits == 0)))
}

/// Gives the chunks of a complete buffer new bits where theirs are missing or damaged. Content
/// does not depend on them, so no source is read for that.
fn heal(lock: &ProducerLock, storage: &dyn Storage, dir: &Path) -> Result<u64, ProducerError> {
    let chunks = Buffer::open(dir)?.published_chunks().unwrap_or_default();
    Ok(rdt_buffer::heal_bits(lock, storage, &chunks)?)
}

fn report(manifest: &Manifest, tally: &Tally, started: Instant, already_complete: bool) -> FillReport {
    let dataset = |dataset: &rdt_buffer::ManifestDataset| crate::report::DatasetReport {
        name: dataset.schema.name.clone(),
        episodes: dataset.episodes,
        steps: dataset.steps,
        samples: dataset.samples,
    };
    FillReport {
        already_complete,
        chunks: manifest.chunk_count(),
        chunk_size: manifest.chunk_size,
        samples: manifest.samples,
        episodes: manifest.datasets.iter().map(|dataset| dataset.episodes).sum(),
        datasets: manifest.datasets.iter().map(dataset).collect(),
        bytes: tally.bytes,
        bytes_per_sample: tally.bytes as f64 / manifest.samples.max(1) as f64,
        healed_bits: tally.healed_bits,
        written_chunks: tally.written_chunks,
        written_samples: tally.written_samples,
        seconds: started.elapsed().as_secs_f64(),
        sync_seconds: tally.sync_ns as f64 * 1e-9,
        skipped: manifest.skipped.clone(),
        filtered: manifest.filtered.clone(),
    }
}

pub(crate) fn now_unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
