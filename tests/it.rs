//! One test binary for all that runs the programs: each relinks libhdf5 and libtorch.
