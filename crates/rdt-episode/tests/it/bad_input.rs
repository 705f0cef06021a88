//! Every way in which a source can be wrong: the error names file, place, found, expected and
//! remedy, and the episodes beside it are read.

use std::path::Path;

use rdt_episode::{Dataset, Episode, EpisodeError, Verdict};
use rdt_schema::DatasetCard;

use crate::made::Agilex;
use crate::support::{Outcome, card, changed_card, config, sample_data};

fn open(card: DatasetCard, root: &Path) -> Result<Dataset, EpisodeError> {
    Dataset::open("robot", card, root, &config(64, 2))
}

fn verdict(card: DatasetCard, root: &Path) -> Result<Verdict, EpisodeError> {
    let dataset = open(card, root)?;
    let file = dataset.open_file(&dataset.files()[0])?;
    file.episode(&file.keys()[0])
}

/// The error of an episode in the agilex layout.
#[track_caller]
fn fault(agilex: &Agilex) -> String {
    fault_by(card("agilex"), agilex)
}

#[track_caller]
fn fault_by(card: DatasetCard, agilex: &Agilex) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    agilex.write(&folder.path().join("episode_7.hdf5")).expect("a file");
    match verdict(card, folder.path()) {
        Err(error) => error.to_string(),
        Ok(verdict) => panic!("passes: {verdict:?}"),
    }
}

#[track_caller]
fn says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "`{word}` is not said in: {message}");
    }
}

fn accepted(agilex: &Agilex) -> Result<Episode, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    agilex.write(&folder.path().join("episode_7.hdf5"))?;
    match verdict(card("agilex"), folder.path())? {
        Verdict::Accepted(episode) => Ok(*episode),
        Verdict::Filtered(reason) => Err(reason.into()),
    }
}

#[test]
fn the_made_episode_is_right_before_it_is_bent() -> Outcome {
    let episode = accepted(&Agilex::default())?;
    assert_eq!(episode.info().cameras, [true, true, true, false]);
    episode.check_frames()?;
    Ok(())
}

#[test]
fn missing_paths_and_empty_folders() -> Outcome {
    let folder = tempfile::tempdir()?;
    let gone = folder.path().join("gone");
    says(&open(card("agilex"), &gone).unwrap_err().to_string(), &["gone", "robot", "check the path"]);
    says(&open(card("agilex"), folder.path()).unwrap_err().to_string(), &["*.hdf5", "agilex.yaml"]);
    Ok(())
}

#[test]
fn a_bad_file_does_not_stop_the_others() -> Outcome {
    let folder = tempfile::tempdir()?;
    let good = sample_data("libero/KITCHEN_SCENE10_close_the_top_drawer_of_the_cabinet_demo.hdf5");
    let bytes = std::fs::read(&good)?;
    std::fs::write(folder.path().join("a_text.hdf5"), "this is no HDF5 file")?;
    std::fs::write(folder.path().join("b_empty.hdf5"), "")?;
    std::fs::write(folder.path().join("c_cut.hdf5"), &bytes[..bytes.len() / 2])?;
    std::fs::write(folder.path().join("d_good.hdf5"), &bytes)?;
    std::os::unix::fs::symlink(folder.path().join("gone"), folder.path().join("e_gone.hdf5"))?;
    Agilex::default().write(&folder.path().join("f_other_layout.hdf5"))?;
    let dataset = open(card("libero"), folder.path())?;
    assert_eq!(dataset.files().len(), 6);
    let mut read = 0;
    for name in dataset.files() {
        let outcome = dataset.open_file(name).and_then(|file| {
            file.keys().iter().try_for_each(|key| {
                let Verdict::Accepted(episode) = file.episode(key)? else { return Ok(()) };
                episode.check_frames()?;
                read += 1;
                Ok(())
            })
        });
        match outcome {
            Ok(()) => assert_eq!(name, "d_good.hdf5"),
            Err(error) => says(&error.to_string(), &[name, "expected"]),
        }
    }
    assert_eq!(read, 2);
    Ok(())
}

#[test]
fn a_folder_or_pattern_of_another_layout() -> Outcome {
    let data = sample_data("libero");
    let other = changed_card("libero", &[("episodes: data/demo_*", "episodes: data/episode_*")]);
    let dataset = open(other, &data)?;
    let error = dataset.open_file(&dataset.files()[0]).map(|_| ()).unwrap_err().to_string();
    says(&error, &["KITCHEN", "data/episode_*", "no group", "libero.yaml"]);
    Ok(())
}

#[test]
fn missing_arrays() {
    let message = fault(&Agilex { qpos: None, ..Agilex::default() });
    says(&message, &["episode_7.hdf5", "observations/qpos", "no such array", "agilex.yaml"]);
    let renamed = changed_card("agilex", &[("- array: action ", "- array: actions ")]);
    says(&fault_by(renamed, &Agilex::default()), &["actions", "no such array"]);
    let message = fault(&Agilex { cameras: vec!["cam_left_wrist"], ..Agilex::default() });
    says(&message, &["observations/images/cam_high", "external", "optional"]);
}

#[test]
fn wrist_cameras_may_be_absent() -> Outcome {
    let episode = accepted(&Agilex { cameras: vec!["cam_high"], ..Agilex::default() })?;
    assert_eq!(episode.info().cameras, [true, false, false, false]);
    Ok(())
}

