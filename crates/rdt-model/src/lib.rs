//! The RDT network, its frozen encoders, sampling, and weights in and out: what training and serving
//! share.
//!
//! Everything that touches a tensor and is no update is here: a batch comes as plain memory
//! ([`batch::HostBatch`]), goes to a [`device`], through the [`encoder`]s and the [`network`]; [`diffusion`]
//! makes a loss or sampled actions of it. [`policy::Policy`] puts these together. The network is
//! RDT's, with the names of its state_dict; the docs of each module say which part.
//!
//! No optimiser, no loader, no run.

#![deny(unsafe_code)]

mod acting;
pub mod batch;
pub mod checkpoint;
pub mod device;
pub mod diffusion;
pub mod encoder;
mod error;
pub mod images;
pub mod metrics;
pub mod network;
pub mod parameters;
pub mod policy;
pub mod random;
pub mod weights;

pub use acting::{Actor, Observation};
pub use error::{ModelError, TorchWords};
