//! What became of all samples that a live buffer ever held, from its files alone.

use std::path::Path;

use crate::error::BufferError;
use crate::id::ChunkId;
use crate::live::claims::Claims;
use crate::live::consumers::Holds;
use crate::live::generations::{Generation, listed, newest};
use crate::live::settle::Payload;
use crate::live::slot_bits::SlotMask;

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
    let mut claimed = Vec::new();
    let generations = listed(dir)?;
    for group in generations.chunk_by(|a, b| a.chunk == b.chunk) {
        let id = group[0].chunk;
        let mut of_chunk: Vec<Generation> = group.to_vec();
        for attempt in 0.. {
            match add_chunk(dir, id, &of_chunk, totals) {
                Ok((sum, more)) => {
                    totals = sum;
                    claimed.extend(more);
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
    let lost = count_lost(dir, &mut claimed)?;
    totals.in_flight = totals.in_flight.saturating_sub(lost);
    totals.lost += lost;
    Ok(totals)
}

/// Claimed slots of a generation.
struct Claimed {
    at: Generation,
    claims: Claims,
    /// Of each word.
    slots: Vec<SlotMask>,
}

/// Counts claimed slots that nobody has. Who claims a sample has named its generation before, and
/// takes the name away after; so a lost one is claimed before and after a look at the names that
/// does not find it. The second round is for one that was given back and claimed again meanwhile.
fn count_lost(dir: &Path, claimed: &mut Vec<Claimed>) -> Result<u64, BufferError> {
    for _ in 0..2 {
        if claimed.is_empty() {
            break;
        }
        let holds = Holds::of(dir)?;
        claimed.retain(|of| !holds.contain(of.at.chunk, of.at.generation));
        for of in claimed.iter_mut() {
            let after = of.claims.claimed();
            of.slots.iter_mut().zip(after).for_each(|(slots, after)| *slots &= after);
        }
    }
    let slots = claimed.iter().flat_map(|of| &of.slots);
    Ok(slots.map(|slots| u64::from(slots.count_ones())).sum())
}

/// Adds a chunk, and returns what is claimed of it: all of it in flight for now.
fn add_chunk(
    dir: &Path,
    id: ChunkId,
    generations: &[Generation],
    mut totals: Totals,
) -> Result<(Totals, Vec<Claimed>), BufferError> {
    let mut all = Vec::new();
    // Bits without a chunk are of one that is not published yet.
    let Some(current) = newest(dir, id)? else { return Ok((totals, all)) };
    let history = Claims::open(dir, id, current)?.header().history;
    totals.chunks += 1;
    totals.refills += current.saturating_sub(1);
    totals.produced += history.produced;
    totals.delivered += history.delivered;
    totals.lost += history.lost;
    let earlier = generations.iter().filter(|at| (history.settled + 1..current).contains(&at.generation));
    for at in earlier.copied().chain([Generation { chunk: id, generation: current }]) {
        let claims = Claims::open(dir, id, at.generation)?;
        // Asked first: a link goes once no slot is clean any more.
        let is_current = at.generation == current;
        let is_there = is_current || Payload::of_replaced(dir, id, at.generation) == Payload::There;
        let slots = claims.claimed();
        let counts = claims.counts();
        if is_current {
            totals.exhausted += u64::from(counts.clean == 0);
            totals.slots += counts.slots();
            totals.produced += counts.slots();
            totals.unread += counts.closed;
        }
        totals.delivered += counts.delivered;
        totals.in_flight += counts.claimed;
        if is_there {
            totals.unread += counts.clean;
        } else {
            totals.lost += counts.clean;
        }
        if counts.claimed > 0 {
            all.push(Claimed { at, claims, slots });
        }
    }
    Ok((totals, all))
}
