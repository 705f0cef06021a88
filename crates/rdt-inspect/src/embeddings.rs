//! The embeddings that a buffer holds: how many, of which encoder, whether any are missing or
//! damaged.

use std::path::PathBuf;

use rdt_buffer::embedding::{
    Element, EmbeddingFile, ImageEmbeddings, LanguageEmbeddings, image_files, segments,
};
use rdt_buffer::{Buffer, BufferError, Instructions, layout};
use serde::Serialize;

use crate::error::Result;

/// What `stat` says of embeddings; null where there are none.
#[derive(Debug, Default, Serialize)]
pub struct EmbeddingsReport {
    /// Of instructions.
    pub language: Option<LanguageReport>,
    /// Of frames.
    pub images: Option<ImagesReport>,
    /// Files that cannot be read.
    pub damaged: Vec<DamagedEmbeddings>,
}

/// Stored embeddings of instructions.
#[derive(Debug, Serialize)]
pub struct LanguageReport {
    /// Instructions with an embedding, the empty one included.
    pub instructions: u64,
    /// Instructions of the buffer without one: `rdt-consume embed` makes them.
    pub missing: u64,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Numbers of a token.
    pub width: u32,
    /// What a number is stored as.
    pub element: Element,
    /// Digest of the encoder.
    pub encoder: String,
}

/// Stored embeddings of frames.
#[derive(Debug, Serialize)]
pub struct ImagesReport {
    /// Chunks whose frames have embeddings.
    pub chunks: u64,
    /// Chunks without, or of another generation: `rdt-consume embed --images` makes them.
    pub missing_chunks: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Tokens of an image.
    pub tokens: u32,
    /// Numbers of a token.
    pub width: u32,
    /// What a number is stored as.
    pub element: Element,
    /// Digest of the encoder.
    pub encoder: String,
}

/// A file of embeddings that is not what was written.
#[derive(Debug, Serialize)]
pub struct DamagedEmbeddings {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub reason: String,
}

impl EmbeddingsReport {
    /// Of a buffer in any state. Embeddings themselves are not read.
    ///
    /// # Errors
    /// A folder cannot be listed.
    pub fn of(buffer: &Buffer) -> Result<Self> {
        let mut report = Self::default();
        match LanguageEmbeddings::open(buffer.dir()) {
            Ok(None) => {}
            Ok(Some(stored)) => report.language = Some(language(buffer, &stored)?),
            Err(error) => report.damaged.push(DamagedEmbeddings {
                path: layout::language_embeddings(buffer.dir()),
                reason: error.to_string(),
            }),
        }
        match ImageEmbeddings::open(buffer.dir()) {
            Ok(None) => {}
            Ok(Some(stored)) => report.images = Some(images(buffer, &stored, &mut report.damaged)?),
            Err(error) => report.damaged.push(DamagedEmbeddings {
                path: layout::image_embeddings(buffer.dir()),
                reason: error.to_string(),
            }),
        }
        Ok(report)
    }
}

fn images(
    buffer: &Buffer,
    stored: &ImageEmbeddings,
    damaged: &mut Vec<DamagedEmbeddings>,
) -> Result<ImagesReport> {
    let (mut chunks, mut missing_chunks, mut bytes) = (0, 0, 0);
    for id in buffer.published_chunks()? {
        // A chunk that cannot be read is reported as such.
        let Ok(chunk) = buffer.map(id) else { continue };
        match stored.of_chunk(chunk.header()) {
            Ok(file) => {
                chunks += 1;
                bytes += std::fs::metadata(file.path()).map_or(0, |data| data.len());
            }
            Err(BufferError::NoImageEmbeddings { .. }) => missing_chunks += 1,
            Err(error) => damaged.push(DamagedEmbeddings {
                path: layout::image_embedding(buffer.dir(), id, chunk.header().generation),
                reason: error.to_string(),
            }),
        }
    }
    let header = stored.header();
    Ok(ImagesReport {
        chunks,
        missing_chunks,
        bytes,
        tokens: stored.tokens(),
        width: header.width,
        element: header.element,
        encoder: header.encoder.to_string(),
    })
}

fn language(buffer: &Buffer, stored: &LanguageEmbeddings) -> Result<LanguageReport> {
    // A chunk that cannot be read is reported as such.
    let texts = Instructions::of(buffer)?.texts;
    let missing = texts.iter().filter(|text| !stored.contains(text)).count();
    let paths = stored.files().map(|number| layout::language_embedding(buffer.dir(), number));
    let header = stored.header();
    Ok(LanguageReport {
        instructions: stored.len() as u64,
        missing: missing as u64,
        files: stored.files().count() as u64,
        bytes: paths.filter_map(|path| std::fs::metadata(path).ok()).map(|data| data.len()).sum(),
        width: header.width,
        element: header.element,
        encoder: header.encoder.to_string(),
    })
}

/// Reads every embedding and compares its checksum: how many files were looked at, and those
/// that are not what was written.
///
/// # Errors
/// A folder cannot be listed.
pub fn verify(buffer: &Buffer) -> Result<(u64, Vec<DamagedEmbeddings>)> {
    let dir = buffer.dir();
    let mut paths: Vec<PathBuf> =
        segments(dir)?.into_iter().map(|number| layout::language_embedding(dir, number)).collect();
    let images = image_files(dir)?.into_iter();
    paths.extend(images.map(|(id, generation)| layout::image_embedding(dir, id, generation)));
    let damaged = paths.iter().filter_map(|path| {
        let error = EmbeddingFile::open(path).and_then(|file| file.verify()).err()?;
        Some(DamagedEmbeddings { path: path.clone(), reason: error.to_string() })
    });
    Ok((paths.len() as u64, damaged.collect()))
}
