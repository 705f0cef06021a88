//! How the order of an epoch is cut into batches, and batches into ranks.
//!
//! A *global batch* is what all ranks train on in one step. Ranks take contiguous pieces of it,
//! so that laying the pieces of all ranks end to end gives the global batch, whatever their
//! number. Nothing here depends on threads.

use std::num::NonZeroU32;
use std::ops::Range;

use rdt_buffer::SampleId;
use serde::{Deserialize, Serialize};

use crate::error::ConsumerError;
use crate::order::Order;

/// Where in the endless sequence of epochs a reader stands: the next batch to deliver.
///
/// Equal for all ranks, and free of their number, so a checkpoint resumes on another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct BatchPosition {
    /// Pass over the buffer, from 0.
    pub epoch: u64,
    /// Global batch inside the epoch, from 0.
    pub batch: u64,
}

/// Who takes which piece of each batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranks {
    /// This rank, from 0.
    pub rank: u32,
    /// Ranks there are.
    pub world: u32,
}

impl Ranks {
    /// One rank, which takes everything.
    pub const ONE: Self = Self { rank: 0, world: 1 };
}

/// What happens to the samples left over when the batch size does not divide the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LastBatch {
    /// They make a smaller batch, so that an epoch delivers each sample exactly once. A
    /// rank's piece of it may be empty.
    #[default]
    Keep,
    /// They are left out of this epoch (other ones are in the next).
    Drop,
}

/// The batches of every epoch for one rank.
///
/// ```
/// use rdt_consumer::{BatchOrder, LastBatch, Order, BatchPosition, Ranks};
/// let order = Order::new(10, 7).unwrap();
/// let batches = BatchOrder::new(order, 4, Ranks { rank: 1, world: 2 }, LastBatch::Keep)?;
/// assert_eq!(batches.batches_per_epoch(), 3);
/// let second_half: Vec<_> = batches.samples(BatchPosition { epoch: 0, batch: 0 }).collect();
/// assert_eq!(second_half.len(), 2);
/// # Ok::<(), rdt_consumer::ConsumerError>(())
/// ```
#[derive(Debug, Clone)]
pub struct BatchOrder {
    order: Order,
    global_batch: NonZeroU32,
    world: NonZeroU32,
    rank: u32,
    last: LastBatch,
}

impl BatchOrder {
    /// Batches of `global_batch` samples, one rank's piece of each.
    ///
    /// # Errors
    /// A batch of no samples, no ranks, a rank that `world` does not have, more ranks than
    /// samples in a batch, or a dropped last batch that leaves none.
    pub fn new(
        order: Order,
        global_batch: u32,
        ranks: Ranks,
        last: LastBatch,
    ) -> Result<Self, ConsumerError> {
        let global_batch = NonZeroU32::new(global_batch).ok_or(ConsumerError::EmptyBatch)?;
        let Ranks { rank, world } = ranks;
        let world = NonZeroU32::new(world).ok_or(ConsumerError::NoRanks)?;
        if rank >= world.get() {
            return Err(ConsumerError::Rank { rank, world: world.get() });
        }
        if world > global_batch {
            return Err(ConsumerError::BatchUnderWorld {
                global_batch: global_batch.get(),
                world: world.get(),
            });
        }
        let batches = Self { order, global_batch, world, rank, last };
        if batches.batches_per_epoch() == 0 {
            return Err(ConsumerError::AllDropped {
                samples: batches.order.samples(),
                global_batch: global_batch.get(),
            });
        }
        Ok(batches)
    }

    /// The order that the batches are cut from.
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Samples of a full batch over all ranks.
    pub fn global_batch(&self) -> u32 {
        self.global_batch.get()
    }

    /// Batches of an epoch, the same for all ranks.
    pub fn batches_per_epoch(&self) -> u64 {
        let size = u64::from(self.global_batch.get());
        match self.last {
            LastBatch::Keep => self.order.samples().div_ceil(size),
            LastBatch::Drop => self.order.samples() / size,
        }
    }

    /// Samples of this rank's largest batch; no more room is needed, whatever was asked for.
    pub fn max_local_batch(&self) -> usize {
        let held = self.order.samples().min(self.global_batch.get().into());
        let range = piece(held, self.world.get(), self.rank);
        (range.end - range.start) as usize
    }

    /// Positions in the epoch's order that this rank's piece of a batch covers.
    pub fn positions(&self, batch: u64) -> Range<u64> {
        let size = u64::from(self.global_batch.get());
        let first = batch.saturating_mul(size);
        let held = self.order.samples().saturating_sub(first).min(size);
        let held = if self.last == LastBatch::Drop && held < size { 0 } else { held };
        let piece = piece(held, self.world.get(), self.rank);
        first.saturating_add(piece.start)..first.saturating_add(piece.end)
    }

    /// This rank's samples of a batch, in order.
    pub fn samples(&self, at: BatchPosition) -> impl Iterator<Item = SampleId> + '_ {
        self.positions(at.batch).map(move |position| self.order.sample(at.epoch, position))
    }

    /// The position itself, or the first of the next epoch if its epoch has no such batch.
    ///
    /// # Errors
    /// The batch lies beyond the end of the epoch (one past the last is the next epoch's first).
    pub fn normalised(&self, at: BatchPosition) -> Result<BatchPosition, ConsumerError> {
        let batches = self.batches_per_epoch();
        match at.batch.cmp(&batches) {
            std::cmp::Ordering::Less => Ok(at),
            std::cmp::Ordering::Equal => Ok(BatchPosition { epoch: at.epoch + 1, batch: 0 }),
            std::cmp::Ordering::Greater => Err(ConsumerError::StartBatch { batch: at.batch, batches }),
        }
    }

    /// The position after `at`, over the end of the epoch.
    pub fn next(&self, at: BatchPosition) -> BatchPosition {
        if at.batch + 1 < self.batches_per_epoch() {
            BatchPosition { epoch: at.epoch, batch: at.batch + 1 }
        } else {
            BatchPosition { epoch: at.epoch + 1, batch: 0 }
        }
    }
}

/// Piece `rank` of `samples` cut into `world` contiguous pieces; the first ones are longer by one
/// where they cannot be equal, so no piece of an incomplete batch exceeds that of a full one.
fn piece(samples: u64, world: u32, rank: u32) -> Range<u64> {
    let (world, rank) = (u64::from(world), u64::from(rank));
    let (each, longer) = (samples / world, samples % world);
    let cut = |rank: u64| each * rank + rank.min(longer);
    cut(rank)..cut(rank + 1)
}

#[cfg(test)]
mod tests;
