//! Episodes out of source files, by dataset card. Each format of files has a folder of its own behind one
//! seam, `container`; HDF5 is the one there is, a feature of this crate.
//!
//! A [`Dataset`] is a card and a path. It lists its files; a [`SourceFile`] lists its episodes; an
//! [`Episode`] holds the rows of the unified vector's active columns in `f64` and reads frames one
//! at a time. [`flatten::sample`] makes one step's sample straight from an episode.
//!
//! This crate knows nothing of chunks, buffers or tensors, and never writes a file.
//!
//! ```no_run
//! use std::path::Path;
//! use rdt_episode::{Dataset, EpisodeError, Verdict};
//! use rdt_schema::{Config, DatasetCard};
//!
//! let config = Config::from_file(Path::new("configs/base.yaml"))?;
//! let card = DatasetCard::find("libero", None)?;
//! let mut dataset = Dataset::open("libero", card, Path::new("/data/libero_90"), &config)?;
//! dataset.prepare()?;
//! for name in dataset.files() {
//!     let file = dataset.open_file(name)?;
//!     for key in file.keys() {
//!         match file.episode(key)? {
//!             Verdict::Accepted(episode) => println!("{}", episode.info().origin),
//!             Verdict::Filtered(reason) => println!("{name}:{key} left out: {reason}"),
//!         }
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod camera;
mod container;
mod dataset;
mod episode;
mod error;
mod files;
pub mod flatten;
#[cfg(feature = "hdf5")]
pub mod hdf5;
mod instruction;
mod matrix;
mod read;

pub use camera::{MemoryFrames, read_png};
pub use dataset::Dataset;
pub use episode::{Episode, Recording};
pub use error::{Cause, ContentFault, EpisodeError, OpenFault};
pub use matrix::Matrix;
pub use read::{SourceFile, Verdict};
