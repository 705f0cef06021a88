//! What a training changes: the parameters, their moments and their average, and the gradients that
//! change them. All are flat buffers of one [layout](rdt_model::parameters).

pub mod ema;
mod flat;
pub mod optimizer;
pub mod recompute;

pub use flat::FlatParameters;
