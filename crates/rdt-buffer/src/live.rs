//! The live buffer: producers refill chunks while consumers drain them.
//!
//! `docs/protocol.md`, "The live buffer", specifies states, transitions and who may make them.
//!
//! - [`LiveWriter`] hands out [`Lease`]s: the only way to refill a chunk. A lease is one value for
//!   a chunk and its next generation, so a chunk's content cannot reach another chunk's place.
//! - [`Follower`] hands out [`Claimed`] samples: each is one slot of one generation that no other
//!   consumer has, until it is delivered or, by being dropped, given back.
//! - [`totals()`] counts what became of all samples, from the files alone.

mod claims;
mod clean_dirty;
mod consumers;
mod follower;
mod generations;
mod lease;
mod live_writer;
mod settle;
mod shard;
mod slot_bits;
mod totals;
mod words;

pub use claims::{Claims, SlotCounts};
pub use clean_dirty::clean_dirty;
pub use consumers::{ConsumerInfo, alive_consumers};
pub use follower::{Claimed, Follower, FollowerOptions, Origin};
pub use generations::Generation;
pub use lease::{Lease, LeasedChunk};
pub use live_writer::{LiveWriter, MOST_LIVE_CHUNKS};
pub(crate) use shard::producer_locks;
pub use shard::{Shard, producers_alive};
pub use totals::{Totals, totals};

#[cfg(test)]
mod tests;
