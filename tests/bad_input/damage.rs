//! Bytes of a buffer that are not what was written. Each chunk of a buffer of many small ones
//! gets its own damage, so that one run of a program shows what it makes of many.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::Value;

use super::Numbers;
use crate::made::{Episode, Place, Rgb, copy_folder};
use crate::support::{Run, consume};

/// Chunks of the buffer.
const CHUNKS: u64 = 72;
/// Samples a chunk.
const SLOTS: u64 = 4;
/// Samples of the buffer.
const SAMPLES: u64 = CHUNKS * SLOTS;

/// A buffer of raw and JPEG frames: shared, so never changed.
fn whole() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let place = Place::new();
        let half = usize::try_from(SAMPLES / 8).expect("few");
        let of_jpeg = Episode { rgb: Rgb::Jpeg(Vec::new()), ..Episode::of(half) };
        place.file("a.hdf5", &[Episode::of(half), of_jpeg.clone(), Episode::of(half), of_jpeg.clone()]);
        place.file("b.hdf5", &[Episode::of(half), of_jpeg.clone(), Episode::of(half), of_jpeg]);
        place.fill("buffer", &["--chunk-size", &SLOTS.to_string()]).expect(0);
        place
    })
}

/// A copy of the buffer that may be damaged.
fn copy() -> Place {
    let place = Place::new();
    copy_folder(&whole().path("buffer"), &place.path("buffer"));
    place
}

fn chunk(place: &Place, number: u64) -> PathBuf {
    place.path("buffer").join(format!("chunks/{number:08}.chunk"))
}

/// Flips a bit anywhere in a file.
fn flip(path: &PathBuf, numbers: &mut Numbers) -> u64 {
    let mut bytes = fs::read(path).expect("a file");
    let bit = numbers.below(8 * bytes.len() as u64);
    bytes[usize::try_from(bit / 8).expect("an offset")] ^= 1 << (bit % 8);
    fs::write(path, bytes).expect("a file");
    bit
}

/// The ids that `verify` calls bad, by chunk: those of a slot, or all of a chunk.
fn bad(place: &Place) -> BTreeMap<u64, BTreeSet<u64>> {
    let report = place.buf("verify", "buffer", &["--json"]).expect(3).json();
    assert_eq!(report["ok"], false);
    let mut bad: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    let mut lost = 0;
    for fault in report["bad"].as_array().expect("a list") {
        let chunk = fault["chunk"].as_u64().expect("a chunk");
        assert!(fault["reason"].as_str().is_some_and(|reason| reason.len() > 10), "{fault}");
        let ids = bad.entry(chunk).or_default();
        match fault["sample"].as_u64() {
            Some(sample) => {
                assert_eq!(fault["slot"].as_u64(), Some(sample % SLOTS), "{fault}");
                assert_eq!(sample / SLOTS, chunk, "{fault}");
                for key in ["dataset", "source", "episode", "step"] {
                    assert!(!fault[key].is_null(), "{fault}");
                }
                ids.insert(sample);
            }
            None => ids.extend(chunk * SLOTS..(chunk + 1) * SLOTS),
        }
        lost += fault["samples"].as_u64().expect("a number");
    }
    assert_eq!(report["bad_samples"].as_u64(), Some(lost));
    assert_eq!(lost, bad.values().map(|ids| ids.len() as u64).sum::<u64>(), "each is counted once");
    bad
}

fn bench(place: &Place, more: &[&str]) -> Run {
    let at = place.path("buffer").display().to_string();
    // Whole batches of a whole epoch and a bit: every sample is met.
    let size = SLOTS.to_string();
    let fixed = ["bench", "--buffer", &at, "--json", "--stage", "frames", "--batch-size", &size];
    consume([&fixed, more].concat())
}

/// The ids that `bench` warns of.
fn warned(run: &Run) -> BTreeSet<u64> {
    let id = |line: &str| -> Option<u64> {
        line.strip_prefix("warning: sample ")?.split_whitespace().next()?.parse().ok()
    };
    run.stderr.lines().filter_map(id).collect()
}

