//! Which of several chunks that are open at once gets which run of consecutive steps: arithmetic
//! only, the same for a planned fill and for a live buffer.
//!
//! Steps of an episode are cut into runs of nearly equal length, and runs are dealt like cards: of
//! any `chunks` runs in a row that begin at a multiple of `chunks`, each goes to another chunk, in an
//! order drawn anew each time. So the runs of one episode end up in different chunks, and a chunk
//! holds runs of many episodes, begun anywhere in them.

use std::num::NonZeroU32;
use std::ops::Range;

use rdt_schema::draw;

/// The run length where none is given: 3 % more frames than in order, since neighbouring runs of
/// an episode share the frames of their windows.
pub const DEFAULT_RUN_LENGTH: NonZeroU32 = NonZeroU32::new(32).unwrap();

/// The stream of random numbers that deals runs; the draws of random sampling have 0 and 1.
const STREAM: u64 = 2;

/// How steps are spread over chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// Chunks that are open at once, at least.
    pub chunks: NonZeroU32,
    /// Most consecutive steps of an episode in one run.
    pub run_length: NonZeroU32,
}

impl Spread {
    /// The runs of `steps`, consecutive, none longer than the run length and no two differing by
    /// more than one, so that no run is a mere rest.
    ///
    /// ```
    /// use rdt_producer::Spread;
    /// let spread = Spread { chunks: 64.try_into()?, run_length: 32.try_into()? };
    /// let runs: Vec<_> = spread.runs(100..165).collect();
    /// assert_eq!(runs, [100..121, 121..143, 143..165]);
    /// # Ok::<(), std::num::TryFromIntError>(())
    /// ```
    pub fn runs(&self, steps: Range<u32>) -> impl Iterator<Item = Range<u32>> + use<> {
        let length = u64::from(steps.end.saturating_sub(steps.start));
        let count = length.div_ceil(self.run_length.get().into());
        let at = move |run: u64| steps.start + (length * run).checked_div(count).unwrap_or(0) as u32;
        (0..count).map(move |run| at(run)..at(run + 1))
    }
}

/// Deals runs to open chunks.
#[derive(Debug, Clone)]
pub struct Dealing {
    key: u64,
    round: Option<u64>,
    /// The chunks of the round in the order in which they get a run.
    order: Vec<u32>,
}

impl Dealing {
    /// Deals to `chunks` chunks; `key` (of a seed, and of which chunks these are) decides how.
    pub fn new(key: u64, chunks: NonZeroU32) -> Self {
        Self { key, round: None, order: (0..chunks.get()).collect() }
    }

    /// Which of the open chunks, from 0, run number `run` goes to. A function of key, number of
    /// chunks and run; cheap where runs are asked for in order.
    pub fn chunk_of(&mut self, run: u64) -> u32 {
        let chunks = self.order.len() as u64;
        let round = run / chunks;
        if self.round != Some(round) {
            self.round = Some(round);
            for (place, chunk) in self.order.iter_mut().enumerate() {
                *chunk = place as u32;
            }
            for place in (1..self.order.len()).rev() {
                let bits = draw::bits(self.key, round, place as u64);
                self.order.swap(place, draw::below(bits, place as u64 + 1) as usize);
            }
        }
        self.order[(run % chunks) as usize]
    }
}

/// The chunks that are open together with chunk `chunk` of a fill of `total` chunks: as many
/// groups as there can be of at least `open` chunks each, of nearly equal size, so that none is
/// left with a few. All of them where there are fewer than `open`.
///
/// ```
/// # use rdt_producer::spread::group;
/// assert_eq!(group(3, 150, 64), 0..75);
/// assert_eq!(group(149, 150, 64), 75..150);
/// assert_eq!(group(5, 10, 64), 0..10);
/// ```
pub fn group(chunk: u64, total: u64, open: u32) -> Range<u64> {
    let groups = (total / u64::from(open.max(1))).max(1);
    let start = |group: u64| (u128::from(total) * u128::from(group) / u128::from(groups)) as u64;
    // The first guess is off by at most one.
    let mut group = (u128::from(chunk) * u128::from(groups) / u128::from(total.max(1))) as u64;
    while start(group + 1) <= chunk && group + 1 < groups {
        group += 1;
    }
    start(group)..start(group + 1)
}

