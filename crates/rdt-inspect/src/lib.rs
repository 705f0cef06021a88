//! What there is to know of a buffer, as values.
//!
//! A [`stat::Report`] says what is in it, [`verify::check`] whether it is what was written and what the
//! sources say, [`locate::Which`] finds a sample, [`export::export`] writes it in RDT's layout,
//! [`mixing`] says how well orders mix it. Nothing here changes a buffer, prints, or knows a flag. A bad
//! sample is named and counted; it never ends a look at many.
#![forbid(unsafe_code)]

pub mod dataset_stat;
pub mod embeddings;
mod error;
pub mod export;
pub mod live_status;
pub mod locate;
pub mod mixing;
pub mod number;
pub mod sample;
pub mod stat;
pub mod survey;
pub mod verify;

use std::path::Path;

use rdt_buffer::Buffer;

pub use error::InspectError;

/// Opens a buffer in any state.
///
/// # Errors
/// It is none, or its manifest cannot be read.
pub fn open(dir: &Path) -> std::result::Result<Buffer, InspectError> {
    Ok(Buffer::open(dir)?)
}
