//! Dirty-bit files: two bits a slot, claimed and delivered, one file a chunk generation.
//!
//! A file is a header of [`HEADER_LENGTH`] bytes and little-endian words of 64 bits. Slot s has
//! the bits 2 (s mod 32) (claimed) and 2 (s mod 32) + 1 (delivered) of word s / 32, so that both
//! change by one atomic operation on one word. The words are state and change; only the header
//! is under a checksum.

use std::io::Write;
use std::path::Path;

use crate::error::BufferError;
use crate::id::ChunkId;
use crate::storage::{Storage, parent};

/// The first eight bytes of a bits file.
pub const MAGIC: [u8; 8] = *b"\x89RDTB\r\n\x1a";
/// Version of the file.
pub const VERSION: u32 = 1;
/// Bytes before the words: a multiple of 8, so that words are aligned in a map.
pub const HEADER_LENGTH: usize = 64;
/// Slots that one word holds.
pub const SLOTS_PER_WORD: u32 = 32;
/// The claimed bits of a word.
pub const CLAIMED: u64 = 0x5555_5555_5555_5555;
/// The delivered bits of a word.
pub const DELIVERED: u64 = CLAIMED << 1;

const REMEDY: &str = "the rdt-produce --fill-up command that made the buffer makes new, clean ones";

/// How many slots of a chunk (or of many) are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BitCounts {
    /// Slots there are.
    pub slots: u64,
    /// Slots that a consumer has taken.
    pub claimed: u64,
    /// Slots that were handed to training.
    pub delivered: u64,
}

impl BitCounts {
    /// Slots that nobody has taken.
    pub fn clean(&self) -> u64 {
        self.slots - self.claimed.max(self.delivered).min(self.slots)
    }

    /// Slots that were taken or delivered.
    pub fn dirty(&self) -> u64 {
        self.slots - self.clean()
    }

    /// The counts of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            slots: self.slots + other.slots,
            claimed: self.claimed + other.claimed,
            delivered: self.delivered + other.delivered,
        }
    }
}

/// Words that `slots` slots need.
pub fn words(slots: u32) -> usize {
    slots.div_ceil(SLOTS_PER_WORD) as usize
}

fn header(chunk: ChunkId, generation: u64, slots: u32) -> [u8; HEADER_LENGTH] {
    let mut bytes = [0; HEADER_LENGTH];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..16].copy_from_slice(&chunk.get().to_le_bytes());
    bytes[16..24].copy_from_slice(&generation.to_le_bytes());
    bytes[24..28].copy_from_slice(&slots.to_le_bytes());
    let checksum = crc32c::crc32c(&bytes[..HEADER_LENGTH - 4]);
    bytes[HEADER_LENGTH - 4..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Writes a file of clean bits at `path`, durably.
pub(crate) fn create(
    storage: &dyn Storage,
    path: &Path,
    chunk: ChunkId,
    generation: u64,
    slots: u32,
) -> Result<(), BufferError> {
    let mut bytes = header(chunk, generation, slots).to_vec();
    bytes.resize(HEADER_LENGTH + 8 * words(slots), 0);
    let mut file = storage.create(path).map_err(|e| BufferError::io("create", path, e))?;
    file.write_all(&bytes).map_err(|e| BufferError::io("write", path, e))?;
    file.sync().map_err(|e| BufferError::io("sync", path, e))?;
    let folder = parent(path);
    storage.sync_folder(&folder).map_err(|e| BufferError::io("sync", folder, e))
}

/// Counts the bits of the file at `path`, which must belong to the given chunk.
///
/// # Errors
/// The file cannot be read, or is not the bits of this chunk, generation and size.
pub fn count(path: &Path, chunk: ChunkId, generation: u64, slots: u32) -> Result<BitCounts, BufferError> {
    let bytes = std::fs::read(path).map_err(|e| BufferError::io("read", path, e))?;
    let damaged = |what, found: String, expected: String| BufferError::DamagedBits {
        path: path.to_owned(),
        what,
        found,
        expected,
        remedy: REMEDY,
    };
    let length = HEADER_LENGTH + 8 * words(slots);
    if bytes.len() != length {
        return Err(damaged("the length", format!("{} bytes", bytes.len()), format!("{length}")));
    }
    let expected = header(chunk, generation, slots);
    if bytes[..HEADER_LENGTH] != expected {
        let at = bytes.iter().zip(&expected).position(|(a, b)| a != b).unwrap_or(0);
        return Err(damaged(
            "the header",
            format!("{:#04x} at byte {at}", bytes[at]),
            format!("{:#04x} (chunk {chunk}, generation {generation}, {slots} slots)", expected[at]),
        ));
    }
    let mut counts = BitCounts { slots: u64::from(slots), ..BitCounts::default() };
    for (index, word) in bytes[HEADER_LENGTH..].chunks_exact(8).enumerate() {
        let word = u64::from_le_bytes(std::array::from_fn(|i| word[i])) & used(slots, index as u32);
        counts.claimed += u64::from((word & CLAIMED).count_ones());
        counts.delivered += u64::from((word & DELIVERED).count_ones());
    }
    Ok(counts)
}

/// The bits of word `index` that belong to slots that exist.
fn used(slots: u32, index: u32) -> u64 {
    match slots.saturating_sub(index * SLOTS_PER_WORD) {
        0 => 0,
        left if left >= SLOTS_PER_WORD => u64::MAX,
        left => (1 << (2 * left)) - 1,
    }
}
