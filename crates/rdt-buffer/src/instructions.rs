//! The instructions of a buffer: all wordings of all episodes.

use std::collections::HashSet;

use rdt_schema::in_full;

use crate::error::BufferError;
use crate::id::ChunkId;
use crate::parallel::over_chunks;
use crate::reader::Buffer;

/// What a buffer says to the network.
#[derive(Debug)]
pub struct Instructions {
    /// Each once: the empty one, which stands for masked ones, then those of the chunks in order.
    pub texts: Vec<String>,
    /// Chunks that could not be read, and why.
    pub unread: Vec<String>,
}

impl Instructions {
    /// Those of the chunks that are there.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn of(buffer: &Buffer) -> Result<Self, BufferError> {
        let by_chunk = over_chunks(&buffer.published_chunks()?, None, |id| of_chunk(buffer, id));
        let (mut seen, mut texts) = (HashSet::from([String::new()]), vec![String::new()]);
        let mut unread = Vec::new();
        for found in by_chunk {
            match found {
                Ok(of_chunk) => texts.extend(of_chunk.into_iter().filter(|text| seen.insert(text.clone()))),
                Err(error) => unread.push(error),
            }
        }
        Ok(Self { texts, unread })
    }
}

/// The distinct instructions of a chunk, or why they cannot be known.
fn of_chunk(buffer: &Buffer, id: ChunkId) -> Result<Vec<String>, String> {
    let chunk = buffer.map(id).map_err(|error| in_full(&error))?;
    let episodes =
        chunk.episodes().map_err(|error| format!("chunk {id} is not usable: {}", in_full(&error)))?;
    let (mut seen, mut texts) = (HashSet::new(), Vec::new());
    for instruction in episodes.iter().flat_map(|episode| &episode.info.instructions) {
        if seen.insert(&instruction.text) {
            texts.push(instruction.text.clone());
        }
    }
    Ok(texts)
}
