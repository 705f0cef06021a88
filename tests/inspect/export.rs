//! `rdt-buf export --format rdt`.

use serde_json::Value;

use super::*;

fn export(buffer: &Path, code: i32) -> (TempDir, Run) {
    let out = tempfile::tempdir().expect("a temporary folder");
    let run =
        on("export", buffer, &["--format", "rdt", "--out", &out.path().display().to_string()]).expect(code);
    (out, run)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("json")
}

/// What RDT's reader unpacks, by position.
const ORDER: [&str; 17] = [
    "step_id",
    "state_chunk",
    "state_chunk_time_mask",
    "action_chunk",
    "action_chunk_time_mask",
    "state_vec_mask",
    "past_frames_0",
    "past_frames_0_time_mask",
    "past_frames_1",
    "past_frames_1_time_mask",
    "past_frames_2",
    "past_frames_2_time_mask",
    "past_frames_3",
    "past_frames_3_time_mask",
    "state_std",
    "state_mean",
    "state_norm",
];

#[test]
fn every_sample_is_in_rdts_layout() {
    let (out, _) = export(libero(), 0);
    for number in 0..4u32 {
        let folder = out.path().join(format!("chunk_{number}"));
        let there = if number < 3 { 50 } else { 18 };
        let dirty = std::fs::read(folder.join("dirty_bit")).expect("bits");
        assert_eq!(dirty, (0..50).map(|slot| u8::from(slot >= there)).collect::<Vec<u8>>());
        for slot in [0, there - 1] {
            let index = number * 50 + slot;
            let stored = tensors(libero(), &[&index.to_string()]);
            let bytes = std::fs::read(folder.join(format!("sample_{slot}.npz"))).expect("a sample");
            let arrays = npz::read(&bytes);
            assert_eq!(arrays.iter().map(|array| array.name.as_str()).collect::<Vec<_>>(), ORDER);
            for array in &arrays {
                let (_, shape, data) = stored.iter().find(|(name, ..)| *name == array.name).expect("it");
                assert_eq!(array.descr, descr(&array.name), "{}", array.name);
                let numbers: Vec<usize> =
                    array.shape.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
                assert_eq!(numbers, *shape, "{}", array.name);
                assert_eq!(array.data, as_exported(&array.name, data), "{} of sample {index}", array.name);
            }
            let content = json(&folder.join(format!("json_content_{slot}.json")));
            assert_eq!(content["dataset_name"], "libero");
            assert_eq!(content["#steps"], if index < 86 { 86 } else { 82 });
            assert!(content["instruction"].as_str().expect("text").to_lowercase().contains("top drawer"));
        }
        // RDT's reader opens these for reading and fails without.
        for name in ["dirty_bit.lock", "sample_0.npz.lock", "json_content_0.json.lock"] {
            assert!(folder.join(name).exists(), "{name}");
        }
    }
    assert!(!out.path().join("chunk_3/sample_18.npz").exists());
}

fn descr(name: &str) -> &'static str {
    match name {
        "step_id" => "<i4",
        _ if name.ends_with("time_mask") => "|b1",
        _ if name.starts_with("past_frames") => "|u1",
        _ => "<f4",
    }
}

/// The bytes of a tensor of `rdt-buf sample` in the type that RDT's file has.
fn as_exported(name: &str, data: &[u8]) -> Vec<u8> {
    match name {
        "step_id" => data[..4].to_vec(),
        "state_vec_mask" => data.iter().flat_map(|&mask| f32::from(mask).to_le_bytes()).collect(),
        _ => data.to_vec(),
    }
}

#[test]
fn the_configuration_fits_the_export() {
    let (out, _) = export(libero(), 0);
    let configs = out.path().join("configs");
    let config = rdt_schema::Config::from_file(&configs.join("base.yaml")).expect("a configuration");
    assert_eq!(config.dataset.buf_path.as_deref(), Some(out.path()));
    assert_eq!((config.dataset.buf_num_chunks, config.dataset.buf_chunk_size), (4, 50));
    assert_eq!(json(&configs.join("finetune_datasets.json")), serde_json::json!(["libero"]));
    assert_eq!(json(&configs.join("pretrain_datasets.json")), serde_json::json!(["libero"]));
    assert_eq!(json(&configs.join("dataset_control_freq.json")), serde_json::json!({"libero": 20}));
    assert_eq!(
        json(&configs.join("dataset_img_keys.json"))["libero"]["image_mask"],
        serde_json::json!([1, 1, 0, 0])
    );
    assert_eq!(
        json(&configs.join("dataset_stat.json"))["libero"]["state_mean"].as_array().map(Vec::len),
        Some(128)
    );
    assert!(json(&configs.join("finetune_sample_weights.json"))["libero"].is_number());
}

#[test]
fn a_folder_with_something_in_it_is_refused() {
    let out = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(out.path().join("mine"), "text").expect("a file");
    let place = out.path().display().to_string();
    on("export", libero(), &["--format", "rdt", "--out", &place]).expect(2).says(&["not empty"]);
    assert_eq!(std::fs::read_dir(out.path()).expect("a folder").count(), 1);
}

#[test]
fn a_bad_sample_stays_dirty_and_is_named() {
    let buffer = copy();
    flip(&chunk(buffer.path(), 1), 5000);
    let (out, run) = export(buffer.path(), 3);
    assert!(
        run.stdout.contains("chunk 00000001 slot") && run.stdout.contains("data/demo_0 step"),
        "{}",
        run.stdout
    );
    let dirty = std::fs::read(out.path().join("chunk_1/dirty_bit")).expect("bits");
    let bad: Vec<usize> = (0..50).filter(|&slot| dirty[slot] == 1).collect();
    // Frames stored by reference rest on the damaged one.
    assert!((1..=10).contains(&bad.len()), "{bad:?}");
    for slot in 0..50 {
        let is_there = out.path().join(format!("chunk_1/sample_{slot}.npz")).exists();
        assert_eq!(is_there, !bad.contains(&slot), "slot {slot}");
    }
    assert!(out.path().join("configs/base.yaml").exists());
}
