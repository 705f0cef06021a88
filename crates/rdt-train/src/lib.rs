//! How the RDT network is trained.
//!
//! The network itself, its encoders and its weights' files are [`rdt_model`]'s. Here are the
//! [parameters] that change, with optimiser and average, and the [run]: settings,
//! schedule, loop, checkpoints. Batches come from `rdt-consumer`.

#![forbid(unsafe_code)]

pub mod batch;
mod error;
pub mod parameters;
pub mod run;

#[cfg(test)]
mod golden_tests;

pub use error::TrainError;
