//! The figures of an order; `docs/mixing.md` defines each and says why it is one of them.

use serde::Serialize;

use super::layout::Layout;

/// Batches that the wider figure looks at together.
pub const HORIZON: u64 = 64;

/// How well an order mixes episodes.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Samples looked at of each epoch: all, or as many as were asked for.
    pub samples_per_epoch: u64,
    /// Mean number of distinct episodes in a full batch.
    pub distinct_episodes: f64,
    /// The number that one batch in a hundred does not exceed.
    pub distinct_episodes_p1: u32,
    /// What draws without replacement from the whole buffer would give on average.
    pub distinct_expected: f64,
    /// The mean as a share of that.
    pub distinct_share: f64,
    /// The share again, for [`HORIZON`] batches in a row taken as one; null if there are not as many.
    pub distinct_share_of_64_batches: Option<f64>,
    /// Samples whose next one is of the same episode, relative to draws from the whole buffer.
    pub same_episode_neighbours: f64,
    /// Pairs of a batch that are in one batch again in the next epoch, relative to the same; null
    /// where epochs were not looked at whole or there was one only.
    pub pair_repeat: Option<f64>,
    /// Share of the buffer's samples that an epoch delivers; null where it was not looked at whole.
    pub coverage: Option<f64>,
}

/// Measures an order: `epochs` are the samples that each delivers, the whole of an epoch or only
/// its beginning.
pub fn measure(layout: &Layout, epochs: &[Vec<u64>], batch: u32) -> Figures {
    let batch = u64::from(batch.max(1));
    let mut counts: Vec<u32> = Vec::new();
    let mut wide: Vec<u32> = Vec::new();
    let (mut same, mut pairs) = (0u64, 0u64);
    let mut counter = Counter { seen: vec![u32::MAX; layout.lengths().len()], turn: 0 };
    for epoch in epochs {
        let episodes: Vec<u32> = epoch.iter().map(|&sample| layout.episode(sample)).collect();
        counts.extend(episodes.chunks_exact(batch as usize).map(|batch| counter.distinct(batch)));
        wide.extend(
            episodes.chunks_exact((batch * HORIZON) as usize).map(|batches| counter.distinct(batches)),
        );
        same += episodes.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64;
        pairs += episodes.len().saturating_sub(1) as u64;
    }
    counts.sort_unstable();
    let mean = |counts: &[u32]| {
        counts.iter().map(|&count| f64::from(count)).sum::<f64>() / counts.len().max(1) as f64
    };
    let expected = expected_distinct(layout, batch);
    let samples = layout.samples() as f64;
    let chance: f64 =
        layout.lengths().iter().map(|&length| f64::from(length) * (f64::from(length) - 1.0)).sum();
    let chance = chance / (samples * (samples - 1.0));
    let whole = epochs.iter().all(|epoch| epoch.len() as u64 == layout.samples());
    Figures {
        samples_per_epoch: epochs.first().map_or(0, |epoch| epoch.len() as u64),
        distinct_episodes: mean(&counts),
        distinct_episodes_p1: counts.get(counts.len() / 100).copied().unwrap_or(0),
        distinct_expected: expected,
        distinct_share: mean(&counts) / expected,
        distinct_share_of_64_batches: (!wide.is_empty())
            .then(|| mean(&wide) / expected_distinct(layout, batch * HORIZON)),
        same_episode_neighbours: same as f64 / (pairs as f64 * chance),
        pair_repeat: (whole && epochs.len() > 1).then(|| pair_repeat(layout, epochs, batch)),
        coverage: whole.then(|| coverage(layout, epochs)),
    }
}

/// Counts distinct episodes without clearing anything between batches.
struct Counter {
    seen: Vec<u32>,
    turn: u32,
}

impl Counter {
    fn distinct(&mut self, episodes: &[u32]) -> u32 {
        let turn = self.turn;
        self.turn += 1;
        let is_new = |&&episode: &&u32| std::mem::replace(&mut self.seen[episode as usize], turn) != turn;
        episodes.iter().filter(is_new).count() as u32
    }
}

/// Distinct episodes in `batch` draws without replacement: the sum over episodes of the probability
/// that one is drawn.
fn expected_distinct(layout: &Layout, batch: u64) -> f64 {
    let samples = layout.samples();
    let batch = batch.min(samples);
    let mut lengths = layout.lengths().to_vec();
    lengths.sort_unstable();
    let missed = |length: u32| -> f64 {
        let others = samples - u64::from(length);
        (0..batch).map(|draw| others.saturating_sub(draw) as f64 / (samples - draw) as f64).product()
    };
    lengths.chunk_by(|a, b| a == b).map(|alike| alike.len() as f64 * (1.0 - missed(alike[0]))).sum()
}

fn pair_repeat(layout: &Layout, epochs: &[Vec<u64>], batch: u64) -> f64 {
    let (mut met, mut pairs) = (0u64, 0u64);
    for two in epochs.windows(2) {
        let mut batch_of = vec![u32::MAX; layout.samples() as usize];
        for (place, &sample) in two[1].iter().enumerate() {
            batch_of[sample as usize] = (place as u64 / batch) as u32;
        }
        for samples in two[0].chunks_exact(batch as usize) {
            let mut again: Vec<u32> = samples.iter().map(|&sample| batch_of[sample as usize]).collect();
            again.sort_unstable();
            let alike = again.chunk_by(|a, b| a == b).filter(|group| group[0] != u32::MAX);
            met += alike.map(|group| group.len() as u64 * (group.len() as u64 - 1) / 2).sum::<u64>();
            pairs += batch * (batch - 1) / 2;
        }
    }
    met as f64 / (pairs as f64 * (batch - 1) as f64 / (layout.samples() - 1) as f64)
}

fn coverage(layout: &Layout, epochs: &[Vec<u64>]) -> f64 {
    let distinct = |epoch: &Vec<u64>| {
        let mut seen = vec![false; layout.samples() as usize];
        epoch.iter().filter(|&&sample| !std::mem::replace(&mut seen[sample as usize], true)).count() as f64
    };
    epochs.iter().map(distinct).sum::<f64>() / (epochs.len().max(1) as u64 * layout.samples()) as f64
}
