//! The dry run: the plan, and a few samples encoded into nothing to know bytes and time.

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

/// What [`crate::fill`] would do; writes nothing.
///
/// # Errors
/// As [`crate::fill`], where they show before writing.
pub fn predict(
    options: &Options,
    stop: &StopFlag,
    watch: &(dyn Fn(Event<'_>) + Sync),
) -> Result<Prediction, ProducerError> {
    let mut sources = Sources::open(options)?;
    for source in &mut sources.list {
        source.prepare(None)?;
    }
    let plan = scan(&sources, options, &[], stop, watch)?;
    let trial = try_some(options, &sources, &plan, stop)?;
    let share = plan.samples() as f64 / trial.samples.max(1) as f64;
    let workers = options.workers.get() as f64;
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
    let mut worker = Worker::new(sources, plan, options.codec);
    let tried = plan.chunk_count().min(CHUNKS_TRIED);
    for part in 0..tried {
        let id = ChunkId::new((part * plan.chunk_count() / tried) as u32);
        let pieces = first_samples(plan.pieces(id), SAMPLES_TRIED);
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

fn first_samples(mut pieces: Vec<Piece>, mut samples: usize) -> Vec<Piece> {
    pieces.retain_mut(|piece| {
        piece.steps.truncate(samples);
        samples -= piece.steps.len();
        !piece.steps.is_empty()
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
