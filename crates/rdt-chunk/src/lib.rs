//! One chunk file: its bytes, checksums, frame codecs, writer, reader and map.
//!
//! A chunk holds a few hundred samples of one buffer in one write-once file; its layout
//! is specified in `docs/format.md`. This crate knows bytes only: directories, episodes
//! on disk and tensors are other crates' matter.
//!
//! [`ChunkWriter`] streams episodes into anything that writes and seeks. [`Chunk`] reads
//! anything that is a slice of bytes; [`map()`] opens a file as one. Reading rests on three
//! rules:
//!
//! - any byte string is either refused with a [`ChunkError`] or a valid chunk;
//! - opening looks at the header only, the tables are checked at their first use, the
//!   rows before the first row is delivered and a frame at each decoding, so a flipped
//!   bit never reaches a sample;
//! - a sample is found from the tables, without reading the others.
//!
//! ```
//! use rdt_chunk::{Chunk, ChunkError, ChunkSpec, ChunkWriter, FrameDecoder, ImageCodec};
//! use rdt_schema::{CameraSlot, DatasetSchema, EpisodeInfo, FrameEncoding, FrameForm, Instruction, Origin, Window};
//!
//! let schema = DatasetSchema {
//!     name: "toy".into(),
//!     state_columns: vec![30, 31],
//!     action_columns: vec![30, 31],
//!     window: Window::next_state(4, 2),
//!     cameras: [true, false, false, false],
//!     control_freq: 20.0,
//!     norm_of_actions: false,
//! };
//! let info = EpisodeInfo {
//!     origin: Origin { source: "toy.hdf5".into(), key: "demo_0".into() },
//!     states: 3,
//!     actions: 3,
//!     steps: 3,
//!     first_step: 0,
//!     num_steps: 2,
//!     cameras: schema.cameras,
//!     instructions: Instruction::only("Wait."),
//!     state_std: vec![0.5; 2],
//!     state_mean: vec![1.0; 2],
//!     state_norm: vec![1.0; 2],
//! };
//! let form = FrameForm {
//!     encoding: FrameEncoding::Raw,
//!     height: 2,
//!     width: 2,
//!     order: Default::default(),
//!     flip: Default::default(),
//! };
//! let spec = ChunkSpec { chunk: 0, generation: 0, capacity: 3, plan_digest: [0; 16] };
//! let states = [0.0, 0.0, 1.0, 1.0, 2.0, 2.0];
//! let out = std::io::Cursor::new(Vec::new());
//! let mut writer = ChunkWriter::create(out, spec, ImageCodec::Auto, vec![schema])?;
//! writer.add_episode::<ChunkError>(0, info, &states, &states, &[0, 1, 2], &mut |_, step, pixels| {
//!     pixels.resize(12, step as u8);
//!     Ok(form)
//! })?;
//! let (out, _) = writer.finish()?;
//!
//! let chunk = Chunk::open(out.into_inner())?;
//! let sample = chunk.sample(1)?;
//! let frame = sample.frame(CameraSlot::External, 1).expect("the camera is there");
//! let mut pixels = Vec::new();
//! assert_eq!(FrameDecoder::new().decode(&frame, &mut pixels)?, (2, 2));
//! assert_eq!(pixels, [1; 12]);
//! # Ok::<(), ChunkError>(())
//! ```
#![deny(unsafe_code)]

mod checksum;
mod chunk;
mod codec;
mod decode;
mod encode;
mod error;
mod frame_storage;
mod frame_table;
mod frame_view;
mod header;
mod layout;
mod map;
mod metadata;
mod rows;
mod sample_table;
mod spans;
mod view;
mod writer;

pub use chunk::Chunk;
pub use codec::{FrameCodec, ImageCodec};
pub use decode::FrameDecoder;
pub use encode::ZSTD_REF_INTERVAL;
pub use error::{ChunkError, Place};
pub use frame_storage::FrameStorage;
pub use frame_table::{MAX_FRAME_PIXELS, MAX_FRAME_SIDE, MAX_SAMPLE_PIXELS};
pub use frame_view::FrameView;
pub use header::{FORMAT_VERSION, HEADER_LENGTH, Header, MAGIC};
pub use map::map;
pub use metadata::{ChunkEpisode, MAX_METADATA_BYTES, MAX_WINDOW_FRAMES, MAX_WINDOW_ROWS};
pub use view::SampleView;
pub use writer::{ChunkSpec, ChunkSummary, ChunkWriter, FrameSource};

#[cfg(test)]
mod tests;
