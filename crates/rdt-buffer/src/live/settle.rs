//! Settling: what became of the samples of a generation, once nothing of it can change any more.

use std::path::Path;

use crate::bits::History;
use crate::error::BufferError;
use crate::id::ChunkId;
use crate::live::claims::{Claims, SlotCounts};
use crate::live::consumers::Holds;

/// The counts of a generation that is closed or replaced, if they are final: no slot is clean, and
/// no living consumer has one that is claimed. Claimed slots are lost ones then.
///
/// A living consumer names a generation before it claims in it and until it has delivered, so a
/// slot that is claimed before and after a look at the names, of which none is this generation's,
/// is a dead one's.
pub(crate) fn final_counts(
    dir: &Path,
    id: ChunkId,
    generation: u64,
    claims: &Claims,
) -> Result<Option<SlotCounts>, BufferError> {
    let before = claims.counts();
    if before.clean > 0 {
        return Ok(None);
    }
    if before.claimed == 0 {
        return Ok(Some(before));
    }
    let is_held = Holds::of(dir)?.contain(id, generation);
    let after = claims.counts();
    Ok((!is_held && after == before).then_some(after))
}

/// The history that the generation behind `current` begins with, and whether all samples of
/// `current` are settled.
pub(crate) fn history_after(
    dir: &Path,
    id: ChunkId,
    current: &Claims,
) -> Result<(History, bool), BufferError> {
    let header = current.header();
    let mut history = header.history;
    history.produced += current.counts().slots() - current.counts().closed;
    let last = final_counts(dir, id, header.generation, current)?;
    for generation in header.history.settled + 1..=header.generation {
        let counts = if generation == header.generation {
            last
        } else {
            match Claims::open(dir, id, generation) {
                Ok(claims) => final_counts(dir, id, generation, &claims)?,
                // A generation without bits: of a buffer whose numbers do not begin with 1, or
                // removed by hand. Nothing can be known of it.
                Err(_) => Some(SlotCounts::default()),
            }
        };
        let Some(counts) = counts else { break };
        history.delivered += counts.delivered;
        history.lost += counts.claimed;
        history.settled = generation;
    }
    Ok((history, last.is_some()))
}
