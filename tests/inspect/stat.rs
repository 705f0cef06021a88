//! `rdt-buf stat` and `rdt-buf dataset-stat`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

#[test]
fn json_has_the_keys_of_the_contract() {
    let report = on("stat", libero(), &["--json"]).expect(0).json();
    let keys = [
        "format_version",
        "chunks",
        "chunk_size",
        "samples",
        "episodes",
        "datasets",
        "bytes",
        "bytes_per_sample",
        "clean",
        "dirty",
        "skipped",
        "filtered",
    ];
    for key in keys {
        assert!(report.get(key).is_some(), "{key} is missing in {report}");
    }
    let counts =
        ["chunks", "chunk_size", "samples", "episodes", "clean", "dirty"].map(|key| report[key].as_u64());
    assert_eq!(counts, [4, 50, SAMPLES, 2, SAMPLES, 0].map(Some));
    let dataset = &report["datasets"][0];
    assert_eq!(dataset["name"], "libero");
    assert_eq!(["episodes", "steps", "samples"].map(|key| dataset[key].as_u64()), [2, 168, 168].map(Some));
    assert_eq!(dataset["coverage"].as_f64(), Some(1.0));
    assert_eq!(report["state"], "complete");
    assert_eq!(dataset["frame_sizes"][1]["camera"], "right_wrist");
    assert_eq!(dataset["frame_sizes"][1]["height"], 128);
    let files: u64 =
        (0..4).map(|number| std::fs::metadata(chunk(libero(), number)).expect("a chunk").len()).sum();
    assert_eq!(report["bytes"].as_u64(), Some(files));
    let per_sample = report["bytes_per_sample"].as_f64().expect("a number");
    assert!((per_sample - files as f64 / SAMPLES as f64).abs() < 1e-6, "{per_sample}");
}

#[test]
fn text_names_what_is_in_it() {
    let text = on("stat", libero(), &[]).expect(0).stdout;
    for word in ["168 in 4 chunks of 50", "complete", "libero", "100.00 %", "128 x 128", "top drawer"] {
        assert!(text.contains(word), "`{word}` is missing in\n{text}");
    }
}

#[test]
fn a_spread_is_shown_as_asked_and_as_found() {
    let in_order = on("stat", libero(), &["--json"]).expect(0).json();
    assert!(in_order["spread"].is_null());
    let folder = tempfile::tempdir().expect("a temporary folder");
    fill_libero(folder.path(), &["--chunk-size", "50", "--spread", "4", "--run-length", "8"]).expect(0);
    let report = on("stat", folder.path(), &["--json"]).expect(0).json();
    assert_eq!(report["spread"], serde_json::json!({"chunks": 4, "run_length": 8}));
    assert_eq!(
        (report["samples"].as_u64(), &report["datasets"][0]["coverage"]),
        (Some(SAMPLES), &1.0.into())
    );
    // Two episodes, in all chunks but the small last one; their steps in runs of 8, cut where a chunk is full, or adjacent.
    assert_eq!(
        (in_order["episodes_per_chunk"].as_f64(), report["episodes_per_chunk"].as_f64()),
        (Some(1.25), Some(1.75))
    );
    let run = |report: &Value| report["steps_per_run"].as_f64().expect("a number");
    assert_eq!(run(&in_order), 168.0 / 5.0);
    assert!((5.0..14.0).contains(&run(&report)), "{}", run(&report));
    let text = on("stat", folder.path(), &[]).expect(0).stdout;
    assert!(text.contains("spread over 4 chunks in runs of 8 steps; 1.8 episodes a chunk"), "{text}");
    on("verify", folder.path(), &["--against-source"]).expect(0);
    for (wrong, words) in [
        (&["--run-length", "8"][..], "--spread"),
        (&["--spread", "1"], "2..=4096"),
        (&["--spread", "8", "--sampling", "random"], "--sampling random"),
    ] {
        fill_libero(&folder.path().join("not"), wrong).expect(2).says(&[words]);
    }
}

#[test]
fn random_draws_do_not_cover_all_steps() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let more = ["--sampling", "random", "--chunk-size", "40", "--num-chunks", "2", "--seed", "3"];
    fill_libero(folder.path(), &more).expect(0);
    let report = on("stat", folder.path(), &["--json"]).expect(0).json();
    // Counted from the samples themselves.
    let drawn: BTreeSet<String> = (0..80)
        .map(|index| {
            let text = on("show", folder.path(), &[&index.to_string()]).expect(0).stdout;
            text.lines().nth(1).expect("an origin").to_owned()
        })
        .collect();
    let dataset = &report["datasets"][0];
    assert_eq!(dataset["samples"].as_u64(), Some(80));
    let coverage = dataset["coverage"].as_f64().expect("a number");
    assert!(
        (coverage - drawn.len() as f64 / SAMPLES as f64).abs() < 1e-12,
        "{coverage}, {} drawn",
        drawn.len()
    );
    assert!(coverage < 1.0);
}