#[test]
fn wrong_shapes() {
    says(
        &fault(&Agilex { columns: 13, ..Agilex::default() }),
        &["observations/qpos", "13 columns", "14 columns"],
    );
    says(&fault(&Agilex { action_steps: 129, ..Agilex::default() }), &["action", "129 rows", "130"]);
    says(&fault(&Agilex { frames: 129, ..Agilex::default() }), &["cam_high", "129 frames", "130"]);
    says(&fault(&Agilex { frames: 131, ..Agilex::default() }), &["cam_high", "131 frames", "130"]);
    let narrow = changed_card("agilex", &[("filter:", "filter: # wider\n  # none")]);
    says(&fault_by(narrow, &Agilex { columns: 15, ..Agilex::default() }), &["15 columns", "14 columns"]);
}

#[test]
fn states_and_actions_that_are_not_finite() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let found = format!("{value} in row 129, column 3");
        let message = fault(&Agilex { bad_state: Some((129, 3, value)), ..Agilex::default() });
        says(&message, &["episode_7.hdf5", "observations/qpos", &found, "finite"]);
        let message = fault(&Agilex { bad_action: Some((129, 3, value)), ..Agilex::default() });
        says(&message, &["episode_7.hdf5", "action", &found]);
    }
    // Without the still steps to look for, the states themselves are looked through.
    let text = card("agilex")
        .text()
        .replace("trim_still:\n  array: observations/qpos\n  threshold: 0.01\n  before: keep ", "# ");
    let untrimmed = DatasetCard::from_text(&text, Path::new("untrimmed.yaml")).expect("a card");
    assert!(untrimmed.trim_still.is_none());
    let message = fault_by(untrimmed, &Agilex { bad_state: Some((0, 13, f64::NAN)), ..Agilex::default() });
    says(&message, &["observations/qpos", "NaN in row 0, column 13"]);
}

#[test]
fn no_instruction_or_an_empty_one() -> Outcome {
    let message = fault(&Agilex { instruction: None, ..Agilex::default() });
    says(
        &message,
        &["episode_7.hdf5", "no instruction", "expanded_instruction_gpt-4-turbo.json", "text instruction"],
    );
    says(&fault(&Agilex { instruction: Some("  "), ..Agilex::default() }), &["instruction", "empty"]);

    let folder = tempfile::tempdir()?;
    Agilex::default().write(&folder.path().join("episode_7.hdf5"))?;
    let beside = folder.path().join("expanded_instruction_gpt-4-turbo.json");
    for (text, words) in [
        ("{", vec!["no JSON"]),
        ("[]", vec!["no JSON object", "\"instruction\""]),
        (r#"{"instruction": "a"}"#, vec!["only the keys", "\"simplified_instruction\""]),
        (
            r#"{"instruction": "a", "simplified_instruction": [], "expanded_instruction": ["b"]}"#,
            vec!["empty list"],
        ),
        (
            r#"{"instruction": "", "simplified_instruction": ["c"], "expanded_instruction": ["b"]}"#,
            vec!["empty"],
        ),
        (
            r#"{"instruction": 3, "simplified_instruction": ["c"], "expanded_instruction": ["b"]}"#,
            vec!["3", "no text"],
        ),
    ] {
        std::fs::write(&beside, text)?;
        let message = verdict(card("agilex"), folder.path()).unwrap_err().to_string();
        says(&message, &["expanded_instruction_gpt-4-turbo.json"]);
        says(&message, &words);
    }
    Ok(())
}

#[test]
fn filtered_is_no_fault() -> Outcome {
    let folder = tempfile::tempdir()?;
    let short = Agilex { steps: 127, action_steps: 127, frames: 127, ..Agilex::default() };
    short.write(&folder.path().join("episode_7.hdf5"))?;
    let Verdict::Filtered(reason) = verdict(card("agilex"), folder.path())? else {
        return Err("kept".into());
    };
    says(&reason, &["127 steps", "128"]);
    Ok(())
}

#[test]
fn a_data_set_can_be_one_file_of_any_name() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("recording.h5");
    Agilex::default().write(&path)?;
    let dataset = open(card("agilex"), &path)?;
    assert_eq!(dataset.files(), ["recording.h5"]);
    let Verdict::Accepted(episode) = dataset.open_file("recording.h5")?.episode("")? else {
        return Err("left out".into());
    };
    assert_eq!(episode.info().origin.to_string(), "recording.h5");
    Ok(())
}

#[test]
fn further_names_of_a_file_are_told() -> Outcome {
    let folder = tempfile::tempdir()?;
    Agilex::default().write(&folder.path().join("episode_0.hdf5"))?;
    std::fs::create_dir(folder.path().join("again"))?;
    std::fs::hard_link(folder.path().join("episode_0.hdf5"), folder.path().join("again/episode_9.hdf5"))?;
    std::os::unix::fs::symlink("episode_0.hdf5", folder.path().join("episode_1.hdf5"))?;
    let dataset = open(card("agilex"), folder.path())?;
    let first = "again/episode_9.hdf5";
    assert_eq!(dataset.files(), [first, "episode_0.hdf5", "episode_1.hdf5"]);
    let expected = ["episode_0.hdf5", "episode_1.hdf5"].map(|name| (name.to_owned(), first.to_owned()));
    assert_eq!(dataset.duplicates(), expected);
    Ok(())
}
