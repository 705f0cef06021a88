//! Bad files and episodes: alone an error, beside good ones skipped, counted and named.

use std::fs;

use super::{omissions, samples_of};
use crate::made::{CARD, Episode, Place, Rgb, jpeg, write_bytes};
use crate::support::{produce, sample_data};

/// What is wrong, the episode, and what must be said about it: place, found, expected, remedy.
type Fault = (&'static str, Episode, &'static [&'static str]);

fn not_finite(value: f64) -> [Episode; 2] {
    let good = Episode::of(6);
    [
        Episode { bad_state: Some((4, 1, value)), ..good.clone() },
        Episode { bad_action: Some((5, 2, value)), ..good },
    ]
}

/// A JPEG episode whose frame 3 is `bytes`.
fn with_frame(bytes: Vec<u8>) -> Episode {
    Episode { rgb: Rgb::Jpeg(vec![(3, bytes)]), ..Episode::of(6) }
}

fn faults() -> Vec<Fault> {
    let good = Episode::of(6);
    let whole = jpeg(3);
    let cut = |at: usize| with_frame(whole[..at].to_vec());
    let [nan_state, nan_action] = not_finite(f64::NAN);
    let [inf_state, inf_action] = not_finite(f64::INFINITY);
    let [minus_state, minus_action] = not_finite(f64::NEG_INFINITY);
    let headless = [&whole[..2], &[0x13; 400][..]].concat();
    vec![
        (
            "no states",
            Episode { has_states: false, ..good.clone() },
            &["/pos", "no such array", "expected", "card.yaml"],
        ),
        (
            "no camera",
            Episode { rgb: Rgb::Absent, ..good.clone() },
            &["/rgb", "no such array", "expected", "optional"],
        ),
        ("no instruction", Episode { instruction: None, ..good.clone() }, &["no instruction", "instruction"]),
        (
            "empty instruction",
            Episode { instruction: Some("  "), ..good.clone() },
            &["/instruction", "empty", "expected"],
        ),
        (
            "columns",
            Episode { columns: 4, ..good.clone() },
            &["/pos", "found", "4 columns", "expected", "3 columns"],
        ),
        (
            "action rows",
            Episode { action_steps: 5, ..good.clone() },
            &["/act", "found", "5 rows", "expected", "6"],
        ),
        ("frames", Episode { frames: 5, ..good }, &["/rgb", "found", "5 frames", "expected", "6"]),
        ("NaN state", nan_state, &["/pos", "found NaN", "row 4, column 1", "finite"]),
        ("infinite state", inf_state, &["/pos", "found inf", "row 4, column 1", "finite"]),
        ("infinite state, negative", minus_state, &["/pos", "found -inf", "row 4, column 1", "finite"]),
        ("NaN action", nan_action, &["/act", "found NaN", "row 5, column 2", "finite"]),
        ("infinite action", inf_action, &["/act", "found inf", "row 5, column 2", "finite"]),
        ("infinite action, negative", minus_action, &["/act", "found -inf", "row 5, column 2", "finite"]),
        ("no JPEG", with_frame(b"this is no JPEG".to_vec()), &["/rgb[3]", "found", "expected a JPEG"]),
        ("JPEG of no bytes", with_frame(Vec::new()), &["/rgb[3]", "found an empty frame", "a JPEG"]),
        ("garbage behind a JPEG's start", with_frame(headless), &["/rgb[3]", "found", "marker"]),
        ("JPEG cut in its header", cut(100), &["/rgb[3]", "found", "expected"]),
        ("JPEG cut in its data", cut(whole.len() / 2), &["/rgb[3]", "found", "expected"]),
        ("JPEG without its last byte", cut(whole.len() - 1), &["/rgb[3]", "found", "end"]),
    ]
}

#[test]
fn beside_good_episodes_each_bad_one_is_skipped_counted_and_named() {
    let place = Place::new();
    let faults = faults();
    // Good and bad alternate, so that neither the first nor the last of a file is special.
    let episodes: Vec<Episode> =
        faults.iter().flat_map(|(_, bad, _)| [bad.clone(), Episode::of(5)]).collect();
    place.file("mixed.hdf5", &episodes).file("whole.hdf5", &[Episode::of(7)]);
    let jpeg_frames = Episode { rgb: Rgb::Jpeg(Vec::new()), ..Episode::of(4) };
    place.file("whole_jpeg.hdf5", &[jpeg_frames]);
    write_bytes(&place, "text.hdf5", b"this is no HDF5 file");
    write_bytes(&place, "nothing.hdf5", b"");
    let whole = fs::read(place.path("data/whole.hdf5")).expect("a file");
    for percent in [1, 30, 70, 99] {
        write_bytes(&place, &format!("cut{percent:02}.hdf5"), &whole[..whole.len() * percent / 100]);
    }
    std::os::unix::fs::symlink(place.path("gone"), place.path("data/gone.hdf5")).expect("a link");

    let filled = place.fill("buffer", &["--chunk-size", "16", "--json"]).expect(3);
    let report = place.buf("stat", "buffer", &["--json"]).expect(3).json();
    let skipped = omissions(&report, "skipped");
    for (index, (fault, _, words)) in faults.iter().enumerate() {
        let key = format!("data/demo_{}", 2 * index);
        let found: Vec<_> =
            skipped.iter().filter(|[file, episode, _]| file == "mixed.hdf5" && *episode == key).collect();
        let [[_, _, reason]] = found[..] else { panic!("{fault}: {found:?} in {skipped:?}") };
        assert!(reason.contains("mixed.hdf5") && reason.contains("; "), "{fault}: {reason}");
        for word in *words {
            assert!(reason.contains(word), "{fault}: `{word}` is not said in: {reason}");
        }
        assert!(filled.stderr.contains(reason.as_str()), "{fault} is not said while filling");
    }
    for file in ["text", "nothing", "cut01", "cut30", "cut70", "cut99", "gone"] {
        let file = format!("{file}.hdf5");
        let found: Vec<_> = skipped.iter().filter(|[source, ..]| *source == file).collect();
        let [[_, episode, reason]] = found[..] else { panic!("{file}: {found:?}") };
        assert_eq!(episode, "", "{file}: the whole file");
        assert!(reason.contains(&file) && reason.contains("expected"), "{file}: {reason}");
    }
    assert_eq!(skipped.len(), faults.len() + 7, "{skipped:?}");
    assert_eq!(filled.json()["skipped"].as_array().map(Vec::len), Some(skipped.len()));

    // Every step of every good episode is there, and nothing else.
    let mut expected = std::collections::BTreeSet::new();
    let mut add = |file: &str, episode: usize, steps: u32| {
        let of = |step| (file.to_owned(), format!("data/demo_{episode}"), step);
        expected.extend((0..steps).map(of));
    };
    (0..faults.len()).for_each(|index| add("mixed.hdf5", 2 * index + 1, 5));
    add("whole.hdf5", 0, 7);
    add("whole_jpeg.hdf5", 0, 4);
    assert_eq!(samples_of(&place.path("buffer")), expected);
    let dataset = &report["datasets"][0];
    assert_eq!(dataset["coverage"].as_f64(), Some(1.0));
    assert_eq!(dataset["episodes"].as_u64(), Some(faults.len() as u64 + 2));
    assert_eq!(report["samples"].as_u64(), Some(expected.len() as u64));
    place.buf("verify", "buffer", &["--against-source"]).expect(0);
}

#[test]
fn a_data_set_of_nothing_else_is_an_error_that_says_why() {
    for (fault, episode, words) in faults() {
        let place = Place::new();
        place.file("bad.hdf5", &[episode]);
        let run = place.fill("buffer", &[]);
        assert_eq!(run.code, Some(1), "{fault}: {}", run.stderr);
        run.says(words).says(&["bad.hdf5", "no episode can be used"]);
        assert!(!place.path("buffer/manifest.json").exists(), "{fault}");
    }
}

/// Only reading the frame shows it: the file's structure is right.
#[test]
fn an_episode_found_bad_only_while_writing_is_skipped_as_well() {
    let place = Place::new();
    place
        .file("a.hdf5", &[Episode::of(9), Episode::of(12), Episode::of(5)])
        .file("b.hdf5", &[Episode::of(8)]);
    place.corrupt_frame("a.hdf5", 1, 7);
    let filled = place.fill("buffer", &["--chunk-size", "4"]).expect(3);
    filled.says(&["a.hdf5", "data/demo_1", "/rgb", "chunk 7"]);
    let report = place.buf("stat", "buffer", &["--json"]).expect(3).json();
    let skipped = omissions(&report, "skipped");
    let [[file, episode, reason]] = &skipped[..] else { panic!("{skipped:?}") };
    assert_eq!((file.as_str(), episode.as_str()), ("a.hdf5", "data/demo_1"));
    for word in ["/rgb", "chunk 7", "found", "expected"] {
        assert!(reason.contains(word), "`{word}` is not said in: {reason}");
    }
    assert_eq!(report["samples"].as_u64(), Some(9 + 5 + 8));
    assert_eq!(report["chunks"].as_u64(), Some(6));
    assert_eq!(report["datasets"][0]["coverage"].as_f64(), Some(1.0));
    assert!(samples_of(&place.path("buffer")).iter().all(|(_, episode, _)| episode != "data/demo_1"));
    place.buf("verify", "buffer", &["--against-source"]).expect(0);
    place.fill("buffer", &["--chunk-size", "4"]).expect(3).says(&["data/demo_1"]);
}

/// Its markers are right, so only a decoder can tell: found by whoever decodes.
#[test]
fn a_jpeg_of_damaged_picture_data_never_passes_silently() {
    let place = Place::new();
    let mut bytes = jpeg(3);
    // The quantisation tables become comments: no table is left to decode with.
    while let Some(at) = bytes.windows(2).position(|pair| pair == [0xff, 0xdb]) {
        bytes[at + 1] = 0xfe;
    }
    place.file("a.hdf5", &[with_frame(bytes), Episode { rgb: Rgb::Jpeg(Vec::new()), ..Episode::of(5) }]);
    let filled = place.fill("buffer", &["--chunk-size", "4"]);
    if filled.code == Some(3) {
        filled.says(&["data/demo_0", "frame 3"]);
        return;
    }
    filled.expect(0);
    let bad = place.buf("verify", "buffer", &["--json"]).expect(3).json();
    let steps: Vec<_> =
        bad["bad"].as_array().expect("a list").iter().map(|bad| bad["step"].as_u64()).collect();
    // Frame 3 is in the windows of steps 3 and 4, of a history of two frames.
    assert_eq!(steps, [Some(3), Some(4)], "{bad}");
}

#[test]
fn filtered_is_by_design() {
    let place = Place::new();
    place.file("a.hdf5", &[Episode::of(2), Episode::of(5)]);
    place.fill("buffer", &[]).expect(0);
    let report = place.buf("stat", "buffer", &["--json"]).expect(0).json();
    let filtered = omissions(&report, "filtered");
    assert_eq!(filtered.len(), 1);
    assert!(filtered[0][1] == "data/demo_0" && filtered[0][2].contains("2 steps"), "{filtered:?}");
    assert!(omissions(&report, "skipped").is_empty());
}

#[test]
fn a_path_that_is_missing_and_a_folder_without_files() {
    let place = Place::new();
    let at = place.path("buffer").display().to_string();
    let produce = |path: &str| {
        let data = format!("robot:{}={path}", place.path("card.yaml").display());
        produce(["--fill-up", "--dataset", &data, "--buffer", &at])
    };
    let gone = place.path("gone").display().to_string();
    produce(&gone).expect(2).says(&[&gone, "robot", "check the path"]);
    let data = place.path("data").display().to_string();
    let empty = produce(&data);
    assert!(matches!(empty.code, Some(1 | 2)), "{}", empty.stderr);
    empty.says(&[&data, "*.hdf5", "card.yaml"]);
    assert!(!place.path("buffer").exists());
}

#[test]
fn a_card_of_another_layout_names_what_it_looked_for() {
    let place = Place::new();
    fs::write(place.path("card.yaml"), CARD.replace("data/demo_*", "data/episode_*")).expect("a card");
    place.file("a.hdf5", &[Episode::of(5)]);
    place.fill("buffer", &[]).expect(1).says(&["a.hdf5", "data/episode_*", "expected", "card.yaml"]);
    // The shipped card, on files of another robot.
    let dataset = format!("agilex={}", sample_data().join("libero").display());
    let at = place.path("buffer").display().to_string();
    produce(["--fill-up", "--dataset", &dataset, "--buffer", &at])
        .expect(1)
        .says(&["observations/qpos", "agilex"]);
}
