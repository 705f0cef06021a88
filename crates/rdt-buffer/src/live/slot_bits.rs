//! The transitions of slots in one word of dirty bits: every change that a live buffer makes to
//! them, as atomic operations on that word.
//!
//! A slot has two bits, claimed (low) and delivered (high):
//!
//! | bits | state | next |
//! |---|---|---|
//! | 00 | clean | 01 by a consumer ([`claim`]), 10 by the producer ([`close`]) |
//! | 01 | claimed | 11 ([`deliver`]) or 00 ([`give_back`]), by the consumer that claimed it |
//! | 11 | delivered | none |
//! | 10 | closed: carried into the next generation | 00 by the producer ([`reopen`]), where that is not published |
//!
//! Claim and close are compare-and-swap on the same word, so of a consumer and a producer that
//! want the same slot one gets it, and knows. Generic over the word, so that a model checker can
//! put its own in place.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::bits::{CLAIMED, SLOTS_PER_WORD};

/// Bits of a word's slots that are in one state; bit `2 s` stands for slot s.
pub(crate) type SlotMask = u64;

/// A word that several processes change.
pub(crate) trait Word {
    fn load(&self) -> u64;
    /// Puts `to` in place of `from`, or says what is there instead.
    fn exchange(&self, from: u64, to: u64) -> Result<(), u64>;
    fn set(&self, bits: u64);
    fn clear(&self, bits: u64);
}

// The bits lie little-endian in the file; on a machine that is not, words are turned at each use.
impl Word for AtomicU64 {
    fn load(&self) -> u64 {
        u64::from_le(AtomicU64::load(self, Ordering::Acquire))
    }

    fn exchange(&self, from: u64, to: u64) -> Result<(), u64> {
        // Acquire and release: who claims after a close sees what was written before it, and the
        // producer that closes sees the hold that a consumer set before it claimed.
        self.compare_exchange(from.to_le(), to.to_le(), Ordering::AcqRel, Ordering::Acquire)
            .map(|_| ())
            .map_err(u64::from_le)
    }

    fn set(&self, bits: u64) {
        self.fetch_or(bits.to_le(), Ordering::AcqRel);
    }

    fn clear(&self, bits: u64) {
        self.fetch_and(!bits.to_le(), Ordering::AcqRel);
    }
}

/// Slots of `word` that nobody has: neither bit is set.
pub(crate) fn clean(word: u64) -> SlotMask {
    !(word | word >> 1) & CLAIMED
}

/// Slots that a consumer has and has not delivered.
pub(crate) fn claimed(word: u64) -> SlotMask {
    word & !(word >> 1) & CLAIMED
}

/// Slots that were delivered.
pub(crate) fn delivered(word: u64) -> SlotMask {
    word & word >> 1 & CLAIMED
}

/// Slots that the producer has closed.
pub(crate) fn closed(word: u64) -> SlotMask {
    !word & word >> 1 & CLAIMED
}

/// Claims a clean slot of those in `used`, the first at or behind `start`, around the end.
pub(crate) fn claim(word: &impl Word, used: SlotMask, start: u32) -> Option<u32> {
    let at = 2 * (start % SLOTS_PER_WORD);
    let mut now = word.load();
    loop {
        let free = clean(now) & used;
        if free == 0 {
            return None;
        }
        let bit = (free.rotate_right(at).trailing_zeros() + at) % u64::BITS;
        match word.exchange(now, now | 1 << bit) {
            Ok(()) => return Some(bit / 2),
            Err(seen) => now = seen,
        }
    }
}

/// Marks a slot that the caller claimed as delivered.
pub(crate) fn deliver(word: &impl Word, slot: u32) {
    word.set(2 << (2 * slot));
}

/// Makes a slot that the caller claimed and does not deliver clean again.
pub(crate) fn give_back(word: &impl Word, slot: u32) {
    word.clear(1 << (2 * slot));
}

/// Closes all clean slots of `used`; returns all that are closed then, also from an earlier close
/// that a killed producer did not follow up.
pub(crate) fn close(word: &impl Word, used: SlotMask) -> SlotMask {
    let mut now = word.load();
    loop {
        let next = now | (clean(now) & used) << 1;
        if next == now {
            return closed(now);
        }
        match word.exchange(now, next) {
            Ok(()) => return closed(next),
            Err(seen) => now = seen,
        }
    }
}

/// Makes all closed slots clean again: their generation is not going to be replaced yet.
pub(crate) fn reopen(word: &impl Word) {
    let mut now = word.load();
    loop {
        let next = now & !(closed(now) << 1);
        if next == now {
            return;
        }
        match word.exchange(now, next) {
            Ok(()) => return,
            Err(seen) => now = seen,
        }
    }
}

/// The slots of word `index` that exist in a chunk of `slots`.
pub(crate) fn used(slots: u32, index: usize) -> SlotMask {
    match slots.saturating_sub(index as u32 * SLOTS_PER_WORD) {
        0 => 0,
        left if left >= SLOTS_PER_WORD => CLAIMED,
        left => CLAIMED & ((1 << (2 * left)) - 1),
    }
}

#[cfg(test)]
mod tests;
