//! How orders mix: the promise of the windowed order, and what `rdt-buf mixing` reports.

use std::num::NonZeroU32;

use rdt_consumer::Order;
use rdt_inspect::mixing::{Figures, Layout, measure};
use rdt_producer::Spread;

use crate::made::{Episode, Place};
use crate::support::buf;

/// The setting in which the promise is stated: 1,024 episodes of 256 steps, chunks of 512.
const LENGTHS: [u32; 1024] = [256; 1024];
const CHUNK_SIZE: u32 = 512;

fn number(value: u32) -> NonZeroU32 {
    NonZeroU32::new(value).expect("a number above 0")
}

fn windowed(layout: &Layout, window: u32, batch: u32, seed: u64) -> Figures {
    let order =
        Order::new(layout.samples(), seed).expect("an order").windowed(layout.chunk_size(), number(window));
    let epochs: Vec<Vec<u64>> = (0..2)
        .map(|epoch| {
            let order = order.epoch(epoch);
            (0..layout.samples()).map(|position| order.sample(position).get()).collect()
        })
        .collect();
    measure(layout, &epochs, batch)
}

/// Promise 5, for runs of 16 and 32, batches up to several times the window, lengths that divide
/// nothing. Over many batches together a window of an eighth of the buffer shows, and less than in
/// order (below).
#[test]
fn a_windowed_order_over_a_spread_fill_mixes_like_a_uniform_one() {
    let uneven: Vec<u32> = (0..1024).map(|episode| 130 + episode * 89 % 250).collect();
    for (lengths, run, window, batch) in [
        (&LENGTHS[..], 32, 64, 32),
        (&LENGTHS[..], 16, 64, 32),
        (&LENGTHS[..], 32, 64, 256),
        (&uneven[..], 32, 64, 48),
        (&uneven[..], 16, 100, 32),
    ] {
        let spread = Spread { chunks: number(64), run_length: number(run) };
        let layout = Layout::spread(lengths, CHUNK_SIZE, 5, spread);
        let found = windowed(&layout, window, batch, 5);
        let setting = format!("runs of {run}, window {window}, batches of {batch}: {found:?}");
        assert!(found.distinct_share >= 0.98, "{setting}");
        assert!(found.same_episode_neighbours <= 2.0, "{setting}");
        assert!(f64::from(found.distinct_episodes_p1) >= 0.85 * found.distinct_expected, "{setting}");
        assert!(found.distinct_share_of_64_batches.expect("64 batches") >= 0.7, "{setting}");
        assert_eq!(found.coverage, Some(1.0));
    }
}

/// What a fill in order gives is reported as it is: single batches mix, many together do not.
#[test]
fn over_a_fill_in_order_the_wider_figure_shows_the_window() {
    let found = windowed(&Layout::in_order(&LENGTHS, CHUNK_SIZE), 64, 32, 5);
    assert!(found.distinct_share > 0.98, "{found:?}");
    assert!(found.distinct_share_of_64_batches.expect("64 batches") < 0.5, "{found:?}");
}

/// The layout that is imagined for a spread is the one that a fill makes.
#[test]
fn an_imagined_layout_is_that_of_a_buffer() {
    let place = Place::new();
    let lengths = [50, 7, 33, 61, 18];
    place.file("a.hdf5", &lengths.map(|steps| Episode::of(steps as usize)));
    for more in [&[][..], &["--spread", "4", "--run-length", "5", "--seed", "9"]] {
        let name = format!("buffer{}", more.len());
        place.fill(&name, &[&["--chunk-size", "10"], more].concat()).expect(0);
        let buffer = rdt_buffer::Buffer::open(&place.path(&name)).expect("a buffer");
        let spread = Spread { chunks: number(4), run_length: number(5) };
        let imagined = match more.is_empty() {
            true => Layout::in_order(&lengths, 10),
            false => Layout::spread(&lengths, 10, 9, spread),
        };
        // Episodes are numbered as they are met; compare whose neighbours are whose.
        let real = Layout::of(&buffer).expect("a layout");
        assert_eq!(real.samples(), imagined.samples());
        let mut names = std::collections::BTreeMap::new();
        for sample in 0..real.samples() {
            let known = *names.entry(real.episode(sample)).or_insert(imagined.episode(sample));
            assert_eq!(known, imagined.episode(sample), "sample {sample}");
        }
        assert_eq!(names.len(), lengths.len());
    }
}

#[test]
fn the_command_reports_ours_and_other_loaders() {
    let place = Place::new();
    place.file("a.hdf5", &[Episode::of(60), Episode::of(40), Episode::of(50)]);
    place.fill("buffer", &["--chunk-size", "16"]).expect(0);
    let report = place.buf("mixing", "buffer", &["--batch-size", "8", "--json"]).expect(0).json();
    assert_eq!((report["samples"].as_u64(), report["episodes"].as_u64()), (Some(150), Some(3)));
    let orders = report["orders"].as_array().expect("a list");
    assert_eq!(orders.len(), 3 + 14);
    for order in orders {
        for key in
            ["distinct_episodes", "distinct_expected", "same_episode_neighbours", "pair_repeat", "coverage"]
        {
            assert!(order[key].as_f64().is_some_and(|value| value > 0.0), "{key} in {order}");
        }
        assert!(order["source"].as_str().is_some_and(|source| !source.is_empty()));
    }
    assert_eq!(orders.iter().filter(|order| order["source"] == "ours").count(), 3);

    let picture = place.path("mixing.png");
    let path = picture.to_str().expect("text");
    let text =
        place.buf("mixing", "buffer", &["--order", "windowed", "--window", "2", "--png", path]).expect(0);
    assert!(
        text.stdout.contains("ours, windowed, 2 chunks") && !text.stdout.contains("GR00T"),
        "{}",
        text.stdout
    );
    assert!(std::fs::metadata(&picture).expect("a picture").len() > 5_000);

    // Half a billion: sampled, at once, and without what takes an epoch in memory.
    let large = ["mixing", "--synthetic", "2000000x250", "--samples", "20000", "--json"];
    let report = buf(large).expect(0).json();
    assert_eq!(report["samples"].as_u64(), Some(500_000_000));
    assert!(report["left_out"].as_array().is_some_and(|list| !list.is_empty()));
    assert!(report["orders"][0]["pair_repeat"].is_null());
    for wrong in [&["--batch-size", "100"][..], &["--window", "3"], &["--order", "uniform", "--window", "3"]]
    {
        place.buf("mixing", "buffer", wrong).expect(2);
    }
    buf(["mixing", "--synthetic", "10"]).expect(2).says(&["1024x256"]);
}
