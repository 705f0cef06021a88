//! What both fuzz targets do with a byte string: everything that a reader can.
#![forbid(unsafe_code)]

mod read_all;
mod reseal;

pub use read_all::read_all;
pub use reseal::reseal;
