//! Cards that are right, and every way in which one is refused: with place, found and expected.

use std::path::Path;

use super::*;
use crate::window::ActionSource;

const SMALL: &str = "\
control_freq: 10
files: \"*.hdf5\"
state:
  - array: obs/joints
    to: right_arm_joint_{0..2}_pos
action:
  - array: actions
    columns: 0..2
    to: right_arm_joint_{0..2}_pos
window:
  actions: recorded
cameras:
  external: {array: obs/rgb}
instruction:
  from: [text: Move.]
";

fn read(text: &str) -> Result<DatasetCard, SchemaError> {
    DatasetCard::from_text(text, Path::new("robot.yaml"))
}

/// The error of `SMALL` with `from` replaced by `to`.
#[track_caller]
fn refused(from: &str, to: &str) -> String {
    assert!(SMALL.contains(from), "{from:?} is not in the card");
    match read(&SMALL.replace(from, to)) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{to:?} instead of {from:?} passes"),
    }
}

#[track_caller]
fn says(message: &str, words: &[&str]) {
    for word in ["robot.yaml"].iter().chain(words) {
        assert!(message.contains(word), "`{word}` is not said in: {message}");
    }
    assert!(!message.contains('\n'), "one line: {message}");
}

#[test]
fn a_small_card_is_read() -> Result<(), SchemaError> {
    let card = read(SMALL)?;
    assert_eq!(card.state_columns(), [0, 1, 2]);
    assert_eq!(card.action[0].columns, Some(vec![0, 1, 2]));
    assert_eq!(card.window.actions, ActionSource::Recorded);
    assert_eq!((card.window.shift, card.window.stretch, card.window.tail), (0, 1, Tail::Pad));
    assert!(card.cameras[0].is_some() && card.cameras[1..].iter().all(Option::is_none));
    assert!(!card.needs_extremes() && !card.sentence_case);
    assert_eq!(card.text(), SMALL);
    Ok(())
}

#[test]
fn shipped_cards_are_valid_and_found_by_name() -> Result<(), SchemaError> {
    for (name, text) in SHIPPED {
        let card = DatasetCard::find(name, None)?;
        assert_eq!(card.text(), text);
        let config_dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
        assert_eq!(DatasetCard::find(name, Some(&config_dir))?.text(), text, "the file and the shipped card");
    }
    assert_eq!(DatasetCard::find("maniskill", None)?.window.stretch, 4);
    assert!(DatasetCard::find("maniskill", None)?.needs_extremes());
    Ok(())
}

#[test]
fn a_card_beside_the_configuration_goes_before_the_shipped_one() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::temp_dir().join(format!("rdt-cards-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("datasets"))?;
    let path = folder.join("datasets/libero.yaml");
    std::fs::write(&path, SMALL)?;
    let beside = DatasetCard::find("libero", Some(&folder))?;
    let by_path = DatasetCard::find(&path.display().to_string(), None)?;
    std::fs::remove_dir_all(&folder)?;
    assert_eq!((beside.control_freq, by_path.control_freq), (10.0, 10.0));
    assert_eq!(beside.path(), path);
    Ok(())
}

#[test]
fn a_card_that_is_nowhere_is_refused_with_the_names_there_are() {
    let message = DatasetCard::find("franka", None).map(|_| ()).unwrap_err().to_string();
    for word in ["franka", "configs/datasets/franka.yaml", "libero, agilex, maniskill"] {
        assert!(message.contains(word), "{message}");
    }
    let message = DatasetCard::find("gone/card.yaml", None).map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("gone/card.yaml"), "{message}");
}

#[test]
fn unknown_and_missing_keys_are_named_with_their_line() {
    says(
        &refused("control_freq", "control_frequency"),
        &["control_frequency", "line 1", "configs/README.md"],
    );
    says(&refused("    columns: 0..2", "    column: 0..2"), &["column", "line 8"]);
    says(&refused("actions: recorded", "actions: recorder"), &["recorder", "line 11", "recorded"]);
    says(&refused("files: \"*.hdf5\"\n", ""), &["files"]);
    says(&refused("control_freq: 10", "control_freq: 10\nformat: zarr"), &["zarr", "hdf5"]);
    says(&refused("    columns: 0..2", "    convert: [{sclae: 2}]"), &["sclae", "line 8", "scale"]);
    says(&refused("    columns: 0..2", "    columns: 2..0"), &["2..0", "line 8"]);
    says(&refused("control_freq: 10", "control_freq: ten"), &["line 1"]);
    says(&refused("control_freq: 10", "control_freq: [10"), &["line"]);
}

#[test]
fn unknown_names_of_the_vector_are_refused() {
    let message =
        refused("    to: right_arm_joint_{0..2}_pos\naction", "    to: right_arm_joint_{0..12}_pos\naction");
    says(&message, &["state[0].to", "right_arm_joint_10_pos"]);
    let message = refused("    to: right_arm_joint_{0..2}_pos\naction", "    to: right_eff_pos_x\naction");
    says(&message, &["right_eff_pos_x", "right_eef_pos_x"]);
    says(&refused("right_arm_joint_{0..2}_pos\naction", "right_arm_joint_{0..2_pos\naction"), &["closed"]);
}

#[test]
fn counts_that_do_not_fit_are_refused() {
    says(&refused("columns: 0..2", "columns: 0..3"), &["action[0].to", "3 names", "4 columns"]);
    says(
        &refused("columns: 0..2", "convert: [{scale: [1, 2]}]"),
        &["action[0].convert[0]", "2 numbers", "3"],
    );
    says(&refused("columns: 0..2", "width: 2\n    columns: 0..2"), &["action[0].width", "3"]);
    let rotation = "convert: [{rotation_from: axis_angle}]";
    says(&refused("columns: 0..2", rotation), &["action[0].to", "3 names", "6 names"]);
}

