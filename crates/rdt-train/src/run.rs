//! A run: from settings and batches to checkpoints.
//!
//! [`train`] is the loop, meant to be read from top to bottom.

pub mod checkpoint;
pub mod evaluate;
pub mod inputs;
mod lock;
pub mod log;
mod memory_plan;
mod micro_steps;
pub mod schedule;
pub mod settings;
pub mod train;
pub mod trainer;
mod underway;

#[cfg(test)]
mod tests;
