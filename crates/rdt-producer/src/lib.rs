//! From data sets of episodes to a filled buffer: plan, fill, dry run.
//!
//! A fill is planned before anything is written: one pass over all source files finds what is
//! good, counts steps, and gathers statistics ([`Plan`]). What a chunk holds follows from the plan
//! and the chunk's number alone, so any number of workers, in any order, interrupted or not,
//! writes the same bytes. Each chunk carries a digest of its part of the plan; a fill that is run
//! again keeps the chunks whose digest fits and writes the others.
//!
//! Directories and publishing are `rdt-buffer`'s matter, source files `rdt-episode`'s; consumers
//! and tensors are not seen here.
//!
//! ```no_run
//! use rdt_producer::{DatasetSpec, Options, StopFlag, fill};
//! use rdt_schema::Config;
//!
//! let text = std::fs::read_to_string("configs/base.yaml")?;
//! let config = Config::from_text(&text, "configs/base.yaml".as_ref())?;
//! let dataset = DatasetSpec::parse("libero=/data/libero_90")?;
//! let options = Options::new(vec![dataset], config, "configs/base.yaml".into(), text);
//! let report = fill(&options, "buffer".as_ref(), &StopFlag::default(), &|_| {})?;
//! println!("{} samples in {} chunks", report.samples, report.chunks);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod digest;
mod direct;
mod error;
mod event;
mod fill;
mod follow;
mod options;
mod plan;
mod predict;
mod report;
mod resume;
mod scan;
mod sources;
mod spec;
pub mod spread;
mod worker;

pub use direct::DirectSamples;
pub use error::ProducerError;
pub use event::{Event, StopFlag};
pub use fill::fill;
pub use follow::{Figures, Follow, FollowOptions, FollowReport};
pub use options::{Options, Sampling};
pub use plan::{Piece, Plan, PlannedDataset};
pub use predict::predict;
pub use report::{DatasetReport, FillReport, Prediction};
pub use scan::scan;
pub use sources::Sources;
pub use spec::{DatasetListKind, DatasetSpec, read_list};
pub use spread::Spread;

#[cfg(test)]
mod tests;
