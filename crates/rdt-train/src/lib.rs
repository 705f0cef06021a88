//! The RDT network and how it is trained.
//!
//! Everything that touches a tensor is here, and nothing else is: batches come from
//! `rdt-consumer` as plain memory and become tensors in [`batch`]. The network is RDT's,
//! with the names of its state_dict; `docs` of each module say which part.
//!
//! [`train`] is the loop, meant to be read from top to bottom.

#![deny(unsafe_code)]

pub mod adaptor;
pub mod attention;
pub mod batch;
pub mod block;
pub mod checkpoint;
pub mod device;
pub mod device_resize;
pub mod diffusion;
pub mod ema;
pub mod embedder;
pub mod encoder;
mod error;
pub mod evaluate;
pub mod event_file;
pub mod export;
pub mod flat_parameters;
mod host_memory;
pub mod images;
pub mod inputs;
pub mod late;
pub mod linear;
pub mod memory;
pub mod metrics;
pub mod metrics_log;
mod micro_steps;
pub mod network;
pub mod norm;
pub mod optimizer;
pub mod policy;
pub mod position;
pub mod pretrained;
pub mod random;
pub mod rdt_config;
pub mod recompute;
mod run_lock;
pub mod sampler;
pub mod schedule;
pub mod settings;
mod shim;
pub mod tensor_file;
pub mod train;
pub mod trainer;
mod underway;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod train_tests;

pub use error::{TorchWords, TrainError};
pub use network::{NetworkShape, Rdt};
