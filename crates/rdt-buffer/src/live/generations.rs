//! Finding the generations of chunks: which there are, and where their samples are.
//!
//! Bits files name chunk and generation, so a listing of `bits/` names all generations that may
//! have samples. The payload of the newest is `chunks/<chunk>.chunk`; that of one that was replaced
//! while samples of it were out, `retired/<chunk>-<generation>.chunk`.

use std::io::ErrorKind;
use std::path::Path;

use memmap2::Mmap;
use rdt_chunk::{Chunk, ChunkError};

use crate::error::BufferError;
use crate::id::ChunkId;
use crate::layout;
use crate::manifest::Manifest;
use crate::storage::file_names;

/// A generation of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation {
    /// The chunk.
    pub chunk: ChunkId,
    /// Which filling of it.
    pub generation: u64,
}

/// All generations that have bits, in order.
pub(crate) fn listed(dir: &Path) -> Result<Vec<Generation>, BufferError> {
    let folder = dir.join(layout::BITS);
    let names = file_names(&folder).map_err(|e| BufferError::io("list", folder, e))?;
    let parse = |name: &String| layout::parse_bits(name);
    let mut all: Vec<Generation> =
        names.iter().filter_map(parse).map(|(chunk, generation)| Generation { chunk, generation }).collect();
    all.sort_unstable();
    Ok(all)
}

/// All replaced generations whose payload is still there, in order.
pub(crate) fn retired(dir: &Path) -> Result<Vec<Generation>, BufferError> {
    let folder = dir.join(layout::RETIRED);
    let names = file_names(&folder).map_err(|e| BufferError::io("list", folder, e))?;
    let parse = |name: &String| layout::parse_retired(name);
    let mut all: Vec<Generation> =
        names.iter().filter_map(parse).map(|(chunk, generation)| Generation { chunk, generation }).collect();
    all.sort_unstable();
    Ok(all)
}

/// Maps a chunk file; `None` where there is none.
pub(crate) fn map_if_any(id: ChunkId, path: &Path) -> Result<Option<Chunk<Mmap>>, BufferError> {
    match rdt_chunk::map(path) {
        Ok(chunk) => Ok(Some(chunk)),
        Err(ChunkError::File { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(BufferError::Chunk { chunk: id, source }),
    }
}

/// The newest generation of a chunk; `None` where the chunk is absent.
pub(crate) fn newest(dir: &Path, id: ChunkId) -> Result<Option<u64>, BufferError> {
    Ok(map_if_any(id, &layout::chunk(dir, id))?.map(|chunk| chunk.header().generation))
}

/// The payload of a generation; `None` where it is not published yet, or settled already.
pub(crate) fn payload(
    dir: &Path,
    manifest: &Manifest,
    wanted: Generation,
) -> Result<Option<Chunk<Mmap>>, BufferError> {
    let Generation { chunk: id, generation } = wanted;
    for path in [layout::chunk(dir, id), layout::retired(dir, id, generation)] {
        if let Some(chunk) = map_if_any(id, &path)?
            && chunk.header().generation == generation
        {
            check(manifest, id, &path, &chunk)?;
            return Ok(Some(chunk));
        }
    }
    Ok(None)
}

/// Holds a chunk against the manifest.
fn check(manifest: &Manifest, id: ChunkId, path: &Path, chunk: &Chunk<Mmap>) -> Result<(), BufferError> {
    let foreign = |what, found: String, expected: String| BufferError::ForeignChunk {
        path: path.to_owned(),
        what,
        found,
        expected,
    };
    let header = chunk.header();
    if header.chunk != id.get() {
        return Err(foreign("the chunk number", header.chunk.to_string(), id.get().to_string()));
    }
    if header.capacity != manifest.chunk_size {
        let [found, expected] = [header.capacity, manifest.chunk_size].map(|size| size.to_string());
        return Err(foreign("the chunk size", found, expected));
    }
    let datasets = chunk.datasets().map_err(|source| BufferError::Chunk {
        chunk: id,
        source: ChunkError::InFile { path: path.to_owned(), source: Box::new(source) },
    })?;
    let expected = manifest.schemas();
    if *datasets != expected[..] {
        let [found, expected] = [datasets, &expected].map(|schemas| format!("{schemas:?}"));
        return Err(foreign("the schema of the data sets", found, expected));
    }
    Ok(())
}
