//! One refill: a lease and a portion of the stream become the next generation of a chunk.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rdt_buffer::BufferError;
use rdt_buffer::live::Lease;
use rdt_chunk::{ChunkError, ChunkWriter};
use rdt_schema::{Omission, in_full};

use crate::error::ProducerError;
use crate::event::Event;
use crate::follow::dispenser::NothingLeft;
use crate::follow::worker_thread::Pulse;
use crate::follow::{Shared, lock_whole};
use crate::plan::Piece;
use crate::worker::{Fault, Worker};

/// How a refill ended.
pub(crate) enum Outcome {
    Published,
    /// Not done, for a reason that is dealt with; the next one may be.
    Nothing,
    /// There is no room on the device.
    Full(String),
    /// Nobody can go on.
    Failed(ProducerError),
}

/// Refills chunks, one after the other.
pub(crate) struct Refiller<'a> {
    shared: &'a Shared,
    worker: Worker<'a>,
}

/// Steps by the episode's place in the plan.
type Content = BTreeMap<usize, Vec<u32>>;

impl<'a> Refiller<'a> {
    pub(crate) fn new(shared: &'a Shared) -> Self {
        let worker = Worker::new(&shared.sources, &shared.plan, shared.options.options.frames);
        Self { shared, worker }
    }

    pub(crate) fn refill(&mut self, lease: Lease, pulse: &Pulse) -> Outcome {
        let shared = self.shared;
        let mut content = match self.carried(&lease) {
            Ok(content) => content,
            Err(reason) => {
                (shared.watch)(Event::NotCarried { chunk: lease.chunk(), reason: &reason });
                lease.wait_until_consumed();
                return Outcome::Nothing;
            }
        };
        let carried = lease.carried().len() as u32;
        let wanted = shared.writer.manifest().chunk_size.saturating_sub(carried);
        let portion = match shared.dispenser.take(wanted) {
            Ok(portion) => portion,
            Err(NothingLeft) => {
                let skipped = lock_whole(&shared.skipped).len() as u64;
                return Outcome::Failed(ProducerError::NothingLeft { skipped });
            }
        };
        for run in portion.runs() {
            content.entry(run.episode).or_default().extend(&run.steps);
        }
        let chunk = lease.chunk();
        let written = lease.begin().map_err(Stopped::Buffer).and_then(|leased| {
            let spec = leased.spec(portion.mark().to_bytes());
            let frames = shared.options.options.frames;
            let mut writer = ChunkWriter::create(leased, spec, frames, shared.schemas.clone())?;
            for (episode, mut steps) in content {
                steps.sort_unstable();
                let piece = shared.plan.part_of(episode, steps);
                self.add(&mut writer, &piece, pulse)?;
            }
            let (leased, summary) = writer.finish()?;
            pulse.is_at(format!("publishing chunk {chunk}"));
            let sealed = Instant::now();
            leased.publish(&summary).map_err(Stopped::Buffer)?;
            shared.counters.sync_us.fetch_add(sealed.elapsed().as_micros() as u64, Ordering::Relaxed);
            Ok(summary)
        });
        match written {
            Ok(summary) => {
                portion.finish();
                let counters = &shared.counters;
                let samples = summary.header.samples;
                for (counter, more) in [
                    (&counters.produced, u64::from(samples - carried)),
                    (&counters.carried, u64::from(carried)),
                    (&counters.published, 1),
                    (&counters.bytes, summary.file_bytes),
                ] {
                    counter.fetch_add(more, Ordering::Relaxed);
                }
                (shared.watch)(Event::Published { chunk, samples, bytes: summary.file_bytes });
                Outcome::Published
            }
            Err(stopped) => self.outcome(stopped, chunk),
        }
    }

