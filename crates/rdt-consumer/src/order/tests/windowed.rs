//! The windowed order: a bijection, few chunks at a time, each read about once, all lanes mixed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;

fn windowed(samples: u64, chunk_size: u32, window: u32, seed: u64) -> Order {
    Order::new(samples, seed).unwrap().windowed(chunk_size, NonZeroU32::new(window).unwrap())
}

#[test]
fn every_small_buffer_is_permuted() {
    for samples in (1..130u64).chain([255, 256, 257, 1000]) {
        for chunk_size in [1, 2, 7, 16, 100, 2000] {
            for window in [1, 2, 3, 8, 64] {
                let order = windowed(samples, chunk_size, window, samples * 31).epoch(samples % 7);
                let mut seen = vec![false; samples as usize];
                for position in 0..samples {
                    let sample = order.sample(position);
                    let seen = &mut seen[sample.get() as usize];
                    assert!(!std::mem::replace(seen, true), "{samples}/{chunk_size}/{window}: {sample}");
                    assert_eq!(order.position(sample), position);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn large_buffers_are_permuted(
        samples in 1u64..1 << 40, chunk_size in 1u32..70_000, window in 1u32..5000, seed: u64, epoch: u64,
        at in prop::collection::vec(0.0..1.0f64, 30),
    ) {
        let order = windowed(samples, chunk_size, window, seed).epoch(epoch);
        for unit in at {
            let position = ((samples as f64 * unit) as u64).min(samples - 1);
            let sample = order.sample(position);
            prop_assert!(sample.get() < samples);
            prop_assert_eq!(order.position(sample), position);
            prop_assert_eq!(order.sample(order.position(SampleId::new(position))).get(), position);
        }
    }
}

/// What a device sees: a cache of twice the window takes each chunk in once, but for those
/// that two lanes share. (Twice: lanes take turns in any order, so a chunk may rest for two rounds.)
#[test]
fn each_chunk_is_open_once() {
    for (samples, chunk_size, window) in
        [(64 * 40, 64, 8u32), (10_007, 100, 7), (9000, 300, 64), (5000, 50, 1)]
    {
        let order = windowed(samples, chunk_size, window, 3).epoch(1);
        let (mut open, mut opened) = (VecDeque::new(), 0);
        for position in 0..samples {
            let chunk = order.sample(position).get() / u64::from(chunk_size);
            match open.iter().position(|&known| known == chunk) {
                Some(at) => drop(open.remove(at)),
                None => opened += 1,
            }
            open.push_back(chunk);
            if open.len() > 2 * window as usize {
                open.pop_front();
            }
        }
        let chunks = samples.div_ceil(chunk_size.into());
        assert!(opened <= chunks + 2 * u64::from(window), "{opened} openings of {chunks} chunks");
    }
}

/// Lanes turn to their next chunk one after another, not together, also where chunks divide evenly.
#[test]
fn chunks_are_opened_evenly_over_the_epoch() {
    let (chunk_size, window) = (64u32, 16);
    let order = windowed(16 * 64 * 10, chunk_size, window, 5).epoch(0);
    let mut first = BTreeMap::new();
    for position in 0..order.samples {
        first.entry(order.sample(position).get() / u64::from(chunk_size)).or_insert(position);
    }
    // After the first round, a stretch of the samples of 8 chunks opens 8, give or take a few.
    for start in (u64::from(window)..order.samples - 1024).step_by(512) {
        let opened = first.values().filter(|at| (start..start + 512).contains(at)).count();
        assert!((4..=12).contains(&opened), "{opened} from {start}");
    }
}

/// What is to be read ahead is named before it is needed, each chunk once or twice.
#[test]
fn chunks_are_named_before_they_are_needed() {
    for (samples, chunk_size, window) in
        [(64 * 40, 64, 8u32), (10_007, 100, 7), (9000, 300, 64), (5000, 50, 1)]
    {
        let order = windowed(samples, chunk_size, window, 3).epoch(1);
        let mut named: BTreeMap<u64, u32> = BTreeMap::new();
        for position in 0..samples {
            if let Some(range) = order.soon(position) {
                let chunk = range.start.get() / u64::from(chunk_size);
                assert_eq!(range.start.get(), chunk * u64::from(chunk_size));
                assert_eq!(range.end.get(), (range.start.get() + u64::from(chunk_size)).min(samples));
                *named.entry(chunk).or_default() += 1;
            }
            let chunk = order.sample(position).get() / u64::from(chunk_size);
            assert!(
                named.contains_key(&chunk),
                "chunk {chunk} at {position} of {samples}/{chunk_size}/{window}"
            );
        }
        assert_eq!(named.len() as u64, samples.div_ceil(chunk_size.into()));
        let times: u64 = named.values().map(|&times| u64::from(times)).sum();
        assert!(times <= named.len() as u64 + 2 * u64::from(window), "{times} times");
    }
    assert_eq!(Order::new(100, 1).unwrap().epoch(0).soon(5), None);
}

/// A round has one sample of each lane; lanes go through different chunks, in another order each
/// round; each epoch begins with other chunks.
#[test]
fn rounds_take_one_sample_of_each_open_chunk() {
    let order = windowed(64 * 512 * 4, 512, 64, 9);
    let chunks = |epoch: u64, round: u64| -> Vec<u64> {
        let order = order.epoch(epoch);
        (64 * round..64 * (round + 1)).map(|position| order.sample(position).get() / 512).collect()
    };
    let distinct = |chunks: &[u64]| chunks.iter().collect::<BTreeSet<_>>().len();
    let fewest = (0..512).map(|round| distinct(&chunks(0, round))).min().unwrap();
    assert!(fewest >= 62, "{fewest} chunks in a round");
    assert_ne!(chunks(0, 0), chunks(0, 1));
    let open = |epoch| chunks(epoch, 0).into_iter().collect::<BTreeSet<_>>();
    let both = open(0).intersection(&open(1)).count();
    assert!(both < 32, "{both} of 64 open in both epochs");
}

/// Of the samples that a chunk gives one after another, each comes from another part of it.
#[test]
fn a_chunk_gives_samples_of_all_its_parts_in_turn() {
    let order = windowed(1024 * 6, 1024, 2, 4).epoch(0);
    let mut parts: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for position in 0..order.samples {
        let sample = order.sample(position).get();
        parts.entry(sample / 1024).or_default().push(sample % 1024 / 64);
    }
    for parts in parts.into_values() {
        let unlike = parts.windows(8).filter(|few| few.iter().collect::<BTreeSet<_>>().len() >= 6).count();
        assert!(unlike * 10 >= parts.len() * 9, "{unlike} of {}", parts.len());
    }
}

#[test]
fn values_stay_as_they_are() {
    let ids = |samples, chunk_size, window| -> Vec<u64> {
        let order = windowed(samples, chunk_size, window, 42).epoch(3);
        (0..8).map(|position| order.sample(position).get()).collect()
    };
    assert_eq!(ids(8, 3, 2), RECORDED_8);
    assert_eq!(ids(500_000_000, 1024, 64), RECORDED_LARGE);
}

const RECORDED_8: [u64; 8] = [3, 0, 2, 4, 1, 6, 5, 7];
const RECORDED_LARGE: [u64; 8] =
    [115795568, 130479859, 28224901, 122950578, 294273322, 461786642, 342307234, 284191867];

/// Where a sample comes is any place, over seeds: about evenly.
#[test]
fn a_sample_comes_anywhere() {
    let samples = 288u64;
    for sample in [0, 100, samples - 1] {
        let mut counts = vec![0u32; 24];
        for seed in 0..4800 {
            let place = windowed(samples, 64, 3, seed).epoch(1).position(SampleId::new(sample));
            counts[(place / 12) as usize] += 1;
        }
        assert!(counts.iter().all(|&count| (130..270).contains(&count)), "{sample}: {counts:?}");
    }
}