fn sample(place: &Place, id: u64) -> (Run, Option<Vec<u8>>) {
    let out = place.path("sample.safetensors");
    let _ = fs::remove_file(&out);
    let run = place.buf("sample", "buffer", &[&id.to_string(), "--out", &out.display().to_string()]);
    // The tensors; the metadata in front of them is in no order.
    let tensors = |bytes: Vec<u8>| {
        let header = bytes[..8].iter().rev().fold(0, |length, &byte| length << 8 | usize::from(byte));
        bytes[8 + header..].to_vec()
    };
    (run, fs::read(&out).ok().map(tensors))
}

#[test]
fn the_whole_buffer_is_whole_before_it_is_damaged() {
    whole().buf("verify", "buffer", &[]).expect(0);
    let run = bench(whole(), &[]).expect(0);
    assert!(warned(&run).is_empty());
    assert_eq!(run.json()["replaced"].as_u64(), Some(0));
}

#[test]
fn any_flipped_bit_of_a_chunk_is_found_by_verify_and_named() {
    let mut numbers = Numbers(1);
    for round in 0..3 {
        let place = copy();
        let bits: Vec<u64> = (0..CHUNKS).map(|id| flip(&chunk(&place, id), &mut numbers)).collect();
        let found: Vec<u64> = bad(&place).into_keys().collect();
        assert_eq!(found, (0..CHUNKS).collect::<Vec<_>>(), "round {round}: bits {bits:?}");
    }
}

#[test]
fn a_chunk_cut_at_any_byte_is_found_by_verify_and_named() {
    let place = copy();
    let mut numbers = Numbers(2);
    let mut lengths = Vec::new();
    for id in 0..CHUNKS {
        let bytes = fs::read(chunk(&place, id)).expect("a chunk");
        let end = bytes.len() as u64;
        // The ends first: nothing at all, inside the header, all but one byte.
        let length = match id {
            0..24 => id * 7,
            24..36 => end - 1 - (id - 24),
            _ => numbers.below(end),
        };
        fs::write(chunk(&place, id), &bytes[..usize::try_from(length).expect("small")]).expect("a chunk");
        lengths.push(length);
    }
    let found: Vec<u64> = bad(&place).into_keys().collect();
    assert_eq!(found, (0..CHUNKS).collect::<Vec<_>>(), "lengths {lengths:?}");
    // Bytes behind the end are no chunk either.
    let place = copy();
    let mut longer = fs::read(chunk(&place, 5)).expect("a chunk");
    longer.push(0);
    fs::write(chunk(&place, 5), longer).expect("a chunk");
    assert_eq!(bad(&place).into_keys().collect::<Vec<_>>(), [5]);
}

#[test]
fn bench_names_and_counts_the_samples_that_verify_calls_bad() {
    let place = copy();
    let mut numbers = Numbers(3);
    for id in (0..CHUNKS).step_by(3) {
        flip(&chunk(&place, id), &mut numbers);
    }
    let cut = fs::read(chunk(&place, 1)).expect("a chunk");
    fs::write(chunk(&place, 1), &cut[..cut.len() / 2]).expect("a chunk");
    let expected: BTreeSet<u64> = bad(&place).into_values().flatten().collect();
    let run = bench(&place, &[]).expect(3);
    assert_eq!(warned(&run), expected);
    let report = run.json();
    assert_eq!(report["bad_samples"].as_u64(), Some(expected.len() as u64));
    assert!(report["replaced"].as_u64() >= Some(expected.len() as u64), "{report}");
    run.says(&["chunk", "slot", "a.hdf5", "b.hdf5", "data/demo_", "step", "cannot be read"]);
    bench(&place, &["--on-bad-sample", "fail"]).expect(1).says(&[
        "sample",
        "cannot be read",
        "--on-bad-sample skip",
    ]);
    // One worker or three: the same.
    assert_eq!(warned(&bench(&place, &["--workers", "3"]).expect(3)), expected);
    // What was never there, or was removed, the fill can write again.
    fs::remove_file(chunk(&place, 4)).expect("a chunk");
    bench(&place, &[]).expect(1).says(&["chunk 00000004 is missing", "rdt-produce"]);
}

