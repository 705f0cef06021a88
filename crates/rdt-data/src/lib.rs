//! A source of samples and its batches, put together from values.
//!
//! A [`SourceSpec`] says where samples are (a buffer, or source files), a [`BatchSpec`] how they become
//! batches. Each is checked before anything slow is done; then [`SourceSpec::open`] gives a [`Source`],
//! [`BatchSpec::prepare`] its [`Batches`], and [`Batches::loader`] what a training loop takes. Whoever
//! trains, evaluates or looks does it through these, whatever its settings are called.
//!
//! No libtorch, no flags, no printing; HDF5 by the feature `hdf5`.
//!
//! ```no_run
//! use rdt_data::{BatchSpec, ConfigChoice, Place, SourceSpec};
//! use rdt_consumer::Ranks;
//! # use std::sync::{Arc, atomic::AtomicBool};
//!
//! let place = Place::Buffer("/fast/buffer".into());
//! let spec = SourceSpec { place, config: ConfigChoice::OfTheBuffer, is_complete: true };
//! let source = spec.open(Arc::default(), &|_| {})?;
//! let batches = BatchSpec { ranks: Ranks { rank: 1, world: 2 }, ..BatchSpec::training(&source.config, 0, 32) };
//! let mut loader = batches.prepare(&source)?.loader(Default::default(), None)?;
//! while let Some(batch) = loader.next(&AtomicBool::new(false))? {
//!     println!("{:?}: {} samples", batch.position(), batch.len());
//!     batch.into_receipt().deliver();
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod batches;
mod embedded;
#[cfg(feature = "hdf5")]
mod episodes;
mod error;
mod evaluation;
mod length;
mod source;

pub use batches::{BatchSpec, Batches, Images, Live, OrderChoice, Side};
pub use embedded::check_instructions;
#[cfg(feature = "hdf5")]
pub use episodes::Episodes;
pub use error::DataError;
pub use evaluation::Evaluation;
pub use length::{EpochLength, Length};
pub use source::{ConfigChoice, Place, Scanned, Source, SourceEvent, SourceSpec};
