//! `rdt-consume order` and `bench`, as a user runs them.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::Value;

use crate::made::{Episode, Place};
use crate::support::{Run, consume};

/// Samples of the buffer: no multiple of a batch.
const SAMPLES: u64 = 53;

fn buffer() -> PathBuf {
    static PLACE: OnceLock<Place> = OnceLock::new();
    let place = PLACE.get_or_init(|| {
        let place = Place::new();
        place.file("a.hdf5", &[Episode::of(30), Episode::of(23)]);
        place.fill("buffer", &["--chunk-size", "16"]).expect(0);
        place
    });
    place.path("buffer")
}

fn run(command: &str, more: &[&str]) -> Run {
    let at = buffer().display().to_string();
    consume([&[command, "--buffer", &at], more].concat())
}

/// The lines of `order` with batches of 8.
fn order(more: &[&str]) -> Vec<String> {
    let fixed = ["--seed", "7", "--global-batch-size", "8", "--json"];
    run("order", &[&fixed, more].concat()).expect(0).stdout.lines().map(str::to_owned).collect()
}

/// Batch number and ids; the line must have exactly the form that is promised.
fn batch(line: &str) -> (u64, Vec<u64>) {
    let value: Value = serde_json::from_str(line).expect("JSON");
    let keys: Vec<&String> = value.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["batch", "samples"], "{line}");
    let ids = value["samples"].as_array().expect("a list").iter().map(|id| id.as_u64().expect("an id"));
    (value["batch"].as_u64().expect("a number"), ids.collect())
}

#[test]
fn ranks_share_each_batch_and_each_sample_comes_once() {
    let whole: Vec<(u64, Vec<u64>)> = order(&["--epoch", "2"]).iter().map(|line| batch(line)).collect();
    assert_eq!(whole.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (0..7).collect::<Vec<_>>());
    assert_eq!(whole[6].1.len() as u64, SAMPLES % 8);
    let ids: Vec<u64> = whole.iter().flat_map(|(_, ids)| ids.clone()).collect();
    assert_eq!(ids.len() as u64, SAMPLES);
    assert_eq!(ids.iter().copied().collect::<BTreeSet<_>>(), (0..SAMPLES).collect());
    for world in [2, 3, 8] {
        let mut joined: Vec<(u64, Vec<u64>)> = (0..7).map(|number| (number, Vec::new())).collect();
        for rank in 0..world {
            let (world, rank) = (world.to_string(), rank.to_string());
            let lines = order(&["--epoch", "2", "--world-size", &world, "--rank", &rank]);
            assert_eq!(lines.len(), 7, "rank {rank} of {world}");
            for (line, (number, ids)) in lines.iter().zip(&mut joined) {
                let (found, more) = batch(line);
                assert_eq!(found, *number);
                ids.extend(more);
            }
        }
        assert_eq!(joined, whole, "world of {world}");
    }
    assert_ne!(order(&["--epoch", "3"]), order(&["--epoch", "2"]), "each epoch has its own order");
    assert_eq!(order(&["--epoch", "2", "--drop_last"]), order(&["--epoch", "2"])[..6]);
}

