//! One test binary for all that runs the programs: each more would relink libhdf5 and
//! libtorch. A module a promise; `tests/README.md` lists which promise is where.

mod bad_input;
mod cut;
mod direct;
mod embed;
mod fill;
mod frame_size;
mod image_delivery;
mod inspect;
mod kill;
mod live;
mod loader;
mod made;
mod memory;
mod mixing;
mod opening;
mod support;
mod train;
mod units;
