//! The embeddings of a buffer's frames: one file a chunk generation, found by the chunk.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rdt_chunk::Header;

use crate::embedding::EmbeddingFile;
use crate::embedding::header::{Content, EmbeddingHeader};
use crate::error::BufferError;
use crate::id::ChunkId;
use crate::layout;
use crate::storage::file_names;

/// Files kept open; a process may have 1,024 by default.
const OPEN_FILES: usize = 256;

/// The embeddings of the frames of one buffer, read by any number of threads.
#[derive(Debug)]
pub struct ImageEmbeddings {
    dir: PathBuf,
    /// Of the first file: the others agree in encoder, width and element.
    header: EmbeddingHeader,
    tokens: u32,
    open: Mutex<OpenFiles>,
}

#[derive(Debug, Default)]
struct OpenFiles {
    /// By chunk: the generation, the file, and when it was last asked for.
    files: HashMap<u32, (u64, Arc<EmbeddingFile>, u64)>,
    asked: u64,
}

/// Chunks and generations of the published files, in order.
///
/// # Errors
/// The folder cannot be listed.
pub fn image_files(dir: &Path) -> Result<Vec<(ChunkId, u64)>, BufferError> {
    let folder = layout::image_embeddings(dir);
    let names = file_names(&folder).map_err(|e| BufferError::io("list", folder, e))?;
    Ok(names.iter().filter_map(|name| layout::parse_image_embedding(name)).collect())
}

/// Tokens of an image: those of the background, the last record.
fn tokens(file: &EmbeddingFile) -> u32 {
    file.tokens(file.header().records - 1)
}

/// The record of the background.
pub fn background(chunk: &Header) -> u32 {
    chunk.frames
}

impl ImageEmbeddings {
    /// Opens those of the buffer at `dir`; none where no frame was embedded yet.
    ///
    /// # Errors
    /// The first file is damaged, or no embeddings of images.
    pub fn open(dir: &Path) -> Result<Option<Self>, BufferError> {
        let Some(&(chunk, generation)) = image_files(dir)?.first() else { return Ok(None) };
        let path = layout::image_embedding(dir, chunk, generation);
        let first = EmbeddingFile::open(&path)?;
        let (header, tokens) = (*first.header(), tokens(&first));
        if header.content != Content::Images || tokens == 0 {
            return Err(BufferError::DamagedEmbedding {
                path,
                found: format!("{:?}, {tokens} tokens of the background", header.content),
                expected: "embeddings of images, the background among them".into(),
            });
        }
        Ok(Some(Self { dir: dir.to_owned(), header, tokens, open: Mutex::default() }))
    }

    /// What the first file says: encoder, width, element.
    pub fn header(&self) -> &EmbeddingHeader {
        &self.header
    }

    /// Tokens of an image.
    pub fn tokens(&self) -> u32 {
        self.tokens
    }

    /// Bytes of an image's embedding.
    pub fn image_bytes(&self) -> usize {
        self.tokens as usize * self.header.token_bytes()
    }

    /// The embeddings of a chunk's frames: record n is frame n, the last one the background.
    ///
    /// # Errors
    /// There are none, they are damaged, of another chunk, or of another encoder than the first.
    pub fn of_chunk(&self, chunk: &Header) -> Result<Arc<EmbeddingFile>, BufferError> {
        let mut open = self.opened();
        open.asked += 1;
        let asked = open.asked;
        if let Some((generation, file, last)) = open.files.get_mut(&chunk.chunk)
            && *generation == chunk.generation
        {
            *last = asked;
            return Ok(Arc::clone(file));
        }
        drop(open);
        let file = Arc::new(self.open_file(chunk)?);
        let mut open = self.opened();
        while open.files.len() >= OPEN_FILES {
            let oldest = open.files.iter().min_by_key(|(_, (_, _, last))| *last).map(|(&chunk, _)| chunk);
            let Some(oldest) = oldest else { break };
            open.files.remove(&oldest);
        }
        open.files.insert(chunk.chunk, (chunk.generation, Arc::clone(&file), asked));
        Ok(file)
    }

    /// A panic elsewhere leaves the table whole, so a poisoned lock is taken as it is.
    fn opened(&self) -> MutexGuard<'_, OpenFiles> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_file(&self, chunk: &Header) -> Result<EmbeddingFile, BufferError> {
        let path = layout::image_embedding(&self.dir, ChunkId::new(chunk.chunk), chunk.generation);
        if !path.exists() {
            return Err(BufferError::NoImageEmbeddings {
                dir: self.dir.clone(),
                chunk: ChunkId::new(chunk.chunk),
                generation: chunk.generation,
            });
        }
        let file = EmbeddingFile::open(&path)?;
        let (found, first) = (file.header(), &self.header);
        let expected = EmbeddingHeader {
            chunk: chunk.chunk,
            chunk_crc: chunk.own_checksum(),
            generation: chunk.generation,
            records: background(chunk) + 1,
            texts_length: 0,
            ..*first
        };
        if *found != expected || tokens(&file) != self.tokens {
            return Err(BufferError::DamagedEmbedding {
                path,
                found: format!("{found:?} of {} tokens", tokens(&file)),
                expected: format!(
                    "{expected:?} of {} tokens, as the chunk and the first file say",
                    self.tokens
                ),
            });
        }
        Ok(file)
    }
}
