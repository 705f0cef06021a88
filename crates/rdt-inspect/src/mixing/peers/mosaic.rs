//! MosaicML Streaming's py1e on one node: shards in random order, each sample moved by up to half a
//! block.

use crate::mixing::layout::Layout;
use crate::mixing::random::Random;

/// Its default for one canonical node and few samples; 4,000,000 over the nodes if that is more.
const BLOCK: u64 = 4_000_000;

pub(super) fn epoch(layout: &Layout, mut random: Random) -> impl Iterator<Item = u64> + use<> {
    let reach = (BLOCK - u64::from(layout.chunk_size()).min(BLOCK)) as f64 / 2.0;
    let last = layout.samples() as f64;
    let mut moved: Vec<(f64, u64)> = Vec::with_capacity(layout.samples() as usize);
    for shard in random.order(super::shards(layout)) {
        let mut samples: Vec<u64> = super::shard(layout, shard).collect();
        random.shuffle(&mut samples);
        for sample in samples {
            // A move stays between the first place and the last.
            let place = moved.len() as f64;
            let (low, high) = ((place - reach).max(0.0), (place + reach).min(last));
            moved.push((low + random.unit() * (high - low), sample));
        }
    }
    moved.sort_by(|a, b| a.0.total_cmp(&b.0));
    moved.into_iter().map(|(_, sample)| sample)
}
