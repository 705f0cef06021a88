//! The promises of a live buffer, in one process: against a plain model, with crashes at every
//! change and every loss of power.

mod commands;
mod crash;
mod follower;
mod make;
mod model;
mod power;
mod start;
