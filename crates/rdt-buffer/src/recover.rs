//! What a producer's start finds of one that was killed, and cleans away.
//!
//! Nothing here touches a published chunk of a complete buffer. `docs/protocol.md` argues case by
//! case why what is removed was never visible to a reader.

use std::path::Path;

use crate::bits::{self, BitsHeader, History};
use crate::error::BufferError;
use crate::id::ChunkId;
use crate::layout;
use crate::lock::ProducerLock;
use crate::storage::{Storage, file_names};

/// What was cleaned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Unfinished files.
    pub temporary_files: u64,
    /// Bits of chunk generations that were never published, or no longer are.
    pub orphan_bits: u64,
    /// Chunks without bits, which only an unfinished fill can have (a crash of the file system).
    pub chunks_without_bits: u64,
}

/// Cleans the buffer at `dir`, which the caller holds locked. Chunks without bits are removed
/// only where `filling`.
pub(crate) fn recover(storage: &dyn Storage, dir: &Path, filling: bool) -> Result<Recovered, BufferError> {
    let mut recovered = Recovered::default();
    let tmp = dir.join(layout::TMP);
    for name in names(&tmp)? {
        remove(storage, &tmp.join(name))?;
        recovered.temporary_files += 1;
    }
    let bits: Vec<(ChunkId, u64)> =
        names(&dir.join(layout::BITS))?.iter().filter_map(|name| layout::parse_bits(name)).collect();
    // Sorted by name, so files of one chunk are neighbours.
    for group in bits.chunk_by(|a, b| a.0 == b.0) {
        let path = layout::chunk(dir, group[0].0);
        let published = path.exists();
        // One file beside a published chunk is its own: the next generation's is added before the
        // rename, and the old one is removed after it. Only between the two are there several.
        if published && group.len() == 1 {
            continue;
        }
        let current = if published { Some(generation(group[0].0, &path)?) } else { None };
        for &(id, generation) in group.iter().filter(|(_, generation)| Some(*generation) != current) {
            remove(storage, &layout::bits(dir, id, generation))?;
            recovered.orphan_bits += 1;
        }
    }
    if filling {
        for id in names(&dir.join(layout::CHUNKS))?.iter().filter_map(|name| layout::parse_chunk(name)) {
            if bits.binary_search_by_key(&id, |(id, _)| *id).is_err() {
                remove(storage, &layout::chunk(dir, id))?;
                recovered.chunks_without_bits += 1;
            }
        }
    }
    Ok(recovered)
}

/// Gives each of `chunks` of the buffer that `lock` holds new, clean bits in place of missing or
/// damaged ones, and says how many needed them. Chunks that are missing or cannot be read are
/// left as they are.
///
/// # Errors
/// A file cannot be written.
pub fn heal_bits(lock: &ProducerLock, storage: &dyn Storage, chunks: &[ChunkId]) -> Result<u64, BufferError> {
    let dir = lock.dir();
    let mut healed = 0;
    for &id in chunks {
        let Ok(chunk) = rdt_chunk::map(&layout::chunk(dir, id)) else { continue };
        let header = chunk.header();
        let path = layout::bits(dir, id, header.generation);
        if bits::count(&path, id, header.generation, header.samples).is_ok() {
            continue;
        }
        for folder in [layout::TMP, layout::BITS].map(|name| dir.join(name)) {
            storage.create_folder(&folder).map_err(|e| BufferError::io("create", folder, e))?;
        }
        // By a rename, so that whoever looks sees the damage or what heals it.
        let temporary = layout::temporary_bits(dir, id);
        let header = BitsHeader {
            chunk: id,
            generation: header.generation,
            slots: header.samples,
            history: History::default(),
        };
        bits::create(storage, &temporary, header)?;
        storage
            .rename(&temporary, &path)
            .map_err(|e| BufferError::io("rename a temporary file to", &path, e))?;
        healed += 1;
    }
    if healed > 0 {
        let folder = dir.join(layout::BITS);
        storage.sync_folder(&folder).map_err(|e| BufferError::io("sync", folder, e))?;
    }
    Ok(healed)
}

fn names(folder: &Path) -> Result<Vec<String>, BufferError> {
    file_names(folder).map_err(|e| BufferError::io("list", folder, e))
}

fn remove(storage: &dyn Storage, path: &Path) -> Result<(), BufferError> {
    storage.remove(path).map_err(|e| BufferError::io("remove", path, e))
}

fn generation(chunk: ChunkId, path: &Path) -> Result<u64, BufferError> {
    let mapped = rdt_chunk::map(path).map_err(|source| BufferError::Chunk { chunk, source })?;
    Ok(mapped.header().generation)
}
