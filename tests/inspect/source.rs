//! `rdt-buf verify --against-source`.

use super::*;

/// A buffer of a copy of the sample episodes, and that copy.
fn with_own_source() -> (TempDir, TempDir) {
    let (data, buffer) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    copy_folder(&sample_data().join("libero"), data.path());
    let dataset = format!("libero={}", data.path().display());
    let place = buffer.path().display().to_string();
    produce(["--fill-up", "--dataset", &dataset, "--buffer", &place, "--chunk-size", "50"]).expect(0);
    (data, buffer)
}

#[test]
fn every_sample_is_compared() {
    let report = on("verify", libero(), &["--against-source", "--json"]).expect(0).json();
    assert_eq!(report["compared"].as_u64(), Some(SAMPLES));
}

#[test]
fn jpegs_and_other_codecs_are_compared_too() {
    for codec in ["auto", "zstd-ref", "jpeg:90"] {
        let buffer = tempfile::tempdir().expect("a folder");
        let place = buffer.path().display().to_string();
        let [libero, aloha] = [("libero", "libero"), ("agilex", "aloha")]
            .map(|(name, folder)| format!("{name}={}", sample_data().join(folder).display()));
        let args = ["--fill-up", "--dataset", &libero, "--dataset", &aloha, "--buffer", &place];
        produce(args.into_iter().chain(["--image-codec", codec])).expect(0);
        let report = on("verify", buffer.path(), &["--against-source", "--json"]).expect(0).json();
        assert_eq!(report["compared"], report["samples"], "{codec}");
    }
}

#[test]
fn a_changed_source_is_told_with_episode_and_step() {
    let (data, buffer) = with_own_source();
    let file = crate::support::hdf5_files().open_rw(data.path().join(FILE)).expect("the sample");
    let actions = file.dataset("data/demo_1/actions").expect("actions");
    let mut values = actions.read_raw::<f64>().expect("actions");
    values[40 * 7] += 0.25;
    let shape = actions.shape();
    file.unlink("data/demo_1/actions").expect("a link");
    let changed = file.new_dataset::<f64>().shape(shape).create("data/demo_1/actions").expect("room");
    changed.write_raw(&values).expect("room");
    drop((actions, changed, file));

    let report = on("verify", buffer.path(), &["--against-source", "--json"]).expect(3).json();
    let bad = report["bad"].as_array().expect("a list");
    // Step 40 is in the action windows of steps 0 to 40 of the second episode; its changed
    // value is in the first kept row of none before that.
    let steps: Vec<_> = bad.iter().map(|fault| fault["step"].as_u64().expect("a step")).collect();
    assert_eq!(steps, (0..=40).collect::<Vec<u64>>());
    for fault in bad {
        assert_eq!(fault["episode"], "data/demo_1");
        // state_norm is over the whole episode: told apart by the window's own row.
        let reason = fault["reason"].as_str().expect("a reason");
        assert!(reason.contains("right_eef_pos_x"), "{reason}");
    }
}

#[test]
fn a_moved_source_is_named() {
    let (data, buffer) = with_own_source();
    let moved = tempfile::tempdir().expect("a folder");
    copy_folder(data.path(), moved.path());
    drop(data);
    on("verify", buffer.path(), &["--against-source"]).expect(2).says(&["libero", "--source"]);
    let source = format!("libero={}", moved.path().display());
    on("verify", buffer.path(), &["--against-source", "--source", &source]).expect(0);
    on("verify", buffer.path(), &["--against-source", "--source", "other=/x"])
        .expect(2)
        .says(&["other", "libero"]);
    on("verify", buffer.path(), &["--against-source", "--source", "libero"]).expect(2).says(&["NAME=PATH"]);
}

#[test]
fn frames_are_compared_by_what_they_show() {
    let (data, buffer) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    copy_folder(&sample_data().join("aloha"), data.path());
    let dataset = format!("agilex={}", data.path().display());
    let place = buffer.path().display().to_string();
    produce(["--fill-up", "--dataset", &dataset, "--buffer", &place]).expect(0);
    let path = data.path().join("transfer/episode_0.hdf5");
    let mut bytes = std::fs::read(&path).expect("the sample");
    let starts: Vec<usize> =
        (0..bytes.len() - 4).filter(|&at| bytes[at..at + 4] == [0xff, 0xd8, 0xff, 0xe0]).collect();
    // Another density in the header: other bytes, the same picture.
    for start in &starts {
        bytes[start + 14] ^= 3;
    }
    std::fs::write(&path, &bytes).expect("the sample");
    on("verify", buffer.path(), &["--against-source"]).expect(0);

    // One frame becomes its neighbour of eight steps before, which is shorter or as long.
    let at = (8..starts.len() - 1)
        .find(|&at| starts[at - 7] - starts[at - 8] <= starts[at + 1] - starts[at] && at > starts.len() / 2)
        .expect("a frame");
    let other = bytes[starts[at - 8]..starts[at - 7]].to_vec();
    bytes[starts[at]..starts[at] + other.len()].copy_from_slice(&other);
    std::fs::write(&path, &bytes).expect("the sample");
    let report = on("verify", buffer.path(), &["--against-source", "--json"]).expect(3).json();
    let bad = report["bad"].as_array().expect("a list");
    assert!((1..=2).contains(&bad.len()), "a frame is in the windows of two samples: {bad:?}");
    for fault in bad {
        assert_eq!(fault["kind"], "differs");
        assert!(fault["reason"].as_str().expect("a reason").contains("frames of"), "{fault}");
    }
}
