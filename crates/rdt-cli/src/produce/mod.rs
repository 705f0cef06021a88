//! The commands of `rdt-produce`.

mod args;
mod cpu;
mod report;
mod run;
mod watch;

pub use run::run;
