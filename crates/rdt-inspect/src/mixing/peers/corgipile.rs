//! CorgiPile: so many random chunks at a time, all their samples shuffled.

use crate::mixing::layout::Layout;
use crate::mixing::random::Random;

pub(super) fn epoch(layout: &Layout, chunks: u64, mut random: Random) -> impl Iterator<Item = u64> + '_ {
    let order = random.order(super::shards(layout));
    let groups: Vec<Vec<u64>> = order.chunks(chunks as usize).map(<[u64]>::to_vec).collect();
    groups.into_iter().flat_map(move |group| {
        let mut samples: Vec<u64> = group.into_iter().flat_map(|chunk| super::shard(layout, chunk)).collect();
        random.shuffle(&mut samples);
        samples
    })
}
