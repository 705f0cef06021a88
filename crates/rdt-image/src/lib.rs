//! How RDT prepares a frame for the image encoder: padded to a square, resized, normalised.
//!
//! There is one definition of it, for three places: the consumer prepares frames while it loads,
//! the producer may store them prepared, and the trainer does the same on the device, from
//! the weights of [`Coefficients`]. This crate knows pixels only: no chunks, no tensors.
#![forbid(unsafe_code)]

mod coefficients;
mod error;
mod normalise;
mod passes;
mod resize;

pub use coefficients::{Coefficients, PRECISION_BITS};
pub use error::ImageError;
pub use normalise::{NORMALISE_FACTORS, normalise, normalised};
pub use resize::{BACKGROUND, MOST_SIDE, Picture, Preprocessor};

#[cfg(test)]
mod tests;
