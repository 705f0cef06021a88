//! The promises of a buffer's directory, on a real file system and on one that fails.

pub(crate) mod faulty;
pub(crate) mod make;
mod manifest;
mod publish;
mod reader;
