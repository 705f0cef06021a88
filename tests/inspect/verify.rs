//! `rdt-buf verify`: whatever is damaged is found and named.

use serde_json::Value;

use super::*;

fn bad(buffer: &Path) -> Vec<Value> {
    let report = on("verify", buffer, &["--json"]).expect(3).json();
    assert_eq!(report["ok"], false);
    report["bad"].as_array().expect("a list").clone()
}

#[test]
fn a_whole_buffer_is_whole() {
    let report = on("verify", libero(), &["--json"]).expect(0).json();
    assert_eq!(report["ok"], true);
    assert_eq!(["chunks", "samples"].map(|key| report[key].as_u64()), [4, SAMPLES].map(Some));
    assert_eq!(report["bad"], serde_json::json!([]));
    assert!(on("verify", libero(), &[]).expect(0).stdout.contains("168 samples"));
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let length = std::fs::metadata(chunk(libero(), 1)).expect("a chunk").len();
    // From the header over frames to the metadata at the end.
    let places = (0..8).map(|i| 3 + i * 17).chain((0..12).map(|i| (length - 1) * i / 11));
    for at in places {
        let buffer = copy();
        flip(&chunk(buffer.path(), 1), at);
        let bad = bad(buffer.path());
        assert!(!bad.is_empty(), "byte {at}");
        for fault in &bad {
            assert_eq!(fault["chunk"], 1, "byte {at}: {fault}");
            assert!(!fault["reason"].as_str().expect("a reason").is_empty());
        }
    }
}

#[test]
fn a_damaged_frame_names_its_samples() {
    let buffer = copy();
    // Frames come first in a chunk: this is inside one of the first.
    flip(&chunk(buffer.path(), 1), 5000);
    let bad = bad(buffer.path());
    for fault in &bad {
        let slot = fault["slot"].as_u64().expect("a slot");
        assert_eq!(fault["sample"].as_u64(), Some(50 + slot));
        assert_eq!(fault["dataset"], "libero");
        assert_eq!(fault["source"], FILE);
        assert_eq!(fault["episode"], "data/demo_0");
        assert_eq!(fault["step"].as_u64(), Some(50 + slot), "chunks are filled in the order of steps");
        let index = (50 + slot).to_string();
        let out = buffer.path().join("x.safetensors").display().to_string();
        on("sample", buffer.path(), &[&index, "--out", &out]).expect(1).says(&["chunk 00000001"]);
    }
    // A frame is in the windows of its own step and the next ones, and frames stored by
    // reference rest on it.
    assert!((1..=10).contains(&bad.len()), "{bad:?}");
    let text = on("verify", buffer.path(), &[]).expect(3).stdout;
    assert!(text.contains("chunk 00000001 slot") && text.contains("data/demo_0 step"), "{text}");
}

#[test]
fn truncated_missing_and_foreign_chunks_are_named() {
    let buffer = copy();
    let bytes = std::fs::read(chunk(buffer.path(), 0)).expect("a chunk");
    std::fs::write(chunk(buffer.path(), 0), &bytes[..bytes.len() - 1]).expect("a chunk");
    std::fs::remove_file(chunk(buffer.path(), 2)).expect("a chunk");
    std::fs::copy(chunk(libero(), 1), chunk(buffer.path(), 3)).expect("a chunk");
    let bad = bad(buffer.path());
    let lost: Vec<_> = bad.iter().map(|fault| (fault["chunk"].as_u64(), fault["samples"].as_u64())).collect();
    assert_eq!(lost, [(Some(0), Some(50)), (Some(2), Some(50)), (Some(3), Some(18))], "{bad:?}");
}

#[test]
fn a_damaged_manifest_is_a_failure() {
    let buffer = copy();
    let path = buffer.path().join("manifest.json");
    let text = std::fs::read_to_string(&path).expect("the manifest");
    let at = text.find("action_chunk_size").expect("the configuration is kept");
    flip(&path, at as u64);
    on("verify", buffer.path(), &[]).expect(1).says(&["manifest.json"]);
}

#[test]
fn damaged_bits_lose_no_sample() {
    let buffer = copy();
    let name = std::fs::read_dir(buffer.path().join("bits"))
        .expect("bits")
        .map(|entry| entry.expect("an entry").path())
        .min()
        .expect("a file");
    flip(&name, 20);
    let bad = bad(buffer.path());
    assert_eq!(bad.len(), 1, "{bad:?}");
    assert_eq!((bad[0]["chunk"].as_u64(), bad[0]["samples"].as_u64()), (Some(0), Some(0)));
    assert_eq!(bad[0]["kind"], "bits");
    let text = on("verify", buffer.path(), &[]).expect(3).stdout;
    assert!(text.contains("chunk 00000000") && text.contains("--fill-up"), "{text}");
    assert!(!text.contains("remove those"), "no chunk is to be removed: {text}");
}

#[test]
fn many_faults_are_not_all_printed() {
    let buffer = copy();
    let path = chunk(buffer.path(), 1);
    // Frames come first: a bit of every KB of them.
    let mut bytes = std::fs::read(&path).expect("a chunk");
    let frames = bytes.len() / 2;
    bytes[2000..frames].iter_mut().step_by(1000).for_each(|byte| *byte ^= 1);
    std::fs::write(&path, bytes).expect("a chunk");
    let faults = bad(buffer.path()).len();
    let text = on("verify", buffer.path(), &[]).expect(3).stdout;
    let lines = text.lines().filter(|line| line.starts_with("chunk 00000001")).count();
    assert!(faults > 20 && lines == 20 && text.contains("--json"), "{faults} faults: {text}");
}

#[test]
fn a_source_frame_that_does_not_decode_is_blamed_on_the_source() {
    let (data, buffer) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    copy_folder(&sample_data().join("aloha"), data.path());
    let path = data.path().join("transfer/episode_0.hdf5");
    let mut bytes = std::fs::read(&path).expect("the sample");
    // Noise without 0xff in the middle of every eighth JPEG: a scan of the markers finds no fault.
    let starts: Vec<usize> =
        (0..bytes.len() - 4).filter(|&at| bytes[at..at + 4] == [0xff, 0xd8, 0xff, 0xe0]).collect();
    for pair in starts.windows(2).step_by(8) {
        let middle = usize::midpoint(pair[0], pair[1]);
        let mut state = 1_u32;
        bytes[middle..middle + 600].fill_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 25) as u8
        });
    }
    std::fs::write(&path, bytes).expect("the sample");
    let dataset = format!("agilex={}", data.path().display());
    let place = buffer.path().display().to_string();
    produce(["--fill-up", "--dataset", &dataset, "--buffer", &place]).expect(0);
    let bad = bad(buffer.path());
    assert!(bad.iter().all(|fault| fault["kind"] == "source"), "{bad:?}");
    let text = on("verify", buffer.path(), &[]).expect(3).stdout;
    for word in ["the source itself is bad", "--check-frames"] {
        assert!(text.contains(word), "`{word}` is missing in\n{text}");
    }
    assert!(!text.contains("remove those"), "{text}");
}
