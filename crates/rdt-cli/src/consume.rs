//! The commands of `rdt-consume`, one file a command: each has its `Args` and a `run` that
//! prints results on standard output and says how it ended.
//!
//! `order` and `bench` need no libtorch.

pub mod bench;
pub mod conditioning;
#[cfg(feature = "torch")]
pub mod export_weights;
pub mod order;
#[cfg(feature = "torch")]
pub mod sample;
#[cfg(feature = "torch")]
pub mod train;
