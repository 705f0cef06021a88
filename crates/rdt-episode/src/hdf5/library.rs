//! Calls into the HDF5 library: taken together under its lock, with its message kept.
//!
//! The lock is recursive, so a closure may make many calls and pay for the lock once; other
//! threads then see one short wait instead of dozens.

use std::fmt;

/// What the library said: an owned text, free of handles into the library.
#[derive(Debug)]
pub(super) struct Message(String);

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Message {}

impl From<hdf5::Error> for Message {
    fn from(error: hdf5::Error) -> Self {
        // Outermost and innermost frame: what was tried, and why it failed.
        Self(format!("HDF5 library: {error}"))
    }
}

/// Runs calls under the library's lock, its own printing to stderr switched off.
pub(super) fn library<T>(calls: impl FnOnce() -> hdf5::Result<T>) -> Result<T, Message> {
    hdf5::sync::sync(|| {
        hdf5::silence_errors(true);
        calls().map_err(Message::from)
    })
}
