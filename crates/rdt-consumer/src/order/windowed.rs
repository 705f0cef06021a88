//! The windowed order: a few chunks are open at a time, for devices where random reads hurt.
//!
//! The chunks of a buffer, in an order drawn anew each epoch, are laid end to end and cut into as
//! many *lanes* as chunks may be open. A round takes one sample of each lane, in an order drawn
//! anew; each lane goes through its chunks one after another. So as many chunks are open as there
//! are lanes; a lane turns to its next chunk when another lane is in the middle of its own, so
//! reads come evenly and no two chunks are always open together. Inside a chunk, slots are taken
//! from [`STRATA`] equal stretches in turn, since samples that lie near each other are of one
//! episode.
//!
//! Everything is arithmetic: any place can be asked for, in memory that grows with nothing.

use std::ops::Range;

use super::interleave::Interleave;
use super::permutation::Permutation;
use crate::draw;

/// Stretches of a chunk that take turns. A run of a spread fill is shorter than a stretch of a
/// usual chunk, and a batch up to this many times as large as the window meets each stretch once.
const STRATA: u64 = 16;

/// One epoch's windowed order of `0..count`.
#[derive(Debug, Clone)]
pub(super) struct Windowed {
    count: u64,
    chunk_size: u64,
    chunks: Permutation,
    /// Where the last chunk comes if it is shorter than the others, and how long it is.
    short: Option<(u64, u64)>,
    lanes: Interleave,
    /// How far the first lane is through its first chunk, below the chunk size; another one each
    /// epoch, so that a sample comes anywhere.
    phase: u64,
    /// Of what is drawn inside chunks.
    key: u64,
}

impl Windowed {
    /// Of `count` samples, at least one, in chunks of `chunk_size`, `window` of them open.
    pub(super) fn new(count: u64, chunk_size: u64, window: u64, key: u64) -> Self {
        let chunk_size = chunk_size.clamp(1, count);
        let number = count.div_ceil(chunk_size);
        let chunks = Permutation::new(number, draw::absorb(key, 0));
        let rest = count % chunk_size;
        let short = (rest > 0).then(|| (chunks.place(number - 1), rest));
        let lanes = Interleave::new(count, window.min(number), draw::absorb(key, 1));
        let phase = draw::absorb(key, 2) % chunk_size;
        Self { count, chunk_size, chunks, short, lanes, phase, key: draw::absorb(key, 3) }
    }

    /// The sample at `place`.
    pub(super) fn value(&self, place: u64) -> u64 {
        let (lane, round) = self.lanes.at(place);
        let (chunk, offset) = self.chunk_at(self.element(lane, round));
        chunk * self.chunk_size + self.slot(chunk, offset)
    }

    /// Where `sample` comes: the inverse of [`Windowed::value`].
    pub(super) fn place(&self, sample: u64) -> u64 {
        let (chunk, slot) = (sample / self.chunk_size, sample % self.chunk_size);
        let element = self.chunk_start(self.chunks.place(chunk)) + self.offset(chunk, slot);
        let lane = self.lanes.lane_of(element);
        let range = self.lanes.lane(lane);
        let length = range.end - range.start;
        let round = (element - range.start + length - self.head_start(lane)) % length;
        self.lanes.place(lane, round)
    }

    /// The chunk that is to be read soon when `place` is reached: the lane's first at its first
    /// turn, and then the next one when half of what the lane has of a chunk is through.
    pub(super) fn soon(&self, place: u64) -> Option<Range<u64>> {
        let (lane, round) = self.lanes.at(place);
        let element = self.element(lane, round);
        let (chunk, offset) = self.chunk_at(element);
        let samples = self.samples_of(chunk);
        if round == 0 {
            return Some(samples);
        }
        let range = self.lanes.lane(lane);
        let turn = range.start + self.head_start(lane);
        let stretch = if element >= turn { turn..range.end } else { range.start..turn };
        let first = (element - offset).max(stretch.start);
        let behind = (element - offset + (samples.end - samples.start)).min(stretch.end);
        let next = match behind < stretch.end {
            true => behind,
            false if element >= turn && turn > range.start => range.start,
            false => return None,
        };
        (element == first + (behind - first) / 2).then(|| self.samples_of(self.chunk_at(next).0))
    }

    fn samples_of(&self, chunk: u64) -> Range<u64> {
        let start = chunk * self.chunk_size;
        start..(start + self.chunk_size).min(self.count)
    }

    /// Element number `round` of a lane. A lane starts where it does in the sequence or, so that
    /// the lanes do not turn to their next chunks together, a part of a chunk later, and gives
    /// what it left out at its end.
    fn element(&self, lane: u64, round: u64) -> u64 {
        let range = self.lanes.lane(lane);
        range.start + (round + self.head_start(lane)) % (range.end - range.start)
    }

    fn head_start(&self, lane: u64) -> u64 {
        let range = self.lanes.lane(lane);
        let even = (u128::from(self.chunk_size) * u128::from(lane) / u128::from(self.lanes.lanes())) as u64;
        let start = range.start % self.chunk_size;
        (self.chunk_size + even + self.phase - start) % self.chunk_size % (range.end - range.start)
    }

    /// The chunk that element `element` of the sequence of chunks is of, and which of its elements.
    fn chunk_at(&self, element: u64) -> (u64, u64) {
        let (place, offset) = match self.short {
            Some((short, rest)) => {
                let start = short * self.chunk_size;
                if element < start {
                    (element / self.chunk_size, element % self.chunk_size)
                } else if element < start + rest {
                    (short, element - start)
                } else {
                    let behind = element - start - rest;
                    (short + 1 + behind / self.chunk_size, behind % self.chunk_size)
                }
            }
            None => (element / self.chunk_size, element % self.chunk_size),
        };
        (self.chunks.value(place), offset)
    }

    /// The first element of the chunk that comes at `place`.
    fn chunk_start(&self, place: u64) -> u64 {
        match self.short {
            Some((short, rest)) if place > short => (place - 1) * self.chunk_size + rest,
            _ => place * self.chunk_size,
        }
    }

    fn slot(&self, chunk: u64, offset: u64) -> u64 {
        let strata = self.strata(chunk);
        let (stratum, index) = strata.at(offset);
        let range = strata.lane(stratum);
        range.start + self.inside(chunk, stratum, range.end - range.start).value(index)
    }

    fn offset(&self, chunk: u64, slot: u64) -> u64 {
        let strata = self.strata(chunk);
        let stratum = strata.lane_of(slot);
        let range = strata.lane(stratum);
        let index = self.inside(chunk, stratum, range.end - range.start).place(slot - range.start);
        strata.place(stratum, index)
    }

    fn strata(&self, chunk: u64) -> Interleave {
        let samples = self.samples_of(chunk);
        Interleave::new(samples.end - samples.start, STRATA, draw::absorb(self.key, chunk))
    }

    fn inside(&self, chunk: u64, stratum: u64, length: u64) -> Permutation {
        let key = draw::absorb(draw::absorb(self.key, chunk), u64::MAX - stratum);
        Permutation::new(length, key)
    }
}
