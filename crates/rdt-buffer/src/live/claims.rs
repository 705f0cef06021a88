//! The dirty bits of one generation of a chunk, mapped and changed by several processes.

use std::path::{Path, PathBuf};

use crate::bits::{self, BitsHeader, HEADER_LENGTH, SLOTS_PER_WORD};
use crate::error::BufferError;
use crate::id::{ChunkId, SlotIndex};
use crate::layout;
use crate::live::slot_bits::{self, SlotMask, Word};
use crate::live::words::SharedWords;

/// The bits of one generation.
#[derive(Debug)]
pub struct Claims {
    words: SharedWords,
    header: BitsHeader,
    path: PathBuf,
}

/// Slots of a generation by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlotCounts {
    /// Nobody has taken them.
    pub clean: u64,
    /// A consumer has them, or had them when it was killed.
    pub claimed: u64,
    /// They were delivered.
    pub delivered: u64,
    /// They were unread when the producer closed the generation, and go into the next one.
    pub closed: u64,
}

impl SlotCounts {
    /// Slots there are.
    pub fn slots(&self) -> u64 {
        self.clean + self.claimed + self.delivered + self.closed
    }
}

impl Claims {
    /// Maps the bits of generation `generation` of chunk `id` of the buffer at `dir`.
    ///
    /// # Errors
    /// They are not there, cannot be written, or are not the bits of this generation.
    pub fn open(dir: &Path, id: ChunkId, generation: u64) -> Result<Self, BufferError> {
        let path = layout::bits(dir, id, generation);
        let header = BitsHeader::read(&path, id, generation)?;
        let words = SharedWords::open(&path, HEADER_LENGTH, bits::words(header.slots))?;
        Ok(Self { words, header, path })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file says of the generation.
    pub(crate) fn header(&self) -> &BitsHeader {
        &self.header
    }

    /// Slots there are.
    pub fn slots(&self) -> u32 {
        self.header.slots
    }

    /// Claims a clean slot, the first at or behind `start` in its word, else of the words behind
    /// it, around the end.
    pub fn claim(&self, start: u32) -> Option<SlotIndex> {
        let count = bits::words(self.header.slots);
        let first = (start / SLOTS_PER_WORD) as usize;
        (0..count).find_map(|step| {
            let index = (first + step) % count;
            let used = slot_bits::used(self.header.slots, index);
            let slot = slot_bits::claim(self.words.get(index)?, used, start)?;
            Some(SlotIndex::new(index as u32 * SLOTS_PER_WORD + slot))
        })
    }

    /// Marks a slot that the caller claimed as delivered.
    pub(crate) fn deliver(&self, slot: SlotIndex) {
        if let Some(word) = self.word(slot) {
            slot_bits::deliver(word, slot.get() % SLOTS_PER_WORD);
        }
    }

    /// Makes a slot that the caller claimed clean again.
    pub(crate) fn give_back(&self, slot: SlotIndex) {
        if let Some(word) = self.word(slot) {
            slot_bits::give_back(word, slot.get() % SLOTS_PER_WORD);
        }
    }

    /// Closes all clean slots, so that none of them is claimed any more; returns all that are
    /// closed then.
    pub(crate) fn close(&self) -> Vec<SlotIndex> {
        let mut closed = Vec::new();
        for (index, word) in self.words.iter().enumerate() {
            let mut mask = slot_bits::close(word, slot_bits::used(self.header.slots, index));
            while mask != 0 {
                closed.push(SlotIndex::new(index as u32 * SLOTS_PER_WORD + mask.trailing_zeros() / 2));
                mask &= mask - 1;
            }
        }
        closed
    }

    /// Makes closed slots clean again.
    pub(crate) fn reopen(&self) {
        self.words.iter().for_each(slot_bits::reopen);
    }

    /// Of each word, the slots that a consumer has, or had when it was killed.
    pub(crate) fn claimed(&self) -> Vec<SlotMask> {
        let claimed =
            |(index, word)| slot_bits::claimed(Word::load(word)) & slot_bits::used(self.slots(), index);
        self.words.iter().enumerate().map(claimed).collect()
    }

    /// Slots by state, as they are now.
    pub fn counts(&self) -> SlotCounts {
        let mut counts = SlotCounts::default();
        for (index, word) in self.words.iter().enumerate() {
            let (word, used) = (Word::load(word), slot_bits::used(self.header.slots, index));
            let count = |mask: u64| u64::from((mask & used).count_ones());
            counts.clean += count(slot_bits::clean(word));
            counts.claimed += count(slot_bits::claimed(word));
            counts.delivered += count(slot_bits::delivered(word));
            counts.closed += count(slot_bits::closed(word));
        }
        counts
    }

    fn word(&self, slot: SlotIndex) -> Option<&std::sync::atomic::AtomicU64> {
        self.words.get((slot.get() / SLOTS_PER_WORD) as usize)
    }
}
