//! LeRobot's streaming data set: the next frame of a random one of 16 shards, through a reservoir
//! of 1000.

use std::ops::Range;

use super::ShuffleBuffer;
use crate::mixing::layout::Layout;
use crate::mixing::random::Random;

const SHARDS: u64 = 16;
const BUFFER: usize = 1000;

pub(super) fn epoch(layout: &Layout, random: Random) -> impl Iterator<Item = u64> + use<> {
    let samples = layout.samples();
    let mut shards: Vec<Range<u64>> =
        (0..SHARDS).map(|shard| samples * shard / SHARDS..samples * (shard + 1) / SHARDS).collect();
    let mut draws = random.clone();
    let frames = std::iter::from_fn(move || {
        shards.retain(|shard| !shard.is_empty());
        let at = draws.below(shards.len() as u64) as usize;
        shards.get_mut(at)?.next()
    });
    ShuffleBuffer { samples: frames, held: Vec::new(), first: BUFFER, size: BUFFER, random }
}
