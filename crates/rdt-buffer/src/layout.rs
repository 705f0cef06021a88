//! Names and places in a buffer's directory. The only file that knows them.

use std::path::{Path, PathBuf};

use crate::id::ChunkId;

/// The manifest.
pub const MANIFEST: &str = "manifest.json";
/// Folder of published chunks.
pub const CHUNKS: &str = "chunks";
/// Folder of dirty-bit files.
pub const BITS: &str = "bits";
/// Folder of what is being written; emptied at every start of a producer.
pub const TMP: &str = "tmp";
/// The file that the producer holds locked.
pub const LOCK: &str = "producer.lock";

/// Folder of chunk files that a newer generation has replaced while samples of them were still out.
pub const RETIRED: &str = "retired";
/// Folder in which consumers of a live buffer are registered.
pub const CONSUMERS: &str = "consumers";
/// Folder of what running producers say of themselves.
pub const STATUS: &str = "status";
/// Locked shared by every consumer of a live buffer, exclusively by whoever resets its bits.
pub const CONSUMERS_LOCK: &str = "consumers.lock";
/// Locked for the moment in which a buffer becomes a live one.
pub const SETUP_LOCK: &str = "setup.lock";
/// Folder of embeddings.
pub const EMBEDDINGS: &str = "embeddings";
/// The file, among the embeddings, that whoever writes them holds locked.
pub const EMBEDDER_LOCK: &str = "embedder.lock";

/// The manifest of the buffer at `dir`.
pub fn manifest(dir: &Path) -> PathBuf {
    dir.join(MANIFEST)
}

/// A published chunk.
pub fn chunk(dir: &Path, id: ChunkId) -> PathBuf {
    dir.join(CHUNKS).join(format!("{id}.chunk"))
}

/// The dirty bits of one generation of a chunk.
pub fn bits(dir: &Path, id: ChunkId, generation: u64) -> PathBuf {
    dir.join(BITS).join(format!("{id}-{generation}.bits"))
}

/// A chunk that is being written.
pub fn temporary_chunk(dir: &Path, id: ChunkId) -> PathBuf {
    dir.join(TMP).join(format!("{id}.chunk"))
}

/// Bits that are being written.
pub fn temporary_bits(dir: &Path, id: ChunkId) -> PathBuf {
    dir.join(TMP).join(format!("{id}.bits"))
}

/// All embeddings of the buffer at `dir`.
pub fn embeddings(dir: &Path) -> PathBuf {
    dir.join(EMBEDDINGS)
}

/// Folder of embeddings that are being written. Apart from a producer's, which it empties.
pub fn embeddings_tmp(dir: &Path) -> PathBuf {
    embeddings(dir).join(TMP)
}

/// Folder of the embeddings of instructions.
pub fn language_embeddings(dir: &Path) -> PathBuf {
    embeddings(dir).join("language")
}

/// One file of them.
pub fn language_embedding(dir: &Path, number: u32) -> PathBuf {
    language_embeddings(dir).join(format!("{number:08}.emb"))
}

/// The number in the name of a file of embeddings of instructions; `None` for other files.
pub fn parse_embedding(file_name: &str) -> Option<u32> {
    let number = file_name.strip_suffix(".emb")?.parse().ok()?;
    (format!("{number:08}.emb") == file_name).then_some(number)
}

/// Folder of the embeddings of frames.
pub fn image_embeddings(dir: &Path) -> PathBuf {
    embeddings(dir).join("images")
}

/// Those of one generation of a chunk.
pub fn image_embedding(dir: &Path, id: ChunkId, generation: u64) -> PathBuf {
    image_embeddings(dir).join(format!("{id}-{generation}.emb"))
}

/// Chunk and generation in the name of a file of embeddings of frames; `None` for other files.
pub fn parse_image_embedding(file_name: &str) -> Option<(ChunkId, u64)> {
    let (id, generation) = file_name.strip_suffix(".emb")?.split_once('-')?;
    let (id, generation) = (ChunkId::new(id.parse().ok()?), generation.parse().ok()?);
    (format!("{id}-{generation}.emb") == file_name).then_some((id, generation))
}

/// The number in a published chunk's file name; `None` for other files.
pub fn parse_chunk(file_name: &str) -> Option<ChunkId> {
    let id = ChunkId::new(file_name.strip_suffix(".chunk")?.parse().ok()?);
    (format!("{id}.chunk") == file_name).then_some(id)
}

/// Chunk and generation in a bits file's name; `None` for other files.
pub fn parse_bits(file_name: &str) -> Option<(ChunkId, u64)> {
    let (id, generation) = file_name.strip_suffix(".bits")?.split_once('-')?;
    let (id, generation) = (ChunkId::new(id.parse().ok()?), generation.parse().ok()?);
    (format!("{id}-{generation}.bits") == file_name).then_some((id, generation))
}

/// A replaced generation of a chunk of which samples are still out.
pub fn retired(dir: &Path, id: ChunkId, generation: u64) -> PathBuf {
    dir.join(RETIRED).join(format!("{id}-{generation}.chunk"))
}

/// Chunk and generation in a retired chunk's file name; `None` for other files.
pub fn parse_retired(file_name: &str) -> Option<(ChunkId, u64)> {
    parse_bits(&format!("{}.bits", file_name.strip_suffix(".chunk")?))
}

/// The lock file of one shard of a buffer's chunks; of the whole buffer it is [`LOCK`].
pub fn shard_lock(dir: &Path, index: u32, count: u32) -> PathBuf {
    match count {
        1 => dir.join(LOCK),
        _ => dir.join(format!("producer-{index}-of-{count}.lock")),
    }
}

/// Shard and number of shards in a lock file's name; `None` for other files.
pub fn parse_shard_lock(file_name: &str) -> Option<(u32, u32)> {
    if file_name == LOCK {
        return Some((0, 1));
    }
    let numbers = file_name.strip_prefix("producer-")?.strip_suffix(".lock")?;
    let (index, count) = numbers.split_once("-of-")?;
    let (index, count) = (index.parse().ok()?, count.parse().ok()?);
    (format!("producer-{index}-of-{count}.lock") == file_name && index < count).then_some((index, count))
}

/// Whether a file of this name may lie in a directory that becomes a buffer: what a file
/// system, a repository or an earlier start that got no further puts there.
pub fn is_harmless(file_name: &str) -> bool {
    file_name.starts_with('.')
        || [LOCK, CHUNKS, BITS, TMP, RETIRED, CONSUMERS, STATUS, CONSUMERS_LOCK, SETUP_LOCK]
            .contains(&file_name)
        || ["lost+found", "README.md"].contains(&file_name)
        || parse_shard_lock(file_name).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back_and_others_do_not() {
        let id = ChunkId::new(17);
        assert_eq!(chunk("/b".as_ref(), id), Path::new("/b/chunks/00000017.chunk"));
        assert_eq!(bits("/b".as_ref(), id, 3), Path::new("/b/bits/00000017-3.bits"));
        assert_eq!(parse_chunk("00000017.chunk"), Some(id));
        assert_eq!(parse_bits("00000017-3.bits"), Some((id, 3)));
        for name in ["17.chunk", "00000017.chunk~", "+0000017.chunk", "x.chunk", "00000017-03.bits"] {
            assert_eq!((parse_chunk(name), parse_bits(name)), (None, None), "{name}");
        }
    }
}