#[test]
fn a_skipped_file_is_named_and_ends_with_3() {
    let data = tempfile::tempdir().expect("a temporary folder");
    copy_folder(&sample_data().join("libero"), data.path());
    let bytes = std::fs::read(data.path().join(FILE)).expect("the sample");
    std::fs::write(data.path().join("truncated_demo.hdf5"), &bytes[..bytes.len() / 3]).expect("a file");
    let buffer = tempfile::tempdir().expect("a temporary folder");
    let dataset = format!("libero={}", data.path().display());
    let place = buffer.path().display().to_string();
    produce(["--fill-up", "--dataset", &dataset, "--buffer", &place]).expect(3);
    let report = on("stat", buffer.path(), &["--json"]).expect(3).json();
    let skipped = report["skipped"].as_array().expect("a list");
    assert_eq!(skipped.len(), 1, "{skipped:?}");
    assert_eq!(skipped[0]["source"], "truncated_demo.hdf5");
    assert!(skipped[0]["episode"].is_string());
    assert!(!skipped[0]["reason"].as_str().expect("a reason").is_empty());
    let text = on("stat", buffer.path(), &[]).expect(3).stdout;
    assert!(text.contains("truncated_demo.hdf5"), "{text}");
    on("show", buffer.path(), &["--episode", "truncated_demo.hdf5:data/demo_0", "--step", "0"])
        .expect(2)
        .says(&["skipped"]);
}

#[test]
fn a_missing_or_damaged_chunk_is_named() {
    let buffer = copy();
    std::fs::remove_file(chunk(buffer.path(), 1)).expect("a chunk");
    flip(&chunk(buffer.path(), 2), 30);
    let report = on("stat", buffer.path(), &["--json"]).expect(3).json();
    let damaged: Vec<Option<u64>> =
        report["damaged"].as_array().expect("a list").iter().map(|chunk| chunk["chunk"].as_u64()).collect();
    assert_eq!(damaged, [Some(1), Some(2)]);
    assert_eq!(report["samples"].as_u64(), Some(50 + 18));
    assert!(report["datasets"][0]["coverage"].as_f64().expect("a number") < 0.5);
}

#[test]
fn a_chunk_without_bits_is_counted_and_its_bits_are_told_apart() {
    let buffer = copy();
    let mut bits: Vec<PathBuf> = std::fs::read_dir(buffer.path().join("bits"))
        .expect("bits")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    bits.sort();
    std::fs::remove_file(&bits[0]).expect("bits");
    flip(&bits[1], 20);
    let report = on("stat", buffer.path(), &["--json"]).expect(3).json();
    assert_eq!(report["samples"].as_u64(), Some(SAMPLES));
    assert_eq!(report["datasets"][0]["coverage"].as_f64(), Some(1.0));
    assert_eq!(report["damaged"], serde_json::json!([]));
    assert_eq!(["clean", "dirty"].map(|key| report[key].as_u64()), [SAMPLES - 100, 0].map(Some));
    let named: Vec<Option<u64>> = report["damaged_bits"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|chunk| chunk["chunk"].as_u64())
        .collect();
    assert_eq!(named, [Some(0), Some(1)]);
    let text = on("stat", buffer.path(), &[]).expect(3).stdout;
    assert!(text.contains("168 in 4 chunks") && text.contains("--fill-up"), "{text}");
    // verify names both as well.
    let report = on("verify", buffer.path(), &["--json"]).expect(3).json();
    assert_eq!(report["bad_samples"].as_u64(), Some(0));
    assert_eq!(report["bad"].as_array().map(Vec::len), Some(2), "{report}");
}

#[test]
fn what_is_no_buffer_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    on("stat", folder.path(), &[]).expect(1).says(&["manifest.json", "rdt-produce"]);
    on("stat", &folder.path().join("nothing"), &[]).expect(1).says(&["nothing"]);
    let other = copy();
    let path = other.path().join("manifest.json");
    let text = std::fs::read_to_string(&path).expect("the manifest");
    let newer = text.replacen("\"format_version\": 1", "\"format_version\": 7", 1);
    assert_ne!(newer, text, "the manifest states its version");
    std::fs::write(&path, newer).expect("the manifest");
    for command in ["stat", "verify"] {
        on(command, other.path(), &[]).expect(1).says(&["version", "7", "manifest.json"]);
    }
}

#[test]
fn dataset_stat_is_rdts_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("dataset_stat.json");
    let out = path.display().to_string();
    let read = || -> Value { serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("json") };
    on("dataset-stat", libero(), &["--out", &out]).expect(0);
    let written = read();
    assert_eq!(written["libero"]["dataset_name"], "libero");
    for key in ["state_mean", "state_std", "state_min", "state_max"] {
        assert_eq!(written["libero"][key].as_array().map(Vec::len), Some(128), "{key}");
    }
    let [low, mean, high] = ["state_min", "state_mean", "state_max"]
        .map(|key| written["libero"][key][32].as_f64().expect("a number"));
    assert!(0.5 < low && low < mean && mean < high && high < 2.0, "height of the hand: {low} {mean} {high}");

    let mut other = written.clone();
    other["agilex"] = written["libero"].clone();
    other["libero"]["state_mean"][0] = 5.into();
    std::fs::write(&path, other.to_string()).expect("a file");
    let refused = on("dataset-stat", libero(), &["--out", &out]).expect(2).says(&["agilex", "--merge"]);
    assert_eq!(refused.stdout, "", "nothing is reported as done");
    assert_eq!(read(), other, "nothing was changed");
    on("dataset-stat", libero(), &["--out", &out, "--merge", "--skip-exist"]).expect(0);
    assert_eq!(read()["libero"]["state_mean"][0].as_f64(), Some(5.0));
    on("dataset-stat", libero(), &["--out", &out, "--merge"]).expect(0);
    assert_eq!(read()["libero"], written["libero"]);
    assert_eq!(read()["agilex"], other["agilex"]);
}
