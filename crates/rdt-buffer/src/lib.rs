//! A buffer: a directory of chunk files, its manifest, and who may change what in it.
//!
//! `docs/protocol.md` specifies the directory, the order of writes, and what recovery finds
//! after a kill or a loss of power. Chunk bytes are `rdt-chunk`'s matter, episodes and tensors
//! are not seen here.
//!
//! - [`Buffer`] reads: it maps chunks when they are first asked for and keeps the maps.
//! - [`Samples`] is what a buffer has in common with other places that have samples.
//! - [`BufferWriter`] writes: it holds the producer lock, and [`BufferWriter::publish`] is the
//!   only way a chunk becomes visible.
//!
//! ```no_run
//! use rdt_buffer::{Buffer, SampleId};
//!
//! let buffer = Buffer::open("buffer".as_ref())?;
//! let (chunk, slot) = buffer.locate(SampleId::new(7));
//! let chunk = buffer.chunk(chunk)?;
//! println!("{}", chunk.sample(slot.get())?.episode().origin);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

pub mod bits;
pub mod embedding;
mod error;
mod id;
mod instructions;
pub mod layout;
pub mod live;
mod lock;
pub mod manifest;
mod manifest_file;
mod parallel;
mod reader;
mod recover;
mod samples;
pub mod storage;
mod writer;

pub use bits::BitCounts;
pub use error::BufferError;
pub use id::{ChunkId, SampleId, SlotIndex};
pub use instructions::Instructions;
pub use lock::ProducerLock;
pub use manifest::{
    BufferState, FORMAT_VERSION, FillSettings, LiveSettings, Manifest, ManifestDataset, SpreadSettings,
};
pub use parallel::over_chunks;
pub use reader::Buffer;
pub use recover::{Recovered, heal_bits};
pub use samples::{ReadError, Samples, Take, TellOrigin};
pub use writer::{BufferWriter, NewChunk, Published};

#[cfg(test)]
mod tests;
