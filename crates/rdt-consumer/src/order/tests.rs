//! The order is a bijection for every number of samples, and looks random in the ways that
//! training would notice. Thresholds are about five standard deviations: the seeds are fixed,
//! so a failure means that the order changed, not bad luck.

use proptest::prelude::*;

use super::*;

mod windowed;

#[test]
fn every_small_buffer_is_permuted() {
    for samples in 1..5000u64 {
        let order = Order::new(samples, samples * 31).unwrap().epoch(samples % 7);
        let mut seen = vec![false; samples as usize];
        for position in 0..samples {
            let sample = order.sample(position);
            assert!(!std::mem::replace(&mut seen[sample.get() as usize], true), "{samples} {sample}");
            assert_eq!(order.position(sample), position);
        }
    }
}

proptest! {
    #[test]
    fn large_buffers_are_permuted(
        samples in 1u64..1 << 40, seed: u64, epoch: u64, at in prop::collection::vec(0.0..1.0f64, 50),
    ) {
        let order = Order::new(samples, seed).unwrap().epoch(epoch);
        for unit in at {
            let position = ((samples as f64 * unit) as u64).min(samples - 1);
            let sample = order.sample(position);
            prop_assert!(sample.get() < samples);
            prop_assert_eq!(order.position(sample), position);
            prop_assert_eq!(order.sample(order.position(SampleId::new(position))).get(), position);
        }
    }
}

#[test]
fn largest_buffer_is_permuted() {
    let order = Order::new(MOST_SAMPLES, 1).unwrap().epoch(0);
    for position in [0, 1, MOST_SAMPLES / 3, MOST_SAMPLES - 1] {
        assert_eq!(order.position(order.sample(position)), position);
    }
    assert!(matches!(Order::new(MOST_SAMPLES + 1, 1), Err(ConsumerError::TooManySamples { .. })));
    assert!(matches!(Order::new(0, 1), Err(ConsumerError::NoSamples)));
}

/// A run that resumes under another build must see the same order.
#[test]
fn values_stay_as_they_are() {
    let ids = |samples, seed, epoch| -> Vec<u64> {
        let order = Order::new(samples, seed).unwrap().epoch(epoch);
        (0..samples.min(8)).map(|position| order.sample(position).get()).collect()
    };
    assert_eq!(ids(8, 0, 0), RECORDED_8);
    assert_eq!(ids(500_000_000, 42, 3), RECORDED_LARGE);
}

const RECORDED_8: [u64; 8] = [4, 2, 1, 6, 3, 5, 0, 7];
const RECORDED_LARGE: [u64; 8] =
    [443363660, 60262516, 205843248, 306594747, 320368775, 225696602, 349072727, 110636342];

/// All 120 orders of five samples come up equally often, over seeds as over epochs. (A network of
/// even permutations alone fails this.)
#[test]
fn all_permutations_of_few_samples_are_equally_likely() {
    for over_epochs in [false, true] {
        let mut counts = std::collections::BTreeMap::<Vec<u64>, u32>::new();
        for draw in 0..48_000 {
            let (seed, epoch) = if over_epochs { (5, draw) } else { (draw, 5) };
            let order = Order::new(5, seed).unwrap().epoch(epoch);
            *counts.entry((0..5).map(|p| order.sample(p).get()).collect()).or_default() += 1;
        }
        assert_eq!(counts.len(), 120);
        let chi = chi_square(counts.values().copied(), 400.0);
        assert!(chi < 119.0 + 5.0 * (2.0 * 119.0f64).sqrt(), "{chi}");
    }
}

/// Where one sample lands over seeds is uniform, for domains that fit and that are walked.
#[test]
fn a_sample_lands_everywhere_equally() {
    for samples in [2u64, 16, 17, 64, 100, 255] {
        for sample in [0, samples - 1] {
            let mut counts = vec![0u32; samples as usize];
            for seed in 0..samples * 200 {
                let order = Order::new(samples, seed).unwrap().epoch(1);
                counts[order.position(SampleId::new(sample)) as usize] += 1;
            }
            let chi = chi_square(counts, 200.0);
            let free = samples as f64 - 1.0;
            assert!(chi < free + 5.0 * (2.0 * free).sqrt(), "{samples} {sample}: {chi}");
        }
    }
}

