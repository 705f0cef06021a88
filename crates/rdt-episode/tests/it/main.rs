//! Tests of the whole way from files to samples, by promise.

mod bad_input;
mod golden_convert;
mod golden_flatten;
mod golden_hdf5;
mod inverse;
mod libero;
mod made;
mod maniskill;
mod support;
mod windows;
