//! WebDataset: shards in random order, read one after another through a shuffle buffer.

use super::ShuffleBuffer;
use crate::mixing::layout::Layout;
use crate::mixing::random::Random;

const BUFFER: usize = 1000;
const FIRST: usize = 100;

pub(super) fn epoch(layout: &Layout, mut random: Random) -> impl Iterator<Item = u64> + '_ {
    let order = random.order(super::shards(layout));
    let samples = order.into_iter().flat_map(|shard| super::shard(layout, shard));
    ShuffleBuffer { samples, held: Vec::new(), first: FIRST, size: BUFFER, random }
}