#[test]
fn entries_are_filled_once() {
    let twice = "    to: right_arm_joint_{0..2}_pos\n  - {array: more, to: arm_joint_2_pos}\naction";
    let message = refused("    to: right_arm_joint_{0..2}_pos\naction", twice);
    says(&message, &["state[1].to", "right_arm_joint_2_pos", "second time"]);
    says(&refused("_{0..2}_pos\naction", "_{0,1,0}_pos\naction"), &["state[0].to", "second time"]);
}

#[test]
fn conversions_that_cannot_be_undone_are_refused() {
    let with = |convert: &str| refused("columns: 0..2", &format!("convert: [{convert}]"));
    says(&with("{scale: 0}"), &["action[0].convert[0]", "other than 0"]);
    says(&with("{divide: 0}"), &["other than 0"]);
    says(&with("{offset: .nan}"), &["finite"]);
    says(&with("{clip: [1, 0]}"), &["lower one first"]);
    says(&with("{scale: 2}, {min_max: [-1, 1]}"), &["convert[1]", "first conversion"]);
    let sum = "columns: 0..1\n    convert: [{sum: [0, 0]}]\n    to: right_gripper_open";
    says(&refused("columns: 0..2\n    to: right_arm_joint_{0..2}_pos", sum), &["only zeros"]);
}

#[test]
fn windows_that_contradict_the_actions_are_refused() {
    says(&refused("actions: recorded", "actions: next_state"), &["action", "next_state"]);
    says(&refused("actions: recorded", "{actions: recorded, stretch: 0}"), &["window.stretch", "at least 1"]);
    let no_action = SMALL
        .replace("action:\n  - array: actions\n    columns: 0..2\n    to: right_arm_joint_{0..2}_pos\n", "");
    let message = read(&no_action).map(|_| ()).unwrap_err().to_string();
    says(&message, &["action", "empty"]);
    let next_state = no_action.replace("actions: recorded", "actions: next_state");
    assert!(read(&next_state).is_ok());
    says(
        &refused("actions: recorded", "actions: recorded\n  shift: 40000"),
        &["window.shift", "40000", "smaller than the action window"],
    );
    let shifted = next_state.replace("actions: next_state", "actions: next_state\n  shift: 2");
    says(&read(&shifted).map(|_| ()).unwrap_err().to_string(), &["window.shift", "next_state"]);
    let norm = format!("{next_state}state_norm_of: action\n");
    says(&read(&norm).map(|_| ()).unwrap_err().to_string(), &["state_norm_of"]);
}

#[test]
fn cameras_have_one_source() {
    says(&refused("{array: obs/rgb}", "{flip: vertical}"), &["cameras.external", "neither"]);
    says(&refused("{array: obs/rgb}", "{array: a, files: \"{frame}.png\"}"), &["both"]);
    says(&refused("{array: obs/rgb}", "{files: \"{step}.png\"}"), &["cameras.external.files", "frame"]);
    says(&refused("{array: obs/rgb}", "{files: \"{frame/0}.png\"}"), &["other than 0"]);
    says(&refused("{array: obs/rgb}", "{files: \"a.png\"}"), &["{frame}"]);
    says(&refused("external:", "front:"), &["front", "external"]);
    says(&refused("{array: obs/rgb}", "{array: a, flip: upside_down}"), &["upside_down", "vertical"]);
}

#[test]
fn frame_files_are_numbered_by_the_template() -> Result<(), String> {
    let template = names::template("{episode/100}/{episode%100}/{frame+1}.png")?;
    assert_eq!(template.path(417, 900, 0), "4/17/1.png");
    assert_eq!(names::template("cam/{number}_{frame}.png")?.path(3, 17, 5), "cam/17_5.png");
    Ok(())
}

#[test]
fn braces_stand_for_ranges_and_lists() {
    assert_eq!(names::expand("eef_pos_{x,y}"), Some(vec!["eef_pos_x".into(), "eef_pos_y".into()]));
    assert_eq!(names::expand("a{0..1}b{x,y}").map(|names| names.len()), Some(4));
    assert_eq!(names::expand("plain"), Some(vec!["plain".into()]));
    for broken in ["a{", "a}", "a{}", "a{x,}", "a{{x}}"] {
        assert_eq!(names::expand(broken), None, "{broken}");
    }
}

#[test]
fn instructions_need_a_source() {
    says(&refused("[text: Move.]", "[]"), &["instruction.from", "empty"]);
    says(&refused("[text: Move.]", "[{json_file: {name: a.json, keys: []}}]"), &["json_file.keys"]);
    says(&refused("[text: Move.]", "[{file: a.json}]"), &["file", "json_file"]);
}

/// Words in front of a colon, in YAML text: keys, wherever they stand.
fn keys(yaml: &str) -> impl Iterator<Item = &str> {
    let lines = yaml.lines().map(|line| line.split('#').next().unwrap_or_default());
    let words = lines.flat_map(|line| line.split([' ', '{', ',']));
    words
        .filter_map(|word| word.strip_suffix(':'))
        .filter(|key| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
}

#[test]
fn every_key_is_documented() -> Result<(), std::io::Error> {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let readme = std::fs::read_to_string(configs.join("README.md"))?;
    let base = std::fs::read_to_string(configs.join("base.yaml"))?;
    let mut seen = 0;
    for text in SHIPPED.map(|(_, text)| text).iter().chain([&base.as_str()]) {
        for key in keys(text) {
            let words = readme.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            assert!(words.clone().any(|word| word == key), "configs/README.md says nothing of {key}");
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen} keys");
    Ok(())
}
