//! A buffer is drained in batches: each sample once, bad ones named, the last batch as full as it gets.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;

fn live(dir: &Path, batches: LiveOptions) -> Loader {
    let options = LoaderOptions {
        layout: Layout { shape: SHAPE, delivery: Delivery::Frames },
        workers: Workers { threads: 2, batches_ahead: 2 },
        disturbance: Default::default(),
        on_bad_sample: OnBadSample::Skip,
    };
    Loader::live(dir, batches, options).unwrap()
}

fn batches_of(batch: u32) -> LiveOptions {
    LiveOptions { seed: 1, batch, first_batch: 5, samples: None, wait: false, window: 3, holdout: 0.0 }
}

/// Ids of all batches, with the sizes of these.
fn drain(loader: &mut Loader) -> (Vec<u64>, Vec<usize>) {
    let (mut ids, mut sizes) = (Vec::new(), Vec::new());
    while let Some(batch) = next(loader) {
        let batch = batch.unwrap();
        let claimed: Vec<u64> = batch.receipt().claimed().iter().map(|sample| sample.id().get()).collect();
        assert_eq!(batch.samples().iter().map(|record| record.sample.get()).collect::<Vec<_>>(), claimed);
        assert_eq!(batch.position().batch, 5 + sizes.len() as u64);
        sizes.push(batch.len());
        batch.into_receipt().deliver();
        ids.extend(claimed);
    }
    (ids, sizes)
}

#[test]
fn every_sample_is_delivered_once_and_what_is_not_delivered_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    small_buffer::write(dir.path());
    let all = small_buffer::samples();
    let mut loader = live(dir.path(), LiveOptions { samples: Some(10), ..batches_of(4) });
    let (mut ids, sizes) = drain(&mut loader);
    assert_eq!((sizes, loader.end()), (vec![4, 4, 2], Some(End::Enough)));
    drop(loader);
    // One that is dropped with batches in hand leaves them to the next.
    let mut loader = live(dir.path(), batches_of(4));
    drop(next(&mut loader).unwrap());
    drop(loader);
    let mut loader = live(dir.path(), batches_of(4));
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
        let mut loader = live(dir.path(), batches_of(batch));
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
