//! Cards and configurations with wrong words and numbers: exit code 2, file, key, found, expected.

use std::fs;

use crate::made::{CARD, Episode, Place};
use crate::support::{consume, root};

#[track_caller]
fn card_refused(place: &Place, from: &str, to: &str, words: &[&str]) {
    assert!(CARD.contains(from), "{from}");
    fs::write(place.path("card.yaml"), CARD.replacen(from, to, 1)).expect("a card");
    place.fill("buffer", &[]).expect(2).says(&["card.yaml"]).says(words);
    assert!(!place.path("buffer").exists(), "{to}: nothing is written");
}

#[test]
fn cards() {
    let place = Place::new();
    place.file("a.hdf5", &[Episode::of(5)]);
    let refused = |from: &str, to: &str, words: &[&str]| card_refused(&place, from, to, words);
    refused("control_freq", "control_frequency", &["control_frequency", "line 2", "configs/README.md"]);
    refused("  shift: 0", "  shfit: 0", &["shfit", "line 13", "shift"]);
    refused(
        "right_eef_pos_{x,y,z}",
        "right_eff_pos_{x,y,z}",
        &["state[0].to", "right_eff_pos_x", "right_eef_pos_x"],
    );
    refused(
        "    to: right_eef_pos_{x,y,z}",
        "    columns: 0..1\n    to: right_eef_pos_{x,y,z}",
        &["state[0]", "3", "2"],
    );
    refused("actions: recorded", "actions: sometimes", &["sometimes", "line 12", "recorded"]);
    refused("  external:", "  ceiling:", &["ceiling", "external"]);
    refused("control_freq: 20", "control_freq: [20", &["line"]);
    fs::write(place.path("card.yaml"), "").expect("a card");
    place.fill("buffer", &[]).expect(2).says(&["card.yaml"]);
    fs::remove_file(place.path("card.yaml")).expect("removed");
    place.fill("buffer", &[]).expect(2).says(&["card.yaml"]);
    // The card was the only thing wrong.
    fs::write(place.path("card.yaml"), CARD).expect("a card");
    place.fill("buffer", &[]).expect(0);
}

/// A count that only the file can contradict.
#[test]
fn a_card_that_counts_other_columns_than_the_file() {
    let place = Place::new();
    place.file("a.hdf5", &[Episode::of(5)]);
    fs::write(place.path("card.yaml"), CARD.replace("right_eef_pos_{x,y,z}", "right_eef_pos_{x,y}"))
        .expect("a card");
    place.fill("buffer", &[]).expect(1).says(&["a.hdf5", "data/demo_0/pos", "3 columns", "2", "card.yaml"]);
}

#[test]
fn configurations() {
    let place = Place::new();
    place.file("a.hdf5", &[Episode::of(5)]);
    let base = fs::read_to_string(root().join("configs/base.yaml")).expect("base.yaml");
    let config = place.path("mine.yaml").display().to_string();
    let cases: [(&str, &str, &[&str]); 11] = [
        ("img_history_size: 2 ", "img_history_size: 0 ", &["common.img_history_size is 0", "at least 1"]),
        ("img_history_size: 2 ", "img_history_size: 256 ", &["img_history_size", "256"]),
        ("img_history_size: 2 ", "img_history_size: two ", &["line 5", "img_history_size"]),
        ("action_chunk_size: 64", "action_chunk_size: -1", &["line 6", "action_chunk_size"]),
        ("num_cameras: 3", "num_cameras: 5", &["common.num_cameras is 5", "1 to 4"]),
        ("state_dim: 128", "state_dim: 64", &["common.state_dim is 64", "128"]),
        ("buf_chunk_size: 512", "buf_chunk_size: 0", &["dataset.buf_chunk_size is 0", "at least 1"]),
        ("epsd_len_thresh_high: 2048", "epsd_len_thresh_high: 0", &["dataset.epsd_len_thresh_high is 0"]),
        ("num_heads: 32", "num_heads: 31", &["model.rdt.hidden_size is 2048", "num_heads (31)"]),
        ("prediction_type: sample", "prediction_type: epsilon", &["prediction_type is epsilon", "sample"]),
        ("common:", "commmon:", &["commmon", "configs/base.yaml"]),
    ];
    for (from, to, words) in cases {
        assert!(base.contains(from), "{from}");
        fs::write(&config, base.replacen(from, to, 1)).expect("a configuration");
        place.fill("buffer", &["--config", &config]).expect(2).says(&["mine.yaml"]).says(words);
    }
    assert!(!place.path("buffer").exists());
    let [at, out] = ["buffer", "out"].map(|name| place.path(name).display().to_string());
    consume(["--buffer", &at, "--output-dir", &out, "--config", &config])
        .expect(2)
        .says(&["mine.yaml", "commmon"]);
    fs::remove_file(&config).expect("removed");
    place.fill("buffer", &["--config", &config]).expect(2).says(&["mine.yaml", "check the path"]);
}
