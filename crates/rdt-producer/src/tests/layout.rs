//! What is in the chunks: every step once, whatever the number of workers.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rdt_buffer::Buffer;

use super::make::{self, Place, Result};
use crate::*;

fn covers_every_step_once(lengths: &[Vec<usize>], chunk_size: u32) -> Result {
    let place = Place::new()?;
    let mut expected = Vec::new();
    for (file, steps) in lengths.iter().enumerate() {
        let name = format!("{file:02}.hdf5");
        place.episodes(&name, steps)?;
        for (index, &steps) in steps.iter().enumerate().filter(|(_, steps)| **steps >= 3) {
            expected.extend((0..steps as u32).map(|step| (name.clone(), format!("demo_{index}"), step)));
        }
    }
    let [one, three] = [1, 3].map(|workers| place.path(&format!("buffer{workers}")));
    let report = make::fill_quietly(&place.options(chunk_size, 1)?, &one)?;
    assert_eq!(report.samples, expected.len() as u64);
    assert_eq!(report.chunks, expected.len().div_ceil(chunk_size as usize) as u64);
    assert_eq!(report.filtered.len(), lengths.iter().flatten().filter(|steps| **steps < 3).count());
    let found: Vec<_> =
        make::samples_of(&one)?.into_iter().map(|(file, key, step)| (file, leaf(&key), step)).collect();
    assert_eq!(found, expected);
    make::fill_quietly(&place.options(chunk_size, 3)?, &three)?;
    assert!(make::files_of(&one)? == make::files_of(&three)?, "three workers wrote other bytes than one");
    let [one, three] = [one, three].map(|dir| Buffer::open(&dir).map(|b| b.manifest().datasets.clone()));
    assert_eq!(one?, three?, "statistics depend on the number of workers");
    Ok(())
}

/// Keys are compared by their last part: whether they carry the group's path is the card's matter.
fn leaf(key: &str) -> String {
    key.rsplit('/').next().unwrap_or_default().to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn every_step_is_there_once_for_any_number_of_workers(
        lengths in prop::collection::vec(prop::collection::vec(1usize..20, 1..4), 1..5),
        chunk_size in 1u32..24,
    ) {
        // One episode that is accepted, or there is nothing to fill from.
        let mut lengths = lengths;
        lengths[0].push(3);
        covers_every_step_once(&lengths, chunk_size).map_err(|e| TestCaseError::fail(e.to_string()))?;
    }
}

#[test]
fn random_draws_are_weighted_by_length_seeded_and_as_many_as_asked() -> Result {
    let place = Place::new()?;
    place.episodes("a.hdf5", &[10, 90])?;
    let mut options = place.options(64, 2)?;
    options.sampling = Sampling::Random;
    options.num_chunks = Some(40);
    let draws = |seed: u64, workers: usize, dir: &str| -> Result<Vec<(String, String, u32)>> {
        let mut options = options.clone();
        (options.seed, options.workers) = (seed, workers.try_into()?);
        make::fill_quietly(&options, &place.path(dir))?;
        make::samples_of(&place.path(dir))
    };
    let first = draws(1, 1, "a")?;
    assert_eq!(first.len(), 40 * 64);
    assert_eq!(first, draws(1, 2, "b")?);
    assert_ne!(first, draws(2, 1, "c")?);
    let long = first.iter().filter(|(_, key, _)| key.ends_with("demo_1")).count() as f64 / first.len() as f64;
    assert!((long - 0.9).abs() < 0.03, "{long}");
    // 2560 draws of 100 steps miss none; as many draws as steps miss about 37 %.
    assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 100);
    options.num_chunks = None;
    let once = draws_without_limit(&options, &place)?;
    assert_eq!(once.len(), 100);
    let distinct = once.iter().collect::<BTreeSet<_>>().len();
    assert!((50..80).contains(&distinct), "{distinct}");
    Ok(())
}

fn draws_without_limit(options: &Options, place: &Place) -> Result<Vec<(String, String, u32)>> {
    make::fill_quietly(options, &place.path("unlimited"))?;
    make::samples_of(&place.path("unlimited"))
}

