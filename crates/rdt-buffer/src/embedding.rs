//! Embeddings beside the chunks: what a frozen encoder makes of instructions and frames, stored
//! once, so that training needs neither the encoder nor its work.
//!
//! An embedding file is written once, like a chunk: [`EmbeddingWriter`] fills a temporary file
//! and [`EmbeddingWriter::publish`] puts it in place. [`EmbeddingFile`] reads one with `pread`,
//! record by record, each under its checksum. `docs/format.md` specifies the bytes,
//! `docs/protocol.md` the folder. Which encoder made an embedding is known by its
//! [`EncoderDigest`]; encoders themselves are not seen here.

mod file;
mod header;
mod images;
mod language;
mod lock;
mod shown;
mod writer;

pub use file::EmbeddingFile;
pub use header::{
    Content, Element, EmbeddingHeader, EncoderDigest, FORMAT_VERSION, HEADER_LENGTH, MAGIC, MAX_RECORDS,
    MAX_TEXTS_BYTES, RECORD_LENGTH,
};
pub use images::{ImageEmbeddings, background, image_files};
pub use language::{LanguageEmbeddings, segments};
pub use lock::EmbedderLock;
pub use shown::{Shown, shown};
pub use writer::EmbeddingWriter;

#[cfg(test)]
mod tests;
