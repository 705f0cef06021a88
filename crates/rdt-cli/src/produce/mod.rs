//! The commands of `rdt-produce`.

mod args;
mod cpu;
mod follow;
mod live_args;
mod metrics;
mod report;
mod run;
mod status;
mod watch;

pub(crate) use run::run;