/// Chunks of 16, 4 of them (the last of 5): the windowed order has each sample once, in any split,
/// and few chunks at a time.
#[test]
fn a_windowed_order_is_shared_and_resumed_like_any() {
    let windowed = ["--order", "windowed", "--window", "2"];
    let whole = order(&windowed);
    let ids: Vec<u64> = whole.iter().flat_map(|line| batch(line).1).collect();
    assert_eq!(ids.iter().copied().collect::<BTreeSet<_>>(), (0..SAMPLES).collect());
    assert_eq!(ids.len() as u64, SAMPLES);
    assert_ne!(whole, order(&[]));
    assert_ne!(whole, order(&["--order", "windowed", "--window", "1"]));
    let chunks = |ids: &[u64]| ids.iter().map(|id| id / 16).collect::<BTreeSet<_>>().len();
    assert!(ids.chunks(8).all(|ids| chunks(ids) <= 3), "{ids:?}");
    assert_eq!(order(&[&windowed[..], &["--start-batch", "3"]].concat()), whole[3..]);
    let mut joined = vec![Vec::new(); whole.len()];
    for rank in ["0", "1", "2"] {
        let lines = order(&[&windowed[..], &["--world-size", "3", "--rank", rank]].concat());
        lines.iter().zip(&mut joined).for_each(|(line, ids)| ids.extend(batch(line).1));
    }
    assert_eq!(joined.concat(), ids);
    run("order", &["--window", "2"]).expect(2).says(&["--order windowed"]);
    run("order", &["--order", "windowed", "--window", "0"]).expect(2).says(&["--window"]);
    run("bench", &[&windowed[..], &["--stage", "frames", "--batch-size", "8"]].concat()).expect(0);
}

#[test]
fn a_later_start_is_the_tail() {
    let whole = order(&[]);
    for start in [1usize, 6, 7] {
        assert_eq!(order(&["--start-batch", &start.to_string()]), whole[start..]);
    }
}

#[test]
fn wrong_orders_are_code_2() {
    let wrong: [(&[&str], &str); 6] = [
        (&["--global-batch-size", "0"], "at least 1"),
        (&["--world-size", "0"], "at least 1"),
        (&["--world-size", "2", "--rank", "2"], "less than the world size 2"),
        (&["--global-batch-size", "2", "--world-size", "3"], "at least the world size 3"),
        (&["--global-batch-size", "8", "--start-batch", "8"], "at most 7"),
        (&["--seed", "x"], "--seed"),
    ];
    for (args, words) in wrong {
        run("order", args).expect(2).says(&[words]);
    }
}

#[test]
fn bench_reports_what_is_promised() {
    for stage in ["raw", "frames", "pixel", "batch"] {
        let report = run("bench", &["--stage", stage, "--batch-size", "4", "--image-size", "32", "--json"])
            .expect(0)
            .json();
        let keys = ["samples_per_s", "cpu_ms_per_sample", "bytes_per_s", "first_batch_ms", "peak_rss_bytes"];
        let is_positive = |value: &serde_json::Value| value.as_f64().is_some_and(|value| value > 0.0);
        for key in keys {
            assert!(is_positive(&report[key]), "{stage} {key}: {report}");
        }
        let limit = &report["limit"];
        for figures in [&report, &limit["memcpy"], &limit["memcpy_and_checksum"]] {
            for key in ["p50", "p95", "p99"] {
                assert!(is_positive(&figures["batch_ms"][key]), "{stage} {key}: {report}");
            }
            keys[..3].iter().for_each(|key| assert!(is_positive(&figures[key]), "{stage} {key}: {report}"));
        }
        for key in ["batches_ready", "samples_waiting", "taker_waited_ms"] {
            assert!(report["queues"][key].as_f64().is_some(), "{stage} {key}: {report}");
        }
        assert_eq!((report["stage"].as_str(), report["replaced"].as_u64()), (Some(stage), Some(0)));
        assert_eq!(report["samples"].as_u64(), Some(SAMPLES / 4 * 4));
    }
    // Whether a cache can be dropped depends on the file system: it is said where it was not.
    let cold = run("bench", &["--batch-size", "4", "--stage", "raw", "--cache", "cold", "--json"]).expect(0);
    assert_eq!(cold.json()["cache"], "cold");
    let text = run("bench", &["--batch-size", "100", "--stage", "frames"]).expect(0).stdout;
    assert!(text.contains("samples/s"), "{text}");
    run("bench", &["--batch-size", "0"]).expect(2).says(&["--batch-size"]);
    run("bench", &["--stage", "tensors"]).expect(2).says(&["frames", "pixel"]);
    run("bench", &["--on-bad-sample", "ignore"]).expect(2).says(&["skip", "fail"]);
}
