//! The frozen encoders of images and instructions.
//!
//! Encoders run without gradients. The two of RDT (SigLIP, T5) read Hugging Face folders;
//! the two small ones are random and untrained, for demonstrations without any download.

mod choice;
pub mod hugging_face;
mod identity;
pub mod image;
pub mod instruction_embeddings;
pub mod language;
mod layers;
mod sentencepiece;
pub mod siglip;
pub mod stored;
pub mod stored_images;
pub mod stored_language;
pub mod t5;
pub mod t5_instructions;
pub mod tokenizer;

pub use choice::EncoderFolders;

#[cfg(test)]
mod golden_tests;
