//! Episodes held out of a buffer: each sample is on one side, and the loader keeps to it.

use std::collections::BTreeSet;

use super::small_buffer::{CHUNK_SIZE, write};
use super::*;
use crate::holdout::Holdout;

#[test]
fn episodes_are_held_out_whole_and_the_rest_comes_once_an_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let source = write(folder.path());
    // One of four, or three of four: any share that divides them.
    let holdout = (1..20).find_map(|i| Holdout::new(source.as_ref(), f64::from(i) / 20.0).ok()).unwrap();
    let Holdout { training, held_out, .. } = &holdout;
    assert_eq!(training.samples() + held_out.samples(), samples());
    assert_eq!(training.episodes() + held_out.episodes(), 4);
    let episodes = |selection: &Selection| -> BTreeSet<usize> {
        (0..selection.samples()).map(|number| place(selection.sample(number).get()).0).collect()
    };
    assert!(episodes(training).is_disjoint(&episodes(held_out)));
    for epoch in 0..3 {
        let order = Order::of(Arc::clone(training), 9).unwrap().epoch(epoch);
        let mut ids: Vec<u64> = (0..training.samples()).map(|at| order.sample(at).get()).collect();
        for (at, &id) in (0..).zip(&ids) {
            assert_eq!(order.position(SampleId::new(id)), at);
        }
        ids.sort_unstable();
        let expected: Vec<u64> = (0..training.samples()).map(|n| training.sample(n).get()).collect();
        assert_eq!(ids, expected);
    }
    assert!(holdout.describe().contains(&format!("of {} samples", samples())));
}

#[test]
fn shares_that_leave_a_side_empty_or_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let source = write(folder.path());
    for share in [0.0, 1.0, -0.5, f64::NAN, f64::INFINITY] {
        let error = Holdout::new(source.as_ref(), share).unwrap_err().to_string();
        assert!(error.contains("more than 0 and less than 1"), "{error}");
    }
    let none = Holdout::new(source.as_ref(), 1e-9).unwrap_err().to_string();
    assert!(none.contains("none of 4 episodes held out"), "{none}");
    let all = Holdout::new(source.as_ref(), 1.0 - 1e-9).unwrap_err().to_string();
    assert!(all.contains("none of 4 episodes to train on"), "{all}");
}

#[test]
fn a_loader_of_a_selection_delivers_it_once_an_epoch_under_its_own_ids() {
    let folder = tempfile::tempdir().unwrap();
    let buffer = write(folder.path());
    let source = Arc::clone(&buffer);
    let holdout = (1..20).find_map(|i| Holdout::new(source.as_ref(), f64::from(i) / 20.0).ok()).unwrap();
    for selection in [holdout.training, holdout.held_out] {
        let options = Asked {
            selection: Some(Arc::clone(&selection)),
            end: Some(BatchPosition { epoch: 1, batch: 0 }),
            ..options()
        };
        let batches = load(&buffer, options);
        let mut ids: Vec<u64> =
            batches.iter().flat_map(|batch| &batch.records).map(|record| record.sample.get()).collect();
        ids.sort_unstable();
        let expected: Vec<u64> = (0..selection.samples()).map(|n| selection.sample(n).get()).collect();
        assert_eq!(ids, expected);
        for batch in &batches {
            for record in &batch.records {
                assert_eq!(place(record.sample.get()).1, record.step);
            }
        }
    }
}

#[test]
fn a_sample_whose_episode_cannot_be_read_changes_what_a_checkpoint_compares() {
    let folder = tempfile::tempdir().unwrap();
    let source = write(folder.path());
    let divided = |&share: &f64| Holdout::new(source.as_ref(), share).is_ok();
    let share = (1..20).map(|i| f64::from(i) / 20.0).find(divided).unwrap();
    let whole = Holdout::new(source.as_ref(), share).unwrap();
    assert_eq!(whole.unknown, 0);
    let held_out = whole.held_out.sample(0).get() / u64::from(CHUNK_SIZE);
    let chunk = folder.path().join(format!("chunks/{held_out:08}.chunk"));
    let bytes = std::fs::read(&chunk).unwrap();
    // Any byte of the record of a sample that is held out.
    let found = (0..bytes.len()).step_by(16).find_map(|at| {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        std::fs::write(&chunk, damaged).unwrap();
        let buffer = Arc::new(Buffer::open_complete(folder.path()).ok()?);
        let holdout = Holdout::new(buffer.as_ref(), share).ok()?;
        (holdout.unknown > 0 && holdout.held_out.samples() < whole.held_out.samples()).then_some(holdout)
    });
    let found = found.unwrap();
    assert_eq!(found.training.samples() + found.held_out.samples(), samples());
    assert_ne!(found.note(), whole.note());
    assert!(found.describe().contains("cannot be read") && !whole.describe().contains("cannot be read"));
}