    /// The lease's unread samples, to be read from their sources again.
    fn carried(&self, lease: &Lease) -> Result<Content, String> {
        let mut content = Content::new();
        if lease.carried().is_empty() {
            return Ok(content);
        }
        let chunk = lease.former().map_err(|error| in_full(&error))?.ok_or("its file is gone")?;
        for slot in lease.carried() {
            let sample = chunk.sample(slot.get()).map_err(|error| in_full(&error))?;
            let (origin, step) = (&sample.episode().origin, sample.step());
            let plan = &self.shared.plan;
            let episode = plan
                .find(&self.shared.sources, sample.dataset_index().into(), origin)
                .filter(|&episode| !self.shared.dispenser.leaves_out(episode))
                .filter(|&episode| {
                    let (first, count) = plan.steps_of(episode);
                    (first..first + count).contains(&step)
                })
                .ok_or_else(|| format!("the sources no longer have {origin} step {step}"))?;
            content.entry(episode).or_default().push(step);
        }
        Ok(content)
    }

    fn add<W: std::io::Write + std::io::Seek>(
        &mut self,
        writer: &mut ChunkWriter<W>,
        piece: &Piece,
        pulse: &Pulse,
    ) -> Result<(), Stopped> {
        let shared = self.shared;
        let origin = shared.plan.origin(&shared.sources, piece);
        let name = format!("{}/{origin}", shared.plan.datasets[usize::from(piece.dataset)].name);
        pulse.is_at(name.clone());
        #[cfg(test)]
        {
            let probe = lock_whole(&shared.probe).clone();
            probe.inspect(|probe| probe(&name));
        }
        Ok(self.worker.add_piece(writer, piece, &|| pulse.beat(shared)).map_err(|fault| match fault {
            // A file that is another now is left out like one that cannot be read.
            Fault::Changed { change, .. } => {
                Fault::Episode { episode: piece.episode, reason: format!("the file has changed: {change}") }
            }
            fault => fault,
        })?)
    }

    fn outcome(&self, stopped: Stopped, chunk: rdt_buffer::ChunkId) -> Outcome {
        match stopped {
            Stopped::Fault(Fault::Stopped) => Outcome::Nothing,
            Stopped::Fault(Fault::Episode { episode, reason }) => {
                self.leave_out(episode, reason);
                Outcome::Nothing
            }
            Stopped::Fault(Fault::Chunk(source)) => {
                let full = is_full(write_error(&source)).then(|| in_full(&source));
                full.map_or_else(|| Outcome::Failed(ProducerError::Chunk { chunk, source }), Outcome::Full)
            }
            Stopped::Fault(Fault::Changed { .. } | Fault::Source(_)) => {
                Outcome::Failed(ProducerError::WorkerDied)
            }
            Stopped::Buffer(error) => match &error {
                BufferError::Io { source, .. } if is_full(Some(source)) => Outcome::Full(in_full(&error)),
                _ => Outcome::Failed(error.into()),
            },
        }
    }

    /// Names a bad episode and leaves it out of the stream.
    fn leave_out(&self, episode: usize, reason: String) {
        let shared = self.shared;
        if !shared.dispenser.leave_out(episode) {
            return;
        }
        let piece = shared.plan.part_of(episode, Vec::new());
        let origin = shared.plan.origin(&shared.sources, &piece);
        let dataset = shared.plan.datasets[usize::from(piece.dataset)].name.clone();
        let omission = Omission { dataset, source: origin.source, episode: origin.key, reason };
        (shared.watch)(Event::Skipped(&omission));
        lock_whole(&shared.skipped).push(omission);
    }
}

/// Why a chunk was not published.
enum Stopped {
    Fault(Fault),
    Buffer(BufferError),
}

impl From<Fault> for Stopped {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<ChunkError> for Stopped {
    fn from(error: ChunkError) -> Self {
        Self::Fault(Fault::Chunk(error))
    }
}

fn write_error(error: &ChunkError) -> Option<&std::io::Error> {
    match error {
        ChunkError::Write { source, .. } => Some(source),
        _ => None,
    }
}

fn is_full(error: Option<&std::io::Error>) -> bool {
    error.is_some_and(|error| matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded))
}
