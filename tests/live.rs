//! The live buffer, by the real programs: producers that refill while consumers drain, killed at
//! random and not.

mod commands;
mod data;
mod torture;