const EPISODE_STEPS: u64 = 256;
const LARGE: u64 = 1024 * EPISODE_STEPS + 77;

/// Of neighbours in the order, the steps between their samples fall everywhere equally.
#[test]
fn neighbours_are_unrelated() {
    for (seed, lag) in [(1, 1), (2, 2), (3, 32), (4, 512)] {
        let order = Order::new(LARGE, seed).unwrap().epoch(0);
        let mut counts = vec![0u32; 256];
        for position in 0..LARGE {
            let here = order.sample(position).get();
            let there = order.sample((position + lag) % LARGE).get();
            let apart = (there + LARGE - here) % LARGE;
            counts[(apart * 256 / LARGE) as usize] += 1;
        }
        let chi = chi_square(counts, LARGE as f64 / 256.0);
        assert!(chi < 255.0 + 5.0 * (2.0 * 255.0f64).sqrt(), "lag {lag}: {chi}");
    }
}

#[test]
fn positions_do_not_correlate() {
    let order = Order::new(LARGE, 9).unwrap().epoch(2);
    let mean = (LARGE - 1) as f64 / 2.0;
    let values: Vec<f64> = (0..LARGE).map(|p| order.sample(p).get() as f64 - mean).collect();
    let variance: f64 = values.iter().map(|v| v * v).sum();
    for lag in 1..=64 {
        let both: f64 = values.iter().zip(&values[lag..]).map(|(a, b)| a * b).sum();
        let correlation = both / variance;
        assert!(correlation.abs() < 4.0 / (LARGE as f64).sqrt(), "lag {lag}: {correlation}");
    }
}

/// Episodes in a batch of 32: as many as a uniform draw gives (31.52 of 1,024 episodes), and
/// neighbours of one episode no more often than chance.
#[test]
fn batches_mix_episodes() {
    let samples = 1024 * EPISODE_STEPS;
    let order = Order::new(samples, 3).unwrap().epoch(0);
    let episodes: Vec<u64> = (0..samples).map(|p| order.sample(p).get() / EPISODE_STEPS).collect();
    let mut distinct = 0usize;
    for batch in episodes.chunks(32) {
        distinct += batch.iter().collect::<std::collections::BTreeSet<_>>().len();
    }
    let mean = distinct as f64 / (samples / 32) as f64;
    // Standard deviation of the mean over 8,192 batches: 0.0075.
    assert!((mean - 31.52).abs() < 0.04, "{mean}");

    let pairs = episodes.windows(2).filter(|pair| pair[0] == pair[1]).count() as f64;
    let chance = (samples - 1) as f64 * (EPISODE_STEPS - 1) as f64 / (samples - 1) as f64;
    assert!((pairs / chance - 1.0).abs() < 5.0 / chance.sqrt(), "{pairs} against {chance}");
}

/// Orders of two epochs, or of two neighbouring seeds, agree no more often than chance.
#[test]
fn epochs_and_seeds_are_unrelated() {
    let pairs = [((1, 0), (1, 1)), ((1, 0), (2, 0)), ((1, 2), (2, 1)), ((0, 1), (1, 0))];
    for (one, other) in pairs {
        let order = |(seed, epoch)| Order::new(LARGE, seed).unwrap().epoch(epoch);
        let (one, other) = (order(one), order(other));
        let equal = (0..LARGE).filter(|&p| one.sample(p) == other.sample(p)).count();
        assert!(equal < 10, "{equal}");
        // Samples that follow each other in one do not do so in the other.
        let followers = (0..LARGE - 1)
            .filter(|&p| {
                let (here, next) = (other.position(one.sample(p)), other.position(one.sample(p + 1)));
                here + 1 == next
            })
            .count();
        assert!(followers < 10, "{followers}");
    }
}

fn chi_square(counts: impl IntoIterator<Item = u32>, expected: f64) -> f64 {
    counts.into_iter().map(|count| (f64::from(count) - expected).powi(2) / expected).sum()
}
