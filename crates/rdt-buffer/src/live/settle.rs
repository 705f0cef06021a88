//! Settling: what became of the samples of a generation, once nothing of it can change any more.

use std::path::Path;

use crate::bits::History;
use crate::error::BufferError;
use crate::id::ChunkId;
use crate::layout;
use crate::live::claims::{Claims, SlotCounts};
use crate::live::consumers::Holds;

/// Whether anybody can still find the samples of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Payload {
    /// Its chunk is published, or linked into `retired/`.
    There,
    /// It was replaced and has no link: clean slots of it are nobody's.
    Gone,
}

impl Payload {
    /// Of a generation below the published one. The link precedes the rename that replaces it, so
    /// one that is not there was removed, because all was settled, or never needed.
    pub(crate) fn of_replaced(dir: &Path, id: ChunkId, generation: u64) -> Self {
        // Where that cannot be told, it is told later.
        match layout::retired(dir, id, generation).try_exists() {
            Ok(false) => Self::Gone,
            Ok(true) | Err(_) => Self::There,
        }
    }
}

/// The counts of a generation that is closed or replaced, if they are final: no slot is clean, or
/// nobody finds the clean ones, and no living consumer has one that is claimed. Both are lost ones
/// then, and counted as claimed. (Clean slots without a payload come from a loss of power: the
/// words were not synced when the payload was removed.)
///
/// A living consumer names a generation before it claims in it and until it has delivered, so a
/// slot that is claimed before and after a look at the names, of which none is this generation's,
/// is a dead one's.
pub(crate) fn final_counts(
    dir: &Path,
    id: ChunkId,
    generation: u64,
    claims: &Claims,
    payload: Payload,
) -> Result<Option<SlotCounts>, BufferError> {
    let before = claims.counts();
    if before.clean > 0 && payload == Payload::There {
        return Ok(None);
    }
    if before.claimed > 0 && (Holds::of(dir)?.contain(id, generation) || claims.counts() != before) {
        return Ok(None);
    }
    Ok(Some(SlotCounts { clean: 0, claimed: before.claimed + before.clean, ..before }))
}

/// The history that the generation behind `current` begins with, and whether all samples of
/// `current`, whose payload is as given, are settled.
pub(crate) fn history_after(dir: &Path, id: ChunkId, current: &Claims, payload: Payload) -> (History, bool) {
    let header = current.header();
    let mut history = header.history;
    history.produced += current.counts().slots() - current.counts().closed;
    // What cannot be looked at now is settled by a later refill.
    let last = final_counts(dir, id, header.generation, current, payload).unwrap_or(None);
    for generation in header.history.settled + 1..=header.generation {
        let counts = if generation == header.generation {
            last
        } else {
            match Claims::open(dir, id, generation) {
                Ok(claims) => {
                    let payload = Payload::of_replaced(dir, id, generation);
                    final_counts(dir, id, generation, &claims, payload).unwrap_or(None)
                }
                // A generation without bits: of a buffer whose numbers do not begin with 1, or
                // removed by hand. Nothing can be known of it.
                Err(error) if error.is_of_the_file() => Some(SlotCounts::default()),
                Err(_) => None,
            }
        };
        let Some(counts) = counts else { break };
        history.delivered += counts.delivered;
        history.lost += counts.claimed;
        history.settled = generation;
    }
    (history, last.is_some())
}
