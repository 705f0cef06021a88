//! Both feeds keep the same promises: every sample once, an unreadable one named and replaced, a stop
//! in the middle.

use std::collections::BTreeSet;
use std::path::Path;

use super::*;

/// One loader a feed, over the same samples, in batches of 4.
fn loaders(dir: &Path) -> [(&'static str, Loader); 2] {
    let options = LoaderOptions {
        layout: Layout { shape: SHAPE, delivery: Delivery::Frames },
        workers: Workers { threads: 2, batches_ahead: 2 },
        disturbance: Disturbance::default(),
        on_bad_sample: OnBadSample::Skip,
    };
    let buffer = Arc::new(Buffer::open_complete(dir).unwrap());
    let end = Some(BatchPosition { epoch: 1, batch: 0 });
    let ordered = OrderedOptions {
        seed: 3,
        global_batch: 4,
        ranks: Ranks::ONE,
        last: LastBatch::Keep,
        order: OrderKind::Uniform,
        selection: None,
        start: BatchPosition::default(),
        end,
    };
    let live = LiveOptions {
        seed: 3,
        batch: 4,
        first_batch: 0,
        samples: None,
        wait: false,
        window: 3,
        holdout: 0.0,
    };
    [
        ("ordered", Loader::ordered(buffer, ordered, options.clone()).unwrap()),
        ("live", Loader::live(dir, live, options).unwrap()),
    ]
}

fn ids(batch: &Batch) -> Vec<u64> {
    batch.samples().iter().map(|record| record.sample.get()).collect()
}

#[test]
fn every_sample_comes_once_and_batches_are_numbered() {
    let dir = tempfile::tempdir().unwrap();
    small_buffer::write(dir.path());
    for (feed, mut loader) in loaders(dir.path()) {
        let (mut seen, mut numbers) = (BTreeSet::new(), Vec::new());
        while let Some(batch) = next(&mut loader) {
            let batch = batch.unwrap();
            numbers.push((batch.position().batch, batch.len()));
            assert!(ids(&batch).into_iter().all(|id| seen.insert(id)), "{feed}: twice");
            batch.into_receipt().deliver();
        }
        assert_eq!(seen.len() as u64, samples(), "{feed}");
        let last = numbers.pop().unwrap();
        assert!((0u64..).zip(&numbers).all(|(number, &found)| found == (number, 4)), "{feed}: {numbers:?}");
        assert_eq!(last.1 as u64, (samples() - 1) % 4 + 1, "{feed}");
        assert!(loader.take_bad_samples().is_empty() && next(&mut loader).is_none(), "{feed}");
        assert_eq!(loader.end(), Some(if feed == "live" { End::Consumed } else { End::Enough }));
    }
}

#[test]
fn an_unreadable_sample_is_named_once_and_another_is_in_its_place() {
    let dir = tempfile::tempdir().unwrap();
    small_buffer::write(dir.path());
    damage(dir.path());
    for (feed, mut loader) in loaders(dir.path()) {
        let (mut delivered, mut bad) = (Vec::new(), Vec::new());
        while let Some(batch) = next(&mut loader) {
            let batch = batch.unwrap();
            // Only the last one may be smaller.
            assert!(delivered.len() % 4 == 0, "{feed}: a gap");
            delivered.extend(ids(&batch));
            bad.extend(loader.take_bad_samples());
            batch.into_receipt().deliver();
        }
        bad.extend(loader.take_bad_samples());
        let named: BTreeSet<u64> = bad.iter().map(|bad| bad.sample.get()).collect();
        assert!(!bad.is_empty() && named.len() == bad.len(), "{feed}: {bad:?}");
        assert!(bad.iter().all(|bad| bad.origin.is_some() && bad.place.is_some()), "{feed}");
        assert!(delivered.iter().all(|id| !named.contains(id)), "{feed}");
        let good = samples() as usize - bad.len();
        assert_eq!(delivered.iter().collect::<BTreeSet<_>>().len(), good, "{feed}");
        // An order has others stand in, so that batches keep their samples; a claim is simply missed.
        let expected = if feed == "live" { good } else { samples() as usize };
        assert_eq!(delivered.len(), expected, "{feed}");
    }
}

#[test]
fn a_stop_ends_it_between_batches_and_what_was_not_delivered_is_there_for_the_next() {
    let dir = tempfile::tempdir().unwrap();
    small_buffer::write(dir.path());
    for (feed, mut loader) in loaders(dir.path()) {
        let batch = next(&mut loader).unwrap().unwrap();
        let first = ids(&batch);
        batch.into_receipt().deliver();
        // This one is in the hands of a step when the stop comes.
        drop(next(&mut loader).unwrap().unwrap());
        assert!(loader.next(&AtomicBool::new(true)).unwrap().is_none(), "{feed}");
        assert_eq!(loader.end(), Some(End::Stopped), "{feed}");
        drop(loader);
        if feed == "live" {
            let mut rest = Vec::new();
            let [_, (_, mut loader)] = loaders(dir.path());
            while let Some(batch) = next(&mut loader) {
                let batch = batch.unwrap();
                rest.extend(ids(&batch));
                batch.into_receipt().deliver();
            }
            rest.extend(first);
            rest.sort_unstable();
            assert_eq!(rest, (0..samples()).collect::<Vec<_>>());
        }
    }
}
