//! The commands of `rdt-buf`, one file a command: each has its `Args` and a `run` that
//! prints results on standard output and says how it ended.
//!
//! Nothing here changes a buffer. A bad sample is named and counted; it never ends a
//! command that looks at many.

/// Prints a line on standard output, in a function that returns [`anyhow::Result`].
macro_rules! say {
    ($($text:tt)*) => { $crate::print::line(format_args!($($text)*))? };
}

pub mod dataset_stat;
pub mod export;
pub mod mixing;
pub mod sample;
pub mod show;
pub mod stat;
pub mod verify;
pub mod watch;
pub mod which;

use std::path::Path;

use rdt_buffer::Buffer;
use rdt_inspect::InspectError;

use crate::exit::Usage;

/// Opens a buffer in any state.
///
/// # Errors
/// As of [`rdt_inspect::open`].
pub fn open(dir: &Path) -> anyhow::Result<Buffer> {
    Ok(rdt_inspect::open(dir)?)
}

/// An error of looking at a buffer, as wrong usage where it is that.
pub fn usage_or_failure(error: InspectError) -> anyhow::Error {
    if error.is_usage() { Usage::from_error(error) } else { error.into() }
}

/// Says on standard error that a fill has not reached its end, if so.
pub fn note_if_unfinished(buffer: &Buffer) {
    if buffer.manifest().state == rdt_buffer::BufferState::Filling {
        eprintln!(
            "note: the fill of {} is not finished; what follows is about the chunks that are there",
            buffer.dir().display()
        );
    }
}
