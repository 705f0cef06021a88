//! Dirty-bit files: two bits a slot, claimed and delivered, one file a chunk generation.
//!
//! A file is a header of [`HEADER_LENGTH`] bytes and little-endian words of 64 bits. Slot s has
//! the bits 2 (s mod 32) (claimed) and 2 (s mod 32) + 1 (delivered) of word s / 32, so that both
//! change by one atomic operation on one word. The words are state and change; only the header
//! is under a checksum.

use std::io::{Read, Write};
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

pub(crate) const REMEDY: &str =
    "the rdt-produce --fill-up command that made the buffer makes new, clean ones";

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

/// What became of the samples of a chunk's earlier generations. All 0 in the first one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct History {
    /// Samples of all earlier generations, each counted in the last one that it was in.
    pub(crate) produced: u64,
    /// Of those of the generations up to `settled`, how many were delivered.
    pub(crate) delivered: u64,
    /// Of the same, how many were lost with consumers that were killed.
    pub(crate) lost: u64,
    /// The last generation whose samples are in `delivered` and `lost`. The bits of those behind
    /// it are still there, and tell.
    pub(crate) settled: u64,
}

/// The first bytes of a bits file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BitsHeader {
    pub(crate) chunk: ChunkId,
    pub(crate) generation: u64,
    pub(crate) slots: u32,
    pub(crate) history: History,
}

impl BitsHeader {
    fn to_bytes(self) -> [u8; HEADER_LENGTH] {
        let History { produced, delivered, lost, settled } = self.history;
        let mut bytes = [0; HEADER_LENGTH];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.chunk.get().to_le_bytes());
        bytes[16..24].copy_from_slice(&self.generation.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.slots.to_le_bytes());
        for (place, number) in bytes[28..60].chunks_exact_mut(8).zip([produced, delivered, lost, settled]) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let checksum = crc32c::crc32c(&bytes[..HEADER_LENGTH - 4]);
        bytes[HEADER_LENGTH - 4..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header in `bytes`, of whatever chunk; `Err` is (what, found, expected).
    fn parse(bytes: &[u8]) -> Result<Self, (&'static str, String, String)> {
        let Some(bytes) = bytes.first_chunk::<HEADER_LENGTH>() else {
            return Err((
                "the length",
                format!("{} bytes", bytes.len()),
                format!("at least {HEADER_LENGTH}"),
            ));
        };
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let half = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let header = Self {
            chunk: ChunkId::new(half(12)),
            generation: number(16),
            slots: half(24),
            history: History {
                produced: number(28),
                delivered: number(36),
                lost: number(44),
                settled: number(52),
            },
        };
        // Magic, version and checksum are those of the header that these numbers make.
        let expected = header.to_bytes();
        match bytes.iter().zip(&expected).position(|(a, b)| a != b) {
            None => Ok(header),
            Some(at) => Err((
                "the header",
                format!("{:#04x} at byte {at}", bytes[at]),
                format!("{:#04x}", expected[at]),
            )),
        }
    }

    /// Reads the header of the bits file at `path`, which must be of this generation.
    pub(crate) fn read(path: &Path, chunk: ChunkId, generation: u64) -> Result<Self, BufferError> {
        let mut bytes = Vec::with_capacity(HEADER_LENGTH);
        let file = std::fs::File::open(path).map_err(|e| BufferError::io("open", path, e))?;
        file.take(HEADER_LENGTH as u64)
            .read_to_end(&mut bytes)
            .map_err(|e| BufferError::io("read", path, e))?;
        Self::check(&bytes, path, chunk, generation)
    }

    fn check(bytes: &[u8], path: &Path, chunk: ChunkId, generation: u64) -> Result<Self, BufferError> {
        // One under a checksum that fits is no damage.
        if let Some((header, checksum)) =
            bytes.get(..HEADER_LENGTH).and_then(|bytes| bytes.split_last_chunk::<4>())
            && let (Some(&MAGIC), Some(&version)) = (header.first_chunk(), header[8..].first_chunk::<4>())
            && crc32c::crc32c(header).to_le_bytes() == *checksum
            && u32::from_le_bytes(version) != VERSION
        {
            let (path, found) = (path.to_owned(), u32::from_le_bytes(version).to_string());
            return Err(BufferError::OtherVersion { path, found, expected: VERSION });
        }
        let header = Self::parse(bytes).map_err(|fault| damaged(path, fault))?;
        if (header.chunk, header.generation) != (chunk, generation) {
            let name = |chunk, generation| format!("of chunk {chunk}, generation {generation}");
            let found = name(header.chunk, header.generation);
            return Err(damaged(path, ("the header", found, name(chunk, generation))));
        }
        Ok(header)
    }
}

fn damaged(path: &Path, (what, found, expected): (&'static str, String, String)) -> BufferError {
    BufferError::DamagedBits { path: path.to_owned(), what, found, expected, remedy: REMEDY }
}

/// Writes a file of clean bits at `path`, durably.
pub(crate) fn create(storage: &dyn Storage, path: &Path, header: BitsHeader) -> Result<(), BufferError> {
    let mut bytes = header.to_bytes().to_vec();
    bytes.resize(HEADER_LENGTH + 8 * words(header.slots), 0);
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
    let length = HEADER_LENGTH + 8 * words(slots);
    if bytes.len() != length {
        return Err(damaged(path, ("the length", format!("{} bytes", bytes.len()), length.to_string())));
    }
    let header = BitsHeader::check(&bytes, path, chunk, generation)?;
    if header.slots != slots {
        return Err(damaged(path, ("the number of slots", header.slots.to_string(), slots.to_string())));
    }
    let mut counts = BitCounts { slots: u64::from(slots), ..BitCounts::default() };
    for (index, word) in bytes[HEADER_LENGTH..].chunks_exact(8).enumerate() {
        let word = u64::from_le_bytes(std::array::from_fn(|i| word[i])) & used(slots, index as u32);
        // A delivered bit alone is a sample that waits for the next generation, unread.
        counts.claimed += u64::from((word & CLAIMED).count_ones());
        counts.delivered += u64::from((word & (word << 1) & DELIVERED).count_ones());
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
