//! FFCV's quasi-random order: a bounded number of pages in memory, each sample from a random one.

use std::collections::VecDeque;

use crate::mixing::layout::Layout;
use crate::mixing::random::Random;

pub(super) fn epoch(layout: &Layout, pages: usize, mut random: Random) -> impl Iterator<Item = u64> + '_ {
    let mut coming: VecDeque<u64> = random.order(super::shards(layout)).into();
    let mut open: Vec<Vec<u64>> = Vec::new();
    std::iter::from_fn(move || {
        while open.len() < pages {
            let Some(page) = coming.pop_front() else { break };
            let mut samples: Vec<u64> = super::shard(layout, page).collect();
            random.shuffle(&mut samples);
            open.push(samples);
        }
        let at = random.below(open.len() as u64) as usize;
        let sample = open.get_mut(at)?.pop();
        if open[at].is_empty() {
            open.swap_remove(at);
        }
        sample
    })
}
