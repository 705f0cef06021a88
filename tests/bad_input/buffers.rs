//! Directories that are no buffer, or not the one that is wanted.

use std::fs;

use crate::made::{CARD, Episode, Place, copy_folder};
use crate::support::{Run, consume, root};

/// Every program that reads or continues the buffer at `buffer`, by name.
fn readers(place: &Place, buffer: &str) -> Vec<(&'static str, Run)> {
    let at = place.path(buffer).display().to_string();
    let out = place.path("out").display().to_string();
    let export = place.path("export").display().to_string();
    let tiny = root().join("configs/tiny.yaml").display().to_string();
    let file = place.path("x.safetensors").display().to_string();
    vec![
        ("stat", place.buf("stat", buffer, &["--json"])),
        ("verify", place.buf("verify", buffer, &["--json"])),
        ("show", place.buf("show", buffer, &["0"])),
        ("sample", place.buf("sample", buffer, &["0", "--out", &file])),
        ("export", place.buf("export", buffer, &["--format", "rdt", "--out", &export])),
        ("dataset-stat", place.buf("dataset-stat", buffer, &["--out", &file])),
        ("order", consume(["order", "--buffer", &at, "--json"])),
        ("bench", consume(["bench", "--buffer", &at, "--json"])),
        (
            "train",
            consume(["--buffer", &at, "--output-dir", &out, "--config", &tiny, "--max-train-steps", "1"]),
        ),
    ]
}

#[test]
fn what_is_no_buffer_is_refused_by_every_program() {
    let place = Place::new();
    fs::create_dir(place.path("empty")).expect("a folder");
    fs::write(place.path("file"), "not a folder").expect("a file");
    fs::create_dir(place.path("other")).expect("a folder");
    fs::write(place.path("other/holiday.jpg"), "a picture").expect("a file");
    fs::create_dir(place.path("text")).expect("a folder");
    fs::write(place.path("text/manifest.json"), "hello\n").expect("a file");
    for (buffer, words) in [
        ("gone", vec!["gone", "nothing there", "rdt-produce"]),
        ("empty", vec!["empty", "manifest", "rdt-produce"]),
        ("file", vec!["file", "manifest.json", "rdt-produce"]),
        ("other", vec!["other", "manifest", "rdt-produce"]),
        ("text", vec!["text/manifest.json", "expected"]),
    ] {
        // What differs between programs differs in the first of these alone.
        let all = if buffer == "gone" {
            readers(&place, buffer)
        } else {
            vec![("stat", place.buf("stat", buffer, &[]))]
        };
        for (program, run) in all {
            assert!(matches!(run.code, Some(1 | 2)), "{program} on {buffer}: {:?} {}", run.code, run.stderr);
            assert!(run.stdout.is_empty(), "{program} on {buffer}: {}", run.stdout);
            run.says(&words);
        }
    }
    assert!(!place.path("out").exists() && !place.path("x.safetensors").exists());
    assert!(!place.path("export/chunk_0").exists());
    // A fill makes a buffer of an empty folder, and of nothing else.
    place.file("a.hdf5", &[Episode::of(5)]);
    for buffer in ["file", "other", "text"] {
        let run = place.fill(buffer, &[]);
        assert!(matches!(run.code, Some(1 | 2)), "{buffer}: {:?} {}", run.code, run.stderr);
        run.says(&[buffer]);
    }
    assert_eq!(fs::read_dir(place.path("other")).expect("a folder").count(), 1, "nothing was added");
    place.fill("empty", &[]).expect(0);
}

#[test]
fn another_version_is_told_by_every_program() {
    let place = Place::new();
    place.file("a.hdf5", &[Episode::of(5)]).fill("buffer", &[]).expect(0);
    let manifest = place.path("buffer/manifest.json");
    let text = fs::read_to_string(&manifest).expect("a manifest");
    fs::write(&manifest, text.replacen("\"format_version\": 1", "\"format_version\": 2", 1))
        .expect("written");
    for (program, run) in readers(&place, "buffer") {
        assert!(matches!(run.code, Some(1 | 2)), "{program}: {:?} {}", run.code, run.stderr);
        run.says(&["manifest.json", "format version 2", "expected 1"]);
    }
    place.fill("buffer", &[]).expect(2).says(&["format version 2", "expected 1"]);
}

