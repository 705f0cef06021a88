//! Ranks share a global batch, epochs deliver each sample once, any batch can be the first.

use proptest::prelude::*;

use super::*;

fn batches(samples: u64, size: u32, world: u32, rank: u32, last: LastBatch) -> BatchOrder {
    BatchOrder::new(Order::new(samples, 11).unwrap(), size, world, rank, last).unwrap()
}

fn ids(order: &BatchOrder, epoch: u64, batch: u64) -> Vec<u64> {
    order.samples(Position { epoch, batch }).map(SampleId::get).collect()
}

proptest! {
    #[test]
    fn ranks_end_to_end_are_the_global_batch(
        samples in 1u64..400, size in 8u32..50, world in 1u32..=8, epoch in 0u64..3, drop: bool,
    ) {
        let last = if drop { LastBatch::Drop } else { LastBatch::Keep };
        prop_assume!(!drop || samples >= u64::from(size));
        let whole = batches(samples, size, 1, 0, last);
        let ranks: Vec<_> = (0..world).map(|rank| batches(samples, size, world, rank, last)).collect();
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
    let (last, first) = (Position { epoch: 2, batch: 2 }, Position { epoch: 3, batch: 0 });
    assert_eq!(order.next(last), first);
    assert_eq!(order.next(first), Position { epoch: 3, batch: 1 });
    assert_eq!(order.normalised(Position { epoch: 2, batch: 3 }).unwrap(), first);
    assert_eq!(order.normalised(last).unwrap(), last);
    assert!(matches!(
        order.normalised(Position { epoch: 2, batch: 4 }),
        Err(ConsumerError::StartBatch { batch: 4, batches: 3 })
    ));
    assert_eq!(batches(10, 4, 1, 0, LastBatch::Drop).batches_per_epoch(), 2);
    assert!(ids(&batches(10, 4, 1, 0, LastBatch::Drop), 0, 2).is_empty());
    assert_eq!(ids(&order, 0, 2).len(), 2);
}

#[test]
fn wrong_options_are_named() {
    let new = |size, world, rank, last| BatchOrder::new(Order::new(10, 1).unwrap(), size, world, rank, last);
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
    let all = BatchOrder::new(order, u32::MAX, 1, 0, LastBatch::Keep).unwrap();
    assert_eq!(all.max_local_batch(), 10);
    assert_eq!(all.positions(0), 0..10);
}
