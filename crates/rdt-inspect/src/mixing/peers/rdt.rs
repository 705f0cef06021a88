//! RDT's fine-tuning loader: whatever index it is asked for, it draws an episode by its length and
//! a step of it.

use crate::mixing::layout::Layout;
use crate::mixing::random::Random;

/// Both draws together are one of a sample, with replacement.
pub(super) fn epoch(layout: &Layout, mut random: Random) -> impl Iterator<Item = u64> + use<> {
    let samples = layout.samples();
    (0..samples).map(move |_| random.below(samples))
}
