//! Steps spread over chunks in runs: the same steps, elsewhere, and everything else as in order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rdt_buffer::{Buffer, Manifest};

use super::make::{self, Place, Result};
use crate::*;

fn spread(chunks: u32, run_length: u32) -> Result<Option<Spread>> {
    Ok(Some(Spread { chunks: chunks.try_into()?, run_length: run_length.try_into()? }))
}

/// The steps of a chunk by episode (file and key), in the order of the slots.
type Steps = BTreeMap<(String, String), Vec<u32>>;

fn chunks_of(dir: &std::path::Path) -> Result<Vec<Steps>> {
    let size = Buffer::open_complete(dir)?.manifest().chunk_size as usize;
    let samples = make::samples_of(dir)?;
    let chunk = |samples: &[(String, String, u32)]| {
        let mut steps = Steps::new();
        for (file, key, step) in samples {
            steps.entry((file.clone(), key.clone())).or_default().push(*step);
        }
        steps
    };
    Ok(samples.chunks(size).map(chunk).collect())
}

fn has_every_step_once(lengths: &[Vec<usize>], chunk_size: u32, open: u32, run: u32) -> Result {
    let place = Place::new()?;
    for (file, steps) in lengths.iter().enumerate() {
        place.episodes(&format!("{file:02}.hdf5"), steps)?;
    }
    let [in_order, one, three] = ["in_order", "one", "three"].map(|name| place.path(name));
    let mut options = place.options(chunk_size, 1)?;
    make::fill_quietly(&options, &in_order)?;
    options.spread = spread(open, run)?;
    let report = make::fill_quietly(&options, &one)?;
    options.workers = 3.try_into()?;
    make::fill_quietly(&options, &three)?;
    assert!(make::files_of(&one)? == make::files_of(&three)?, "three workers wrote other bytes than one");
    let (expected, mut found) = (make::samples_of(&in_order)?, make::samples_of(&one)?);
    assert_eq!(report.chunks, Manifest::read(&in_order)?.chunk_count());
    found.sort();
    let mut sorted = expected;
    sorted.sort();
    assert_eq!(found, sorted);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn every_step_is_there_once_for_any_spread(
        lengths in prop::collection::vec(prop::collection::vec(1usize..40, 1..4), 1..5),
        chunk_size in 1u32..24, open in 1u32..9, run in 1u32..12,
    ) {
        let mut lengths = lengths;
        lengths[0].push(3);
        has_every_step_once(&lengths, chunk_size, open, run).map_err(|e| TestCaseError::fail(e.to_string()))?;
    }
}

/// 16 episodes of 64 steps, 16 chunks of 64, runs of 8: in order a chunk is one episode; spread over
/// all of them it holds one run of each of eight.
#[test]
fn a_chunk_holds_runs_of_many_episodes() -> Result {
    let place = Place::new()?;
    place.episodes("a.hdf5", &[64; 16])?;
    let mut options = place.options(64, 1)?;
    make::fill_quietly(&options, &place.path("in_order"))?;
    assert!(chunks_of(&place.path("in_order"))?.iter().all(|chunk| chunk.len() == 1));
    options.spread = spread(16, 8)?;
    make::fill_quietly(&options, &place.path("spread"))?;
    let chunks = chunks_of(&place.path("spread"))?;
    assert!(chunks.iter().all(|chunk| chunk.len() == 8), "{:?}", chunks.iter().map(BTreeMap::len));
    let mut starts = BTreeSet::new();
    for steps in chunks.iter().flat_map(BTreeMap::values) {
        assert_eq!(steps.len(), 8);
        assert!(steps.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{steps:?} is not a run");
        starts.insert((chunks.len(), steps[0]));
    }
    assert_eq!(starts.len(), 8, "runs begin everywhere in their episodes");
    // No part of an episode has a chunk for itself: the first steps are in many.
    assert!(chunks.iter().filter(|chunk| chunk.values().any(|steps| steps[0] == 0)).count() > 4);
    // Another seed deals otherwise.
    options.seed = 1;
    make::fill_quietly(&options, &place.path("other"))?;
    assert_ne!(chunks_of(&place.path("other"))?, chunks);
    Ok(())
}

#[test]
fn a_stopped_spread_fill_continues_to_the_same_bytes_and_only_so() -> Result {
    let place = Place::new()?;
    place.episodes("a.hdf5", &[40, 33, 25, 61])?;
    let mut options = place.options(8, 2)?;
    options.spread = spread(6, 4)?;
    make::fill_quietly(&options, &place.path("whole"))?;
    let dir = place.path("stopped");
    let (stop, published) = (StopFlag::default(), std::sync::atomic::AtomicU32::new(0));
    let stopped = fill(&options, &dir, &stop, &|event| {
        let is_chunk = matches!(event, Event::Published { .. });
        if is_chunk && published.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 6 {
            stop.stop();
        }
    });
    assert!(matches!(stopped, Err(ProducerError::Interrupted { .. })), "{stopped:?}");
    for (other, words) in [
        (None, "spread was 6 in runs of 4, is now not given"),
        (spread(6, 5)?, "spread was 6 in runs of 4, is now 6 in runs of 5"),
    ] {
        let error = make::fill_quietly(&Options { spread: other, ..options.clone() }, &dir).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains(words), "{error}");
    }
    options.workers = 1.try_into()?;
    let report = make::fill_quietly(&options, &dir)?;
    assert!(report.written_chunks < report.chunks, "nothing was kept");
    assert!(make::files_of(&dir)? == make::files_of(&place.path("whole"))?);
    Ok(())
}

/// A window's frames are stored once a chunk, so runs of 8 with two frames a window take an eighth
/// more than all steps together; a dry run knows it.
#[test]
fn a_dry_run_predicts_a_spread_fill() -> Result {
    let place = Place::new()?;
    place.episodes("a.hdf5", &[96; 12])?;
    let mut options = place.options(64, 1)?;
    let in_order = make::fill_quietly(&options, &place.path("in_order"))?;
    options.spread = spread(18, 8)?;
    let predicted = predict(&options, &StopFlag::default(), &|_| {})?;
    let filled = make::fill_quietly(&options, &place.path("spread"))?;
    assert_eq!((predicted.samples, predicted.chunks), (filled.samples, filled.chunks));
    let ratio = predicted.bytes as f64 / filled.bytes as f64;
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
    assert!(filled.bytes > in_order.bytes, "{} in order, {} spread", in_order.bytes, filled.bytes);
    Ok(())
}
