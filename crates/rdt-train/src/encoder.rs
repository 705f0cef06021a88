//! The frozen encoders of images and instructions.
//!
//! Encoders run without gradients. The two of RDT (SigLIP, T5) read Hugging Face folders;
//! the two small ones are random and untrained, for demonstrations without any download.

pub mod image;
pub mod language;
