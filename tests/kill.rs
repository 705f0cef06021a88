//! Training killed at any time, mostly while it saves: what is left is whole, and the next start
//! goes on as if nothing had happened.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{consume, consume_command, fill_libero, root};

const STEPS: u64 = 30;
const KILLS: u32 = 8;

fn args(folder: &Path, out: &str) -> Vec<String> {
    let text = |path: PathBuf| path.display().to_string();
    let (config, steps) = (text(root().join("configs/tiny.yaml")), STEPS.to_string());
    let (buffer, out) = (text(folder.join("buffer")), text(folder.join(out)));
    let paths = ["--config", &config, "--buffer", &buffer, "--output-dir", &out, "--max-train-steps", &steps];
    let rest = [
        "--device",
        "cpu",
        "--train-batch-size",
        "2",
        // Two micro-steps a step, noise, a part of the episodes and windows: all that a restart has to find again.
        "--gradient-accumulation-steps",
        "2",
        "--image-aug",
        "--state-noise-snr",
        "40",
        "--holdout",
        "0.5",
        "--order",
        "windowed",
        "--learning-rate",
        "1e-3",
        "--lr-warmup-steps",
        "0",
        // Most of the time is spent saving.
        "--checkpointing-period",
        "1",
        "--checkpoints-total-limit",
        "2",
        "--resume-from-checkpoint",
        "latest",
        "--report-to",
        "none",
    ];
    paths.into_iter().chain(rest).map(str::to_owned).collect()
}

/// The folders of `out` that look like checkpoints, by step. Each must be whole.
#[track_caller]
fn checkpoints(out: &Path) -> BTreeMap<u64, PathBuf> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(out).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let Some(step) = name.strip_prefix("checkpoint-") else { continue };
        let step = step.parse().unwrap_or_else(|_| panic!("{name} is left"));
        for file in ["model.safetensors", "ema/model.safetensors", "optimizer.safetensors"] {
            assert_whole(&path.join(file));
        }
        for file in ["config.json", "trainer.json"] {
            let text = fs::read(path.join(file)).expect("a file of the checkpoint");
            let state: Value = serde_json::from_slice(&text).expect("JSON");
            let said = &state["progress"]["step"];
            assert!(said.is_null() || *said == step, "{name}: {said}");
        }
        found.insert(step, path);
    }
    found
}

/// A safetensors file is as long as its header says.
#[track_caller]
fn assert_whole(path: &Path) {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let length = u64::from_le_bytes(*bytes.first_chunk().expect("a length")) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).expect("a header");
    let ends = header.as_object().expect("a map").values();
    let end = ends.filter_map(|tensor| tensor["data_offsets"][1].as_u64()).max().expect("tensors");
    assert_eq!(bytes.len() as u64, 8 + length as u64 + end, "{}", path.display());
}

/// What is being written or removed, by inode: names come again.
fn unfinished(out: &Path) -> BTreeSet<u64> {
    let entries = fs::read_dir(out).into_iter().flatten().filter_map(Result::ok);
    let hidden = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(".checkpoint-"));
    hidden.filter_map(|entry| Some(entry.metadata().ok()?.ino())).collect()
}

#[test]
fn killed_at_random_times_training_ends_with_the_same_weights() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = root().join("configs/tiny.yaml").display().to_string();
    fill_libero(&folder.path().join("buffer"), &["--config", &config]).expect(0);
    consume(args(folder.path(), "unbroken")).expect(0);

    let out = folder.path().join("killed");
    let mut remains = 0;
    for kill in 0..KILLS {
        let old = unfinished(&out);
        let mut child = consume_command(args(folder.path(), "killed"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("rdt-consume");
        // A while after it begins to write or to remove a checkpoint.
        let began = Instant::now();
        while unfinished(&out).is_subset(&old) {
            assert!(began.elapsed() < Duration::from_secs(120), "it never saved");
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(u64::from(kill * 7)));
        child.kill().expect("kill -9");
        child.wait().expect("its end");
        checkpoints(&out);
        remains += unfinished(&out).len();
    }
    assert!(remains > 0, "no kill met a checkpoint being saved");
    consume(args(folder.path(), "killed")).expect(0);
    let (unbroken, killed) = (checkpoints(&folder.path().join("unbroken")), checkpoints(&out));
    assert_eq!(killed.keys().collect::<Vec<_>>(), [&(STEPS - 1), &STEPS]);
    for file in ["model.safetensors", "ema/model.safetensors", "optimizer.safetensors"] {
        let [one, other] =
            [&unbroken, &killed].map(|found| fs::read(found[&STEPS].join(file)).expect("a file"));
        assert!(one == other, "{file} differs");
    }
    // What the kills left is gone.
    for entry in fs::read_dir(&out).expect("the folder") {
        let name = entry.expect("an entry").file_name().to_string_lossy().into_owned();
        assert!(!name.starts_with(".checkpoint-") && !name.ends_with(".partial"), "{name} is left");
    }
    let losses = |out: &Path| -> Vec<(u64, f64)> {
        let text = fs::read_to_string(out.join("metrics.jsonl")).expect("metrics");
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.filter_map(|line| Some((line["step"].as_u64()?, line["loss"].as_f64()?))).collect()
    };
    let unbroken = losses(&folder.path().join("unbroken"));
    assert_eq!(unbroken.len() as u64, STEPS);
    // Lines that were not written out yet are lost with the process; those that are there agree.
    let killed = losses(&out);
    assert!(killed.iter().all(|line| unbroken.contains(line)), "{killed:?}");
}