/// The runs of `stretches` (steps of episodes, whatever names those) dealt to the chunks `open`,
/// laid end to end chunk after chunk: chunks are full where this is cut at multiples of their size.
pub fn deal<E: Copy>(
    spread: Spread,
    seed: u64,
    open: Range<u64>,
    stretches: impl IntoIterator<Item = (E, Range<u32>)>,
) -> Vec<(E, Range<u32>)> {
    let count = u32::try_from(open.end - open.start).ok().and_then(NonZeroU32::new);
    let mut dealing = Dealing::new(draw::bits(seed, STREAM, open.start), count.unwrap_or(NonZeroU32::MIN));
    let mut dealt: Vec<(u32, (E, Range<u32>))> = Vec::new();
    for (episode, steps) in stretches {
        for run in spread.runs(steps) {
            dealt.push((dealing.chunk_of(dealt.len() as u64), (episode, run)));
        }
    }
    // Stable, and the runs are in order: a chunk's are as well.
    dealt.sort_by_key(|(chunk, _)| *chunk);
    dealt.into_iter().map(|(_, run)| run).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn nonzero(value: u32) -> NonZeroU32 {
        NonZeroU32::new(value).unwrap_or(NonZeroU32::MIN)
    }

    proptest! {
        #[test]
        fn runs_cover_all_steps_in_order_and_are_alike(start in 0u32..1000, length in 0u32..3000, run in 1u32..50) {
            let spread = Spread { chunks: nonzero(8), run_length: nonzero(run) };
            let runs: Vec<_> = spread.runs(start..start + length).collect();
            let steps: Vec<u32> = runs.iter().cloned().flatten().collect();
            prop_assert_eq!(steps, (start..start + length).collect::<Vec<_>>());
            prop_assert_eq!(runs.len() as u32, length.div_ceil(run));
            let lengths: BTreeSet<usize> = runs.iter().map(ExactSizeIterator::len).collect();
            prop_assert!(lengths.iter().all(|&length| length as u32 <= run));
            prop_assert!(lengths.len() <= 1 || lengths.last().zip(lengths.first()).is_some_and(|(a, b)| a - b == 1));
        }

        #[test]
        fn a_round_deals_one_run_to_each_chunk(key: u64, chunks in 1u32..100, round in 0u64..1 << 40) {
            let mut dealing = Dealing::new(key, nonzero(chunks));
            let first = round * u64::from(chunks);
            let dealt: Vec<u32> = (first..first + u64::from(chunks)).map(|run| dealing.chunk_of(run)).collect();
            prop_assert_eq!(dealt.iter().copied().collect::<BTreeSet<_>>(), (0..chunks).collect::<BTreeSet<_>>());
            // In any order of asking.
            let mut other = Dealing::new(key, nonzero(chunks));
            other.chunk_of(first + 3 * u64::from(chunks));
            prop_assert_eq!(other.chunk_of(first), dealt[0]);
        }

        #[test]
        fn groups_cover_all_chunks_and_are_large_enough(total in 1u64..5000, open in 1u32..200) {
            let mut chunk = 0;
            while chunk < total {
                let range = group(chunk, total, open);
                prop_assert_eq!(range.start, chunk);
                let size = range.end - range.start;
                prop_assert!(size >= u64::from(open).min(total) && size < 2 * u64::from(open).max(total.min(u64::from(open))));
                for inside in range.clone() {
                    prop_assert_eq!(group(inside, total, open), range.clone());
                }
                chunk = range.end;
            }
        }
    }

    #[test]
    fn rounds_and_keys_differ() {
        let round = |key: u64, round: u64| -> Vec<u32> {
            let mut dealing = Dealing::new(key, nonzero(32));
            (32 * round..32 * (round + 1)).map(|run| dealing.chunk_of(run)).collect()
        };
        assert_ne!(round(1, 0), round(1, 1));
        assert_ne!(round(1, 0), round(2, 0));
    }
}
