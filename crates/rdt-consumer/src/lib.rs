//! The consumer's data path: order, read-ahead, decode, preprocess, batch.
//!
//! ```text
//! Feed --Ticket--> Loader --SampleView--> slot of a Batch --rejoined--> Batch with its Receipt
//! ```
//!
//! [`Order`] and [`BatchOrder`] say which samples a batch holds; [`Loader`] fills batches with worker
//! threads, each decoding straight into its slot of the batch being built, and delivers them
//! in order. What a batch holds is a pure function of (buffer, seed, position): threads, ranks
//! and interruptions do not show in it.
//!
//! This crate knows no episodes, no producer and no tensors.
#![forbid(unsafe_code)]

mod augment;
mod bad_sample;
pub mod batch;
pub mod batch_order;
pub mod disturb;
mod draw;
mod error;
mod feed;
pub mod holdout;
pub mod loader;
pub mod order;
mod prepared;
mod receipt;
pub mod rows;
mod slot;
pub mod statistics;

pub use bad_sample::{BadSample, OnBadSample};
pub use batch::{Batch, BatchShape, Delivery, FrameImage, SampleRecord};
pub use batch_order::{BatchOrder, BatchPosition, LastBatch, Ranks};
pub use disturb::{Disturbance, StateMeans};
pub use error::ConsumerError;
pub use feed::End;
pub use feed::live::LiveOptions;
pub use feed::ordered::OrderedOptions;
pub use holdout::{Holdout, Selection};
pub use loader::{Layout, Loader, LoaderOptions, Workers};
pub use order::{Order, OrderKind};
pub use receipt::Receipt;
pub use statistics::LoaderStatistics;
