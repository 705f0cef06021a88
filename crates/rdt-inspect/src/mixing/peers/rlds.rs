//! Episodes in random order, 16 read by turns, then a shuffle buffer: tf.data as robot learning
//! uses it.

use std::collections::VecDeque;
use std::ops::Range;

use super::ShuffleBuffer;
use crate::mixing::layout::Layout;
use crate::mixing::random::Random;

const EPISODES: usize = 16;

pub(super) fn epoch(layout: &Layout, buffer: usize, mut random: Random) -> impl Iterator<Item = u64> + use<> {
    let mut first = 0;
    let mut coming: VecDeque<Range<u64>> = VecDeque::new();
    for &length in layout.lengths().iter().filter(|&&length| length > 0) {
        coming.push_back(first..first + u64::from(length));
        first += u64::from(length);
    }
    random.shuffle(coming.make_contiguous());
    let mut open: Vec<Range<u64>> = Vec::new();
    let mut turn = 0;
    let steps = std::iter::from_fn(move || {
        while open.len() < EPISODES {
            let Some(episode) = coming.pop_front() else { break };
            open.push(episode);
        }
        turn = if turn < open.len() { turn } else { 0 };
        let step = open.get_mut(turn)?.next();
        if open[turn].is_empty() {
            open.remove(turn);
        } else {
            turn += 1;
        }
        step
    });
    ShuffleBuffer { samples: steps, held: Vec::new(), first: buffer, size: buffer, random }
}
