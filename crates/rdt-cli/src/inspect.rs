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
pub mod embeddings;
pub mod export;
pub mod locate;
pub mod mixing;
pub mod number;
pub mod sample;
pub mod show;
pub mod stat;
pub mod survey;
pub mod verify;
pub mod watch;

use std::path::Path;

use rdt_buffer::Buffer;

/// Opens a buffer in any state.
///
/// # Errors
/// As [`Buffer::open`].
pub fn open(dir: &Path) -> anyhow::Result<Buffer> {
    Ok(Buffer::open(dir)?)
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
