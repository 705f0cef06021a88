//! Where the stream stood when a chunk was made: 16 bytes in the place of its plan digest.
//!
//! A chunk of a live buffer follows from no plan, but its place in the stream must outlive a killed
//! producer. The mark is published with the chunk, in the same rename.

/// The mark of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Mark {
    /// Every sample before this position had been published, or is in this chunk.
    pub(crate) low: u64,
    /// Position of the chunk's first sample of the stream.
    pub(crate) start: u64,
    /// Samples of the stream from there on that are in the chunk, or were passed over as bad.
    pub(crate) count: u32,
    /// Which part of the draws.
    pub(crate) shard: u16,
    pub(crate) shards: u16,
}

/// Numbers of 48 and 24 bits.
const MOST_LOW: u64 = (1 << 48) - 1;
const MOST_SHORT: u64 = (1 << 24) - 1;

impl Mark {
    /// Bytes 0..6 `low`, 6..9 `start - low`, 9..12 `count`, 12..14 `shard`, 14..16 `shards`; a
    /// distance or count too large for its place is cut, which makes a later start repeat samples,
    /// never leave any out.
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..6].copy_from_slice(&self.low.min(MOST_LOW).to_le_bytes()[..6]);
        let (distance, count) = (self.start.saturating_sub(self.low), u64::from(self.count));
        let (distance, count) =
            if distance > MOST_SHORT { (0, 0) } else { (distance, count.min(MOST_SHORT)) };
        bytes[6..9].copy_from_slice(&distance.to_le_bytes()[..3]);
        bytes[9..12].copy_from_slice(&count.to_le_bytes()[..3]);
        bytes[12..14].copy_from_slice(&self.shard.to_le_bytes());
        bytes[14..].copy_from_slice(&self.shards.to_le_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        let number = |range: std::ops::Range<usize>| {
            bytes[range].iter().rev().fold(0u64, |sum, &byte| sum << 8 | u64::from(byte))
        };
        let low = number(0..6);
        Self {
            low,
            start: low + number(6..9),
            count: number(9..12) as u32,
            shard: number(12..14) as u16,
            shards: number(14..16) as u16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_comes_back_and_one_too_large_leaves_nothing_out() {
        let mark = Mark { low: 123_456_789_012, start: 123_456_999_999, count: 65_536, shard: 3, shards: 7 };
        assert_eq!(Mark::from_bytes(mark.to_bytes()), mark);
        let far = Mark { start: mark.low + (1 << 25), ..mark };
        let read = Mark::from_bytes(far.to_bytes());
        assert_eq!((read.low, read.count), (mark.low, 0));
    }
}
