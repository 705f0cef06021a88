//! The dry run: the plan, and a few samples encoded into nothing to know bytes and time.

use std::collections::BTreeSet;
use std::io::{Seek, SeekFrom, Write};
use std::time::Instant;

use rdt_buffer::ChunkId;

use crate::error::ProducerError;
use crate::event::{Event, StopFlag};
use crate::options::Options;
use crate::plan::{Piece, Plan};
use crate::report::Prediction;
use crate::scan::scan;
use crate::sources::Sources;
use crate::worker::{Fault, Worker};

/// Chunks of which a part is encoded.
const CHUNKS_TRIED: u64 = 4;
/// Samples of each.
const SAMPLES_TRIED: usize = 96;
/// Pieces of a chunk that they are from, at least, where it has so many.
const PIECES_TRIED: usize = 3;

/// What [`crate::fill()`] would do; writes nothing.
///
/// # Errors
/// As [`crate::fill()`], where they show before writing.
pub fn predict(
    options: &Options,
    stop: &StopFlag,
    watch: &(dyn Fn(Event<'_>) + Sync),
) -> Result<Prediction, ProducerError> {
    let mut sources = Sources::open(options)?;
    for source in &mut sources.list {
        source.prepare(None, stop)?;
    }
    let plan = scan(&sources, options, &[], stop, watch)?;
    let trial = try_some(options, &sources, &plan, stop)?;
    let share = plan.samples() as f64 / trial.samples.max(1) as f64;
    let cores = std::thread::available_parallelism().unwrap_or(options.workers);
    let workers = options.workers.min(cores).get() as f64;
    Ok(Prediction {
        chunks: plan.chunk_count(),
        chunk_size: options.chunk_size,
        samples: plan.samples(),
        episodes: plan.episodes(),
        datasets: plan.datasets().iter().map(Into::into).collect(),
        bytes: (trial.bytes as f64 * share) as u64,
        bytes_per_sample: trial.bytes as f64 / trial.samples.max(1) as f64,
        seconds: trial.seconds * share / workers.min(plan.chunk_count() as f64).max(1.0),
        samples_tried: trial.samples,
        skipped: plan.skipped,
        filtered: plan.filtered,
    })
}

#[derive(Default)]
struct Trial {
    samples: u64,
    bytes: u64,
    seconds: f64,
}

/// Encodes parts of chunks that are spread over the whole plan.
fn try_some(
    options: &Options,
    sources: &Sources,
    plan: &Plan,
    stop: &StopFlag,
) -> Result<Trial, ProducerError> {
    let mut trial = Trial::default();
    let mut worker = Worker::new(sources, plan, options.frames);
    let tried = plan.chunk_count().min(CHUNKS_TRIED);
    for part in 0..tried {
        let id = ChunkId::new((part * plan.chunk_count() / tried) as u32);
        let pieces = some_samples(plan.pieces(id));
        let start = Instant::now();
        match worker.write(id, options.chunk_size, &pieces, Counting::default(), &|| stop.is_set()) {
            Ok((out, summary)) => {
                trial.samples += u64::from(summary.header.samples);
                trial.bytes += out.end;
                trial.seconds += start.elapsed().as_secs_f64();
            }
            // A fill would skip it; the other parts tell enough.
            Err(Fault::Episode { .. }) => {}
            Err(Fault::Chunk(source)) => return Err(ProducerError::Chunk { chunk: id, source }),
            Err(Fault::Stopped) => return Err(ProducerError::InterruptedWhilePlanning),
            Err(Fault::Changed { .. } | Fault::Source(_)) => {}
        }
    }
    Ok(trial)
}

/// Runs of steps from the middle of pieces that are spread over the chunk: the beginning of an
/// episode, where little moves, compresses better than the rest.
fn some_samples(mut pieces: Vec<Piece>) -> Vec<Piece> {
    let samples: usize = pieces.iter().map(|piece| piece.steps.len()).sum();
    if samples <= SAMPLES_TRIED {
        return pieces;
    }
    let tried = (SAMPLES_TRIED * pieces.len() / samples).max(PIECES_TRIED).min(pieces.len());
    let run = SAMPLES_TRIED.div_ceil(tried);
    let chosen: BTreeSet<usize> = (0..tried).map(|part| part * pieces.len() / tried).collect();
    let mut index = 0;
    pieces.retain_mut(|piece| {
        index += 1;
        let spare = piece.steps.len().saturating_sub(run);
        piece.steps.drain(..spare / 2);
        piece.steps.truncate(run);
        chosen.contains(&(index - 1))
    });
    pieces
}

/// Counts bytes and forgets them.
#[derive(Debug, Default)]
struct Counting {
    position: u64,
    end: u64,
}

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.position += bytes.len() as u64;
        self.end = self.end.max(self.position);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Seek for Counting {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.position = match to {
            SeekFrom::Start(position) => position,
            SeekFrom::End(offset) => self.end.saturating_add_signed(offset),
            SeekFrom::Current(offset) => self.position.saturating_add_signed(offset),
        };
        Ok(self.position)
    }
}
