//! Ranks share a global batch, epochs deliver each sample once, any batch can be the first.

use proptest::prelude::*;

use super::*;

fn batches(samples: u64, size: u32, world: u32, rank: u32, last: LastBatch) -> BatchOrder {
    BatchOrder::new(Order::new(samples, 11).unwrap(), size, Ranks { rank, world }, last).unwrap()
}

/// A uniform order, or a windowed one over chunks of 10.
fn order(samples: u64, window: Option<u32>) -> Order {
    let order = Order::new(samples, 11).unwrap();
    window.and_then(NonZeroU32::new).map_or(order.clone(), |window| order.windowed(10, window))
}

fn ids(order: &BatchOrder, epoch: u64, batch: u64) -> Vec<u64> {
    order.samples(BatchPosition { epoch, batch }).map(SampleId::get).collect()
}

proptest! {
    #[test]
    fn ranks_end_to_end_are_the_global_batch(
        samples in 1u64..400, size in 8u32..50, world in 1u32..=8, epoch in 0u64..3, drop: bool,
        window in prop::option::of(1u32..50),
    ) {
        let last = if drop { LastBatch::Drop } else { LastBatch::Keep };
        prop_assume!(!drop || samples >= u64::from(size));
        let batches = |world: u32, rank: u32| BatchOrder::new(order(samples, window), size, Ranks { rank, world }, last);
        let whole = batches(1, 0).unwrap();
        let ranks: Vec<_> = (0..world).map(|rank| batches(world, rank).unwrap()).collect();
        let mut seen = Vec::new();
        for batch in 0..whole.batches_per_epoch() {
            let pieces: Vec<_> = ranks.iter().map(|rank| ids(rank, epoch, batch)).collect();
            let longest = pieces.iter().map(Vec::len).max().unwrap();
            prop_assert!(pieces.iter().all(|piece| piece.len() + 1 >= longest));
            for (rank, piece) in ranks.iter().zip(&pieces) {
                prop_assert!(piece.len() <= rank.max_local_batch());
                prop_assert_eq!(rank.batches_per_epoch(), whole.batches_per_epoch());
            }
            prop_assert_eq!(pieces.concat(), ids(&whole, epoch, batch));
            seen.extend(ids(&whole, epoch, batch));
        }
        let delivered = seen.len() as u64;
        seen.sort_unstable();
        seen.dedup();
        prop_assert_eq!(seen.len() as u64, delivered);
        let expected = if drop { samples / u64::from(size) * u64::from(size) } else { samples };
        prop_assert_eq!(delivered, expected);
    }
}

/// What is left after any batch does not depend on where or by how many ranks the batches before
/// were read: there is no state but the position.
#[test]
fn any_batch_may_be_the_first_for_any_number_of_ranks() {
    for window in [None, Some(3)] {
        let whole = BatchOrder::new(order(103, window), 8, Ranks::ONE, LastBatch::Keep).unwrap();
        let mut at = BatchPosition { epoch: 1, batch: 4 };
        let mut expected = Vec::new();
        for _ in 0..20 {
            expected.extend(whole.samples(at));
            at = whole.next(at);
        }
        for world in [1, 2, 3, 8] {
            let rank = |rank| {
                BatchOrder::new(order(103, window), 8, Ranks { rank, world }, LastBatch::Keep).unwrap()
            };
            let ranks: Vec<_> = (0..world).map(rank).collect();
            let mut at = BatchPosition { epoch: 1, batch: 4 };
            let mut found = Vec::new();
            for _ in 0..20 {
                ranks.iter().for_each(|rank| found.extend(rank.samples(at)));
                at = ranks[0].next(at);
            }
            assert_eq!(found, expected, "{world} ranks");
        }
    }
}

/// Of half a billion samples nothing is kept, and any place is there at once.
#[test]
fn half_a_billion_samples_take_no_memory() {
    assert!(size_of::<Order>() <= 64 && size_of::<crate::order::EpochOrder>() <= 1024);
    for window in [None, Some(64)] {
        let batches = BatchOrder::new(order(500_000_000, window), 32, Ranks::ONE, LastBatch::Keep).unwrap();
        let began = std::time::Instant::now();
        for batch in 0..1000 {
            let at = BatchPosition { epoch: batch, batch: batch * 15_000 };
            assert_eq!(batches.samples(at).collect::<std::collections::BTreeSet<_>>().len(), 32);
        }
        // 32,000 places take some 10 ms; working through an epoch would take minutes.
        assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    }
}

#[test]
fn full_batches_split_evenly_where_they_can() {
    for world in [1, 2, 4, 8] {
        for rank in 0..world {
            assert_eq!(
                batches(1000, 32, world, rank, LastBatch::Keep).max_local_batch(),
                32 / world as usize
            );
        }
    }
    let of_three: Vec<_> =
        (0..3).map(|rank| batches(1000, 32, 3, rank, LastBatch::Keep).max_local_batch()).collect();
    assert_eq!(of_three.iter().sum::<usize>(), 32);
}

#[test]
fn positions_go_on_into_the_next_epoch() {
    let order = batches(10, 4, 1, 0, LastBatch::Keep);
    let (last, first) = (BatchPosition { epoch: 2, batch: 2 }, BatchPosition { epoch: 3, batch: 0 });
    assert_eq!(order.next(last), first);
    assert_eq!(order.next(first), BatchPosition { epoch: 3, batch: 1 });
    assert_eq!(order.normalised(BatchPosition { epoch: 2, batch: 3 }).unwrap(), first);
    assert_eq!(order.normalised(last).unwrap(), last);
    assert!(matches!(
        order.normalised(BatchPosition { epoch: 2, batch: 4 }),
        Err(ConsumerError::StartBatch { batch: 4, batches: 3 })
    ));
    assert_eq!(batches(10, 4, 1, 0, LastBatch::Drop).batches_per_epoch(), 2);
    assert!(ids(&batches(10, 4, 1, 0, LastBatch::Drop), 0, 2).is_empty());
    assert_eq!(ids(&order, 0, 2).len(), 2);
}

#[test]
fn wrong_options_are_named() {
    let new = |size, world, rank, last| {
        BatchOrder::new(Order::new(10, 1).unwrap(), size, Ranks { rank, world }, last)
    };
    assert!(matches!(new(0, 1, 0, LastBatch::Keep), Err(ConsumerError::EmptyBatch)));
    assert!(matches!(new(4, 0, 0, LastBatch::Keep), Err(ConsumerError::NoRanks)));
    assert!(matches!(new(4, 2, 2, LastBatch::Keep), Err(ConsumerError::Rank { rank: 2, world: 2 })));
    assert!(matches!(new(1, 2, 0, LastBatch::Keep), Err(ConsumerError::BatchUnderWorld { .. })));
    assert!(matches!(new(11, 1, 0, LastBatch::Drop), Err(ConsumerError::AllDropped { .. })));
    assert!(new(11, 1, 0, LastBatch::Keep).is_ok());
}

#[test]
fn room_is_made_for_the_samples_there_are() {
    let order = Order::new(10, 1).unwrap();
    let all = BatchOrder::new(order, u32::MAX, Ranks::ONE, LastBatch::Keep).unwrap();
    assert_eq!(all.max_local_batch(), 10);
    assert_eq!(all.positions(0), 0..10);
}