#[test]
fn a_dry_run_predicts_the_fill_and_writes_nothing() -> Result {
    let place = Place::new()?;
    place.episodes("a.hdf5", &[50, 2, 30])?;
    let options = place.options(16, 1)?;
    let before = std::fs::read_dir(place.folder.path())?.count();
    let predicted = predict(&options, &StopFlag::default(), &|_| {})?;
    assert_eq!(std::fs::read_dir(place.folder.path())?.count(), before);
    let filled = make::fill_quietly(&options, &place.path("buffer"))?;
    assert_eq!((predicted.samples, predicted.chunks), (filled.samples, filled.chunks));
    assert_eq!((predicted.samples, predicted.chunks, predicted.filtered.len()), (80, 5, 1));
    let ratio = predicted.bytes as f64 / filled.bytes as f64;
    assert!((0.9..1.1).contains(&ratio), "{ratio}");
    Ok(())
}

#[test]
fn a_chunk_whose_steps_move_gets_another_digest() -> Result {
    let place = Place::new()?;
    place.episodes("a.hdf5", &[5, 60])?;
    let options = place.options(8, 1)?;
    let sources = Sources::open(&options)?;
    let mut plan = scan(&sources, &options, &[], &StopFlag::default(), &|_| {})?;
    // Chunk 3 is of the long episode alone, before and after.
    let chunk = rdt_buffer::ChunkId::new(3);
    let before = (plan.pieces(chunk), plan.chunk_digest(&sources, chunk));
    plan.remove(&[0]);
    plan.settle(&sources, &StopFlag::default())?;
    let after = (plan.pieces(chunk), plan.chunk_digest(&sources, chunk));
    assert_eq!((before.0.len(), after.0.len()), (1, 1));
    assert_ne!(before.0[0].steps, after.0[0].steps);
    assert_ne!(before.1, after.1);
    Ok(())
}

#[test]
fn too_few_chunks_are_refused_and_follow_is_named() -> Result {
    let place = Place::new()?;
    place.episodes("a.hdf5", &[50])?;
    let mut options = place.options(16, 1)?;
    options.num_chunks = Some(3);
    let error = make::fill_quietly(&options, &place.path("buffer")).unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("follow"), "{error}");
    assert!(!place.path("buffer").exists());
    options.num_chunks = Some(4);
    make::fill_quietly(&options, &place.path("buffer"))?;
    Ok(())
}

#[test]
fn the_plan_of_a_million_episodes_is_small() {
    assert!(size_of::<crate::plan::PlannedEpisode>() <= 40);
}

#[test]
fn draws_are_counted_no_longer_than_until_somebody_asks_to_stop() -> Result {
    let place = Place::new()?;
    place.episodes("a.hdf5", &[50])?;
    let mut options = place.options(1 << 16, 1)?;
    options.sampling = Sampling::Random;
    options.num_chunks = Some(1 << 20);
    let stop = StopFlag::default();
    // The scan has its own look at the flag: the last file is told right before the draws.
    let error = predict(&options, &stop, &|event| {
        if matches!(event, Event::Scanned { files, total } if files == total) {
            stop.stop();
        }
    });
    assert!(matches!(error, Err(ProducerError::InterruptedWhilePlanning)), "{error:?}");
    Ok(())
}

#[test]
fn names_that_a_file_name_or_list_cannot_hold_are_refused() -> Result {
    let place = Place::new()?;
    place.episodes("a.hdf5", &[5])?;
    let mut options = place.options(8, 1)?;
    for name in ["a/b", "a\nb", "a b", "..", "\u{e9}"] {
        options.datasets[0].name = name.into();
        let error = Sources::open(&options).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains(&format!("{name:?}")), "{error}");
    }
    options.datasets[0].name = "bridge_v2-0.1".into();
    Sources::open(&options)?;
    Ok(())
}

#[test]
fn random_draws_weigh_an_episode_by_what_trimming_leaves() -> Result {
    let place = Place::new()?;
    // Rows rise by 0.21 and 0.24 a step, so 23 and 20 steps of them are before the threshold.
    place.episodes("a.hdf5", &[30, 90])?;
    let card = std::fs::read_to_string(place.path("card.yaml"))?;
    std::fs::write(place.path("card.yaml"), card + "trim_still:\n  array: pos\n  threshold: 5\n")?;
    let mut options = place.options(64, 1)?;
    options.sampling = Sampling::Random;
    options.num_chunks = Some(40);
    make::fill_quietly(&options, &place.path("buffer"))?;
    let samples = make::samples_of(&place.path("buffer"))?;
    let long =
        samples.iter().filter(|(_, key, _)| key.ends_with("demo_1")).count() as f64 / samples.len() as f64;
    assert!((long - 70.0 / 77.0).abs() < 0.03, "{long}");
    Ok(())
}
