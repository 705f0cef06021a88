//! How well orders mix episodes: ours on a buffer, and those of other loaders, simulated on the
//! same episodes.
//!
//! No sample is read: an order is a sequence of sample ids, and a [`layout::Layout`] says whose
//! each is. `docs/mixing.md` defines the figures.

pub mod layout;
pub mod measure;
pub mod peers;
mod random;
mod table;

pub use layout::Layout;
pub use measure::{Figures, measure};
pub use peers::Peer;
pub use table::{Row, table};
