//! A buffer is drained in batches: each sample once, bad ones named, the last batch as full as it gets.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::loader::tests::{damage, small_buffer};

fn options(batch: u32) -> FollowLoaderOptions {
    FollowLoaderOptions {
        seed: 1,
        batch,
        first_batch: 5,
        samples: None,
        wait: false,
        window: 3,
        shape: BatchShape {
            action_rows: small_buffer::ACTION_ROWS,
            history: small_buffer::HISTORY,
            cameras: 3,
        },
        delivery: Delivery::Frames,
        conditioning: Default::default(),
        workers: 2,
        batches_ahead: 2,
        on_bad_sample: OnBadSample::Skip,
    }
}

/// Ids of all batches, with the sizes of these.
fn drain(loader: &mut FollowLoader) -> (Vec<u64>, Vec<usize>) {
    let (mut ids, mut sizes) = (Vec::new(), Vec::new());
    while let Some(batch) = loader.next_batch(&AtomicBool::new(false)).unwrap() {
        let claimed: Vec<u64> = batch.samples().iter().map(|sample| sample.id().get()).collect();
        let position = batch.batch().position();
        let batch = batch.deliver();
        assert_eq!(batch.samples().iter().map(|record| record.sample.get()).collect::<Vec<_>>(), claimed);
        assert_eq!(position.batch, 5 + sizes.len() as u64);
        sizes.push(batch.len());
        ids.extend(claimed);
    }
    (ids, sizes)
}

#[test]
fn every_sample_is_delivered_once_and_what_is_not_delivered_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    small_buffer::write(dir.path());
    let all = small_buffer::samples();
    let limited = FollowLoaderOptions { samples: Some(10), ..options(4) };
    let mut loader = FollowLoader::new(dir.path(), limited).unwrap();
    let (mut ids, sizes) = drain(&mut loader);
    assert_eq!((sizes, loader.end()), (vec![4, 4, 2], Some(End::Enough)));
    drop(loader);
    // One that is dropped with batches in hand leaves them to the next.
    let mut loader = FollowLoader::new(dir.path(), options(4)).unwrap();
    drop(loader.next_batch(&AtomicBool::new(false)).unwrap());
    drop(loader);
    let mut loader = FollowLoader::new(dir.path(), options(4)).unwrap();
    ids.extend(drain(&mut loader).0);
    assert_eq!(loader.end(), Some(End::Consumed));
    assert_eq!(ids.len() as u64, all);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len() as u64, all);
}

#[test]
fn bad_samples_are_named_and_leave_no_gap() {
    for batch in [1, 4, 16, 64] {
        let dir = tempfile::tempdir().unwrap();
        small_buffer::write(dir.path());
        damage(dir.path());
        let mut loader = FollowLoader::new(dir.path(), options(batch)).unwrap();
        let (ids, sizes) = drain(&mut loader);
        let bad = loader.take_bad_samples();
        assert!(!bad.is_empty() && bad.iter().all(|bad| bad.origin.is_some()));
        assert_eq!((ids.len() + bad.len()) as u64, small_buffer::samples(), "batches of {batch}");
        assert_eq!(sizes.iter().sum::<usize>(), ids.len());
        let bad: BTreeSet<u64> = bad.iter().map(|bad| bad.sample.get()).collect();
        assert!(ids.iter().all(|id| !bad.contains(id)));
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    }
}
