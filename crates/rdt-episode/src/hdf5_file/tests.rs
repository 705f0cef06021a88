//! Tests of reading HDF5 files.
