//! Places of a sequence dealt to lanes: a bijection between places and (lane, index in the lane).
//!
//! `0..count` is cut into consecutive lanes of nearly equal length. A round takes one element of each
//! lane, in an order drawn anew each time, so `lanes` places in a row that begin a round are of
//! as many lanes. The last round has only the lanes that are longer by one.

use std::ops::Range;

use super::permutation::Permutation;
use crate::draw;

/// One way to deal.
#[derive(Debug, Clone)]
pub(super) struct Interleave {
    count: u64,
    lanes: u64,
    key: u64,
}

impl Interleave {
    /// Deals `count` elements, at least one, to at most `lanes` lanes.
    pub(super) fn new(count: u64, lanes: u64, key: u64) -> Self {
        Self { count, lanes: lanes.clamp(1, count.max(1)), key }
    }

    /// Lanes there are.
    pub(super) fn lanes(&self) -> u64 {
        self.lanes
    }

    /// The elements of a lane.
    pub(super) fn lane(&self, lane: u64) -> Range<u64> {
        let (each, longer) = (self.count / self.lanes, self.count % self.lanes);
        let start = |lane: u64| each * lane + lane.min(longer);
        start(lane)..start(lane + 1)
    }

    /// The lane that holds an element.
    pub(super) fn lane_of(&self, element: u64) -> u64 {
        let (each, longer) = (self.count / self.lanes, self.count % self.lanes);
        let in_longer = element / (each + 1);
        if in_longer < longer { in_longer } else { longer + (element - longer * (each + 1)) / each }
    }

    /// The lane whose turn it is at `place`, and which of its elements comes: the round.
    pub(super) fn at(&self, place: u64) -> (u64, u64) {
        let round = place / self.lanes;
        (self.turns(round).value(place % self.lanes), round)
    }

    /// Where lane `lane` gives its element number `round`: the inverse of [`Interleave::at`].
    pub(super) fn place(&self, lane: u64, round: u64) -> u64 {
        round * self.lanes + self.turns(round).place(lane)
    }

    fn turns(&self, round: u64) -> Permutation {
        let left = self.count - round * self.lanes;
        Permutation::new(left.min(self.lanes), draw::absorb(self.key, round))
    }
}
