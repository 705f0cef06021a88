//! GR00T's sharded data set: the steps of each episode, shuffled, go in ten parts to the emptiest
//! shards; shards are read one at a time, shuffled.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::mixing::layout::Layout;
use crate::mixing::random::Random;

const PARTS: usize = 10;
const SHARD_STEPS: u64 = 1024;

pub(super) fn epoch(layout: &Layout, mut random: Random) -> impl Iterator<Item = u64> + use<> {
    let mut shards = vec![Vec::new(); layout.samples().div_ceil(SHARD_STEPS) as usize];
    let mut emptiest: BinaryHeap<Reverse<(usize, usize)>> =
        (0..shards.len()).map(|at| Reverse((0, at))).collect();
    let mut first = 0;
    for &length in layout.lengths() {
        let mut steps: Vec<u64> = (first..first + u64::from(length)).collect();
        first += u64::from(length);
        random.shuffle(&mut steps);
        for part in steps.chunks(steps.len().div_ceil(PARTS).max(1)) {
            let Some(Reverse((_, shard))) = emptiest.pop() else { break };
            shards[shard].extend_from_slice(part);
            emptiest.push(Reverse((shards[shard].len(), shard)));
        }
    }
    random.shuffle(&mut shards);
    shards.into_iter().flat_map(move |mut shard| {
        random.shuffle(&mut shard);
        shard
    })
}
