//! What the three programs share: arguments, exit codes, signals, progress, pictures.
//!
//! Each program is a thin `main` in `src/bin`; its commands are modules here, one file a
//! command. The only place where an outcome becomes an exit code is [`exit`].
#![forbid(unsafe_code)]

pub mod args;
pub mod consume;
pub mod datasets;
pub mod exit;
pub mod inspect;
pub mod picture;
pub mod print;
pub mod progress;
pub mod signals;