#[test]
fn a_bad_sample_is_refused_and_the_others_are_what_they_were() {
    let place = copy();
    let mut numbers = Numbers(4);
    for id in 0..6 {
        flip(&chunk(&place, id), &mut numbers);
    }
    let bad: BTreeSet<u64> = bad(&place).into_values().flatten().collect();
    let mut good = 0;
    for id in 0..7 * SLOTS {
        let (run, written) = sample(&place, id);
        if bad.contains(&id) {
            let chunk = format!("chunk {:08}", id / SLOTS);
            run.expect(1).says(&[&chunk, ".chunk", "rdt-buf verify"]);
            assert!(written.is_none(), "sample {id}: something was written");
        } else {
            run.expect(0);
            let (original, bytes) = sample(whole(), id);
            original.expect(0);
            assert!(written.is_some() && written == bytes, "sample {id}");
            good += 1;
        }
    }
    // The last chunk is whole.
    assert!(good >= 4 && bad.len() >= 6, "{good} good, {} bad", bad.len());
}

#[test]
fn any_flipped_bit_of_the_manifest_is_refused() {
    let place = copy();
    let manifest = place.path("buffer/manifest.json");
    let original = fs::read(&manifest).expect("a manifest");
    let mut numbers = Numbers(5);
    let at = place.path("buffer").display().to_string();
    for round in 0..24 {
        fs::write(&manifest, &original).expect("a manifest");
        let bit = flip(&manifest, &mut numbers);
        let run = match round {
            0 => place.buf("verify", "buffer", &[]),
            1 => place.buf("sample", "buffer", &["0", "--out", "x"]),
            2 => consume(["bench", "--buffer", &at]),
            3 => consume(["order", "--buffer", &at]),
            _ => place.buf("stat", "buffer", &[]),
        };
        assert_eq!(run.code, Some(1), "bit {bit}: {}", run.stderr);
        run.says(&["manifest.json", "expected"]);
    }
    for length in [0, 1, original.len() / 2, original.len() - 1] {
        fs::write(&manifest, &original[..length]).expect("a manifest");
        place.buf("stat", "buffer", &[]).expect(1).says(&["manifest.json", "expected"]);
    }
}

/// The words of a bits file are state; its header and length are what can be wrong with it.
#[test]
fn a_damaged_bits_file_is_found_and_no_sample_lost() {
    let place = copy();
    let mut files: Vec<PathBuf> = fs::read_dir(place.path("buffer/bits"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    assert_eq!(files.len() as u64, CHUNKS);
    let mut numbers = Numbers(6);
    for (index, path) in files.iter().enumerate() {
        let mut bytes = fs::read(path).expect("bits");
        match index % 8 {
            0 => bytes.truncate(usize::try_from(numbers.below(bytes.len() as u64)).expect("small")),
            1 => bytes.push(0),
            _ => {
                let bit = usize::try_from(numbers.below(64 * 8)).expect("small");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
        fs::write(path, bytes).expect("bits");
    }
    fs::remove_file(&files[9]).expect("removed");
    let report = place.buf("verify", "buffer", &["--json"]).expect(3).json();
    let faults: &Vec<Value> = report["bad"].as_array().expect("a list");
    let named: BTreeSet<u64> = faults.iter().filter_map(|fault| fault["chunk"].as_u64()).collect();
    assert_eq!(named, (0..CHUNKS).collect::<BTreeSet<_>>());
    assert_eq!(report["bad_samples"].as_u64(), Some(0), "{faults:?}");
    let reason = faults[2]["reason"].as_str().expect("a reason");
    assert!(reason.contains(".bits") && reason.contains("expected"), "{reason}");
    assert!(warned(&bench(&place, &[]).expect(0)).is_empty());
    assert_eq!(sample(&place, 9).1, sample(whole(), 9).1);
}
