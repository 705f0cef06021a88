//! Tests of the whole way from files to samples, by promise.

mod golden_convert;
mod golden_flatten;
mod golden_hdf5;
mod libero;
mod support;
