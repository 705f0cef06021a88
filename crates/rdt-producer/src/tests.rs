//! Fills of small data sets that the tests write themselves.

mod bad;
mod layout;
pub(crate) mod make;
mod resume;
mod spread;
