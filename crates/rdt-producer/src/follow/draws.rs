//! Which episode comes next in an endless stream: data sets by weight, episodes of each in passes.
//!
//! Data sets are drawn by the largest deficit: the one that is furthest behind its share goes next,
//! so after any number of draws each data set has its share to within one episode. Each pass of a
//! data set takes all its episodes once, in an order of its own. All of it is a function of seed,
//! shard and number of the draw.
//!
//! Shards draw data sets each on its own, so each has the shares, and share the passes: draw k of a
//! data set by shard I of N takes place k N + I of the passes. To deal out the draws of one sequence
//! instead would give a shard a data set or not: a sequence of deficits repeats after a few draws.

use rdt_schema::draw;

use crate::plan::Plan;

/// Streams of random numbers that the orders of passes are drawn from; data set d has number
/// `PASS_STREAM + d`.
const PASS_STREAM: u64 = 1 << 32;

/// The draws, one after the other.
#[derive(Debug)]
pub(crate) struct Draws {
    seed: u64,
    datasets: Vec<Dataset>,
    drawn: u64,
    shard: u64,
    shards: u64,
}

/// One draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Draw {
    /// Its number, of no other draw of any shard.
    pub(crate) number: u64,
    /// The episode's place in the plan.
    pub(crate) episode: usize,
    pub(crate) dataset: usize,
}

#[derive(Debug)]
struct Dataset {
    /// Share of the draws.
    share: f64,
    first: usize,
    count: usize,
    drawn: u64,
    /// The pass in work and its order.
    order: Option<(u64, Vec<u32>)>,
}

impl Draws {
    /// The draws of shard `shard` of `shards` from a plan whose data sets have these weights. At least
    /// one weight is above 0.
    pub(crate) fn new(plan: &Plan, weights: &[f64], seed: u64, (shard, shards): (u32, u32)) -> Self {
        let ranges: Vec<_> = (0..weights.len()).map(|dataset| plan.episodes_of(dataset)).collect();
        Self::of(
            ranges.into_iter().map(|range| (range.start, range.len())).zip(weights.iter().copied()),
            seed,
            (shard, shards),
        )
    }

    fn of(
        datasets: impl Iterator<Item = ((usize, usize), f64)>,
        seed: u64,
        (shard, shards): (u32, u32),
    ) -> Self {
        let mut datasets: Vec<Dataset> = datasets
            .map(|((first, count), weight)| Dataset {
                share: if count > 0 { weight.max(0.0) } else { 0.0 },
                first,
                count,
                drawn: 0,
                order: None,
            })
            .collect();
        let sum: f64 = datasets.iter().map(|dataset| dataset.share).sum();
        datasets.iter_mut().for_each(|dataset| dataset.share /= sum.max(f64::MIN_POSITIVE));
        Self { seed, datasets, drawn: 0, shard: u64::from(shard), shards: u64::from(shards.max(1)) }
    }

    /// Draws.
    pub(crate) fn next(&mut self) -> Draw {
        let number = self.drawn * self.shards + self.shard;
        self.drawn += 1;
        let due = self.drawn as f64;
        let deficit = |dataset: &Dataset| dataset.share * due - dataset.drawn as f64;
        let mut best = 0;
        for (at, dataset) in self.datasets.iter().enumerate().skip(1) {
            let is_better =
                self.datasets[best].share <= 0.0 || deficit(dataset) > deficit(&self.datasets[best]);
            if dataset.share > 0.0 && is_better {
                best = at;
            }
        }
        let seed = self.seed;
        let dataset = &mut self.datasets[best];
        let count = dataset.count.max(1) as u64;
        let joint = dataset.drawn * self.shards + self.shard;
        let (pass, place) = (joint / count, (joint % count) as usize);
        dataset.drawn += 1;
        let known = dataset.order.take().filter(|(of, _)| *of == pass);
        let (_, order) = dataset.order.insert(known.unwrap_or_else(|| {
            (pass, shuffled(dataset.count as u32, seed, PASS_STREAM + best as u64, pass))
        }));
        let episode = dataset.first + order.get(place).map_or(0, |&at| at as usize);
        Draw { number, episode, dataset: best }
    }
}

