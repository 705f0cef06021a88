//! The commands of `rdt-consume` that need no libtorch, one file a command: each has its
//! `Args` and a `run` that prints results on standard output and says how it ended. Those
//! that do are beside the program, in `src/bin/rdt-consume`.

pub mod bench;
pub mod disturbance;
pub mod follow_flags;
pub mod holdout;
pub mod image_delivery;
pub mod order;
pub mod order_flags;
pub mod source;
