//! What became of all samples that a live buffer ever held, from its files alone.

use std::path::Path;

use crate::error::BufferError;
use crate::id::ChunkId;
use crate::live::claims::{Claims, SlotCounts};
use crate::live::consumers::Holds;
use crate::live::generations::{Generation, listed, newest};

/// How often a chunk is looked at again that was replaced meanwhile.
const TRIES: u32 = 8;

/// Samples by what became of them. `produced` is the sum of the others, whenever nothing moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Totals {
    /// Chunks there are.
    pub chunks: u64,
    /// Of these, chunks of which no sample is clean.
    pub exhausted: u64,
    /// Slots of the chunks there are.
    pub slots: u64,
    /// Samples put into the buffer, carried ones counted once.
    pub produced: u64,
    /// Samples delivered, or named as unreadable.
    pub delivered: u64,
    /// Samples that consumers had when they were killed.
    pub lost: u64,
    /// Samples that living consumers have and have not delivered yet.
    pub in_flight: u64,
    /// Samples that nobody has taken.
    pub unread: u64,
    /// Refills: generations behind the first, over all chunks.
    pub refills: u64,
}

impl Totals {
    /// Share of the slots that are taken, 0 to 1.
    pub fn dirty_share(&self) -> f64 {
        if self.slots == 0 { 0.0 } else { 1.0 - self.unread.min(self.slots) as f64 / self.slots as f64 }
    }
}

/// The totals of the buffer at `dir`, static ones included.
///
/// # Errors
/// A folder or bits file cannot be read.
pub fn totals(dir: &Path) -> Result<Totals, BufferError> {
    let mut totals = Totals::default();
    let generations = listed(dir)?;
    let holds = Holds::of(dir)?;
    for group in generations.chunk_by(|a, b| a.chunk == b.chunk) {
        let id = group[0].chunk;
        let mut of_chunk: Vec<Generation> = group.to_vec();
        for attempt in 0.. {
            match add_chunk(dir, id, &of_chunk, &holds, totals) {
                Ok(sum) => {
                    totals = sum;
                    break;
                }
                Err(error) if attempt >= TRIES => return Err(error),
                // It was replaced between two looks.
                Err(_) => {
                    of_chunk = listed(dir)?.into_iter().filter(|at| at.chunk == id).collect();
                }
            }
        }
    }
    Ok(totals)
}

fn add_chunk(
    dir: &Path,
    id: ChunkId,
    generations: &[Generation],
    holds: &Holds,
    mut totals: Totals,
) -> Result<Totals, BufferError> {
    // Bits without a chunk are of one that is not published yet.
    let Some(current) = newest(dir, id)? else { return Ok(totals) };
    let claims = Claims::open(dir, id, current)?;
    let history = claims.header().history;
    let counts = claims.counts();
    totals.chunks += 1;
    totals.refills += current.saturating_sub(1);
    totals.exhausted += u64::from(counts.clean == 0);
    totals.slots += counts.slots();
    totals.produced += history.produced + counts.slots();
    totals.delivered += history.delivered;
    totals.lost += history.lost;
    totals.unread += counts.closed;
    let earlier =
        generations.iter().map(|at| at.generation).filter(|at| (history.settled + 1..current).contains(at));
    let mut all = vec![(current, counts)];
    for generation in earlier {
        all.push((generation, Claims::open(dir, id, generation)?.counts()));
    }
    for (generation, SlotCounts { clean, claimed, delivered, .. }) in all {
        totals.unread += clean;
        totals.delivered += delivered;
        if holds.contain(id, generation) {
            totals.in_flight += claimed;
        } else {
            totals.lost += claimed;
        }
    }
    Ok(totals)
}
