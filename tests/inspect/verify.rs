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
    // A frame is in the window of its own step and of the next ones.
    assert!((1..=3).contains(&bad.len()), "{bad:?}");
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
}