/// `0..count` in an order that follows from the other arguments (Fisher and Yates).
fn shuffled(count: u32, seed: u64, stream: u64, pass: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count).collect();
    for last in (1..order.len()).rev() {
        let position = pass << 32 | last as u64;
        order.swap(last, draw::below(draw::bits(seed, stream, position), last as u64 + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn shares_are_the_weights_and_each_pass_takes_every_episode_once() {
        let weights = [0.6, 0.25, 0.1, 0.05, 0.0];
        let sizes = [37usize, 11, 400, 1, 5];
        let mut first = 0;
        let datasets = sizes.into_iter().map(|size| {
            first += size;
            (first - size, size)
        });
        let mut draws = Draws::of(datasets.zip(weights), 7, (0, 1));
        let all: Vec<Draw> = (0..10_000).map(|_| draws.next()).collect();
        for (dataset, weight) in weights.into_iter().enumerate() {
            let drawn: Vec<&Draw> = all.iter().filter(|draw| draw.dataset == dataset).collect();
            let share = drawn.len() as f64 / all.len() as f64;
            assert!((share - weight).abs() <= 0.01 * weight, "data set {dataset}: {share} for {weight}");
            let passes: Vec<Vec<usize>> =
                drawn.chunks(sizes[dataset]).map(|pass| pass.iter().map(|d| d.episode).collect()).collect();
            for pass in &passes {
                assert_eq!(pass.iter().collect::<HashSet<_>>().len(), pass.len(), "twice in a pass");
            }
            if sizes[dataset] > 10 && passes.len() > 1 {
                assert_ne!(passes[0], passes[1], "each pass has a new order");
            }
        }
        // At any time, not only at the end.
        let mut counts = [0u32; 5];
        for (number, draw) in all.iter().enumerate() {
            counts[draw.dataset] += 1;
            for (count, weight) in counts.iter().zip(weights) {
                let due = weight * (number + 1) as f64;
                assert!((f64::from(*count) - due).abs() < 2.0, "draw {number}: {count} of {due}");
            }
        }
    }

    #[test]
    fn draws_are_a_function_of_the_seed() {
        let draws = |seed| {
            let mut draws = Draws::of([((0, 50), 1.0), ((50, 9), 2.0)].into_iter(), seed, (0, 1));
            (0..200).map(|_| draws.next().episode).collect::<Vec<_>>()
        };
        assert_eq!(draws(1), draws(1));
        assert_ne!(draws(1), draws(2));
    }

    #[test]
    fn each_shard_has_the_shares_and_together_they_share_the_passes() {
        let sizes = [37usize, 11];
        for weights in [[1.0, 1.0], [3.0, 1.0]] {
            let shards: Vec<Vec<Draw>> = (0..2)
                .map(|shard| {
                    let datasets = [((0, sizes[0]), weights[0]), ((sizes[0], sizes[1]), weights[1])];
                    let mut draws = Draws::of(datasets.into_iter(), 7, (shard, 2));
                    (0..4_000).map(|_| draws.next()).collect()
                })
                .collect();
            for (shard, draws) in shards.iter().enumerate() {
                let share = draws.iter().filter(|draw| draw.dataset == 0).count() as f64 / 4_000.0;
                let due = weights[0] / (weights[0] + weights[1]);
                assert!((share - due).abs() <= 0.01 * due, "shard {shard} of {weights:?}: {share}");
            }
            let numbers: HashSet<u64> = shards.iter().flatten().map(|draw| draw.number).collect();
            assert_eq!(numbers.len(), 8_000, "numbers are given twice");
            for (dataset, size) in sizes.into_iter().enumerate() {
                let of_shard =
                    |shard: usize| shards[shard].iter().filter(move |draw| draw.dataset == dataset);
                let joint: Vec<usize> = of_shard(0)
                    .zip(of_shard(1))
                    .flat_map(|(first, second)| [first.episode, second.episode])
                    .collect();
                assert!(joint.len() > 10 * size);
                for pass in joint.chunks(size) {
                    assert_eq!(pass.iter().collect::<HashSet<_>>().len(), pass.len(), "twice in a pass");
                }
            }
        }
    }

    #[test]
    fn a_data_set_of_fewer_episodes_than_shards_has_its_share_in_each() {
        for shard in 0..5 {
            let mut draws = Draws::of([((0, 2), 1.0), ((2, 40), 1.0)].into_iter(), 7, (shard, 5));
            let small = (0..100).map(|_| draws.next()).filter(|draw| draw.dataset == 0);
            let episodes: Vec<usize> = small.map(|draw| draw.episode).collect();
            assert_eq!(episodes.len(), 50, "shard {shard}");
            assert_eq!(episodes.iter().collect::<HashSet<_>>().len(), 2, "shard {shard}");
        }
    }
}