/// A chunk file of another version in a buffer of this one.
#[test]
fn a_chunk_of_another_version_is_named() {
    let place = Place::new();
    place.file("a.hdf5", &[Episode::of(9)]).fill("buffer", &["--chunk-size", "3"]).expect(0);
    let path = place.path("buffer/chunks/00000001.chunk");
    let mut bytes = fs::read(&path).expect("a chunk");
    // docs/format.md: the magic's eight bytes, then the version.
    bytes[8] += 1;
    fs::write(&path, bytes).expect("a chunk");
    let report = place.buf("verify", "buffer", &["--json"]).expect(3).json();
    assert_eq!((report["bad"][0]["chunk"].as_u64(), report["bad_samples"].as_u64()), (Some(1), Some(3)));
    let reason = report["bad"][0]["reason"].as_str().expect("a reason");
    assert!(reason.contains("version 2") && reason.contains('1'), "{reason}");
}

#[test]
fn a_buffer_of_another_schema_is_not_continued() {
    let place = Place::new();
    place.file("a.hdf5", &[Episode::of(9), Episode::of(6)]);
    let base = fs::read_to_string(root().join("configs/base.yaml")).expect("base.yaml");
    let config = place.path("mine.yaml").display().to_string();
    fs::write(&config, &base).expect("a configuration");
    place.fill("buffer", &["--config", &config]).expect(0);
    let before = files(&place);
    for (from, to) in
        [("action_chunk_size: 64", "action_chunk_size: 32"), ("img_history_size: 2", "img_history_size: 3")]
    {
        fs::write(&config, base.replacen(from, to, 1)).expect("a configuration");
        let run = place.fill("buffer", &["--config", &config]).expect(2);
        run.says(&["begun with other settings", "the configuration", from, to, "--buffer"]);
    }
    fs::write(&config, &base).expect("a configuration");
    fs::write(place.path("card.yaml"), CARD.replace("control_freq: 20", "control_freq: 10")).expect("a card");
    let run = place.fill("buffer", &["--config", &config]).expect(2);
    run.says(&["the card of data set robot", "control_freq: 20", "control_freq: 10", "--buffer"]);
    fs::write(place.path("card.yaml"), CARD).expect("a card");
    // Other episodes than at first, and the first again.
    copy_folder(&place.path("data"), &place.path("kept"));
    place.file("b.hdf5", &[Episode::of(4)]);
    place.fill("buffer", &["--config", &config]).expect(1).says(&["1 files then, 2 now", "--buffer"]);
    fs::remove_file(place.path("data/b.hdf5")).expect("removed");
    assert_eq!(files(&place), before, "nothing was changed");
    place.fill("buffer", &["--config", &config]).expect(0);
}

fn files(place: &Place) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = ["manifest.json", "chunks/00000000.chunk"]
        .iter()
        .map(|name| ((*name).to_owned(), fs::read(place.path("buffer").join(name)).expect("a file")))
        .collect();
    files.sort();
    files
}

#[test]
fn training_with_other_window_sizes_than_the_buffers_is_refused() {
    let place = Place::new();
    place.file("a.hdf5", &[Episode::of(9)]);
    let tiny = fs::read_to_string(root().join("configs/tiny.yaml")).expect("tiny.yaml");
    let config = place.path("mine.yaml").display().to_string();
    fs::write(&config, &tiny).expect("a configuration");
    place.fill("buffer", &["--config", &config]).expect(0);
    let (buffer, out) = (place.path("buffer").display().to_string(), place.path("out").display().to_string());
    for key in ["action_chunk_size", "img_history_size"] {
        let line = tiny.lines().find(|line| line.trim_start().starts_with(key)).expect(key);
        fs::write(&config, tiny.replacen(line, &format!("  {key}: 5"), 1)).expect("a configuration");
        let run =
            consume(["--buffer", &buffer, "--output-dir", &out, "--config", &config, "--device", "cpu"]);
        assert!(matches!(run.code, Some(1 | 2)), "{:?} {}", run.code, run.stderr);
        run.says(&["data set robot", "expected 5", "configuration that the buffer was made with"]);
    }
}
