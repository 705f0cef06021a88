//! One test binary for all that runs the programs: each more would relink libhdf5 and
//! libtorch. A module a promise; `tests/README.md` lists which promise is where.

mod fill;
mod inspect;
mod support;
mod train;
