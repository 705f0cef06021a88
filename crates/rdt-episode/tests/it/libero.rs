//! LIBERO: units, upright pictures, instruction, and that a wrong unit is caught.

use rdt_episode::{Dataset, Episode, flatten};
use rdt_schema::{ActionSource, CameraSlot, DatasetCard};

use crate::support::{Outcome, card, changed_card, config, decode, episodes, sample_data};

fn open(card: DatasetCard) -> Result<(Dataset, Vec<Episode>), Box<dyn std::error::Error>> {
    let mut dataset = Dataset::open("libero", card, &sample_data("libero"), &config(64, 2))?;
    dataset.prepare()?;
    let episodes = episodes(&dataset)?;
    Ok((dataset, episodes))
}

/// Mean and standard deviation of entry 30 of the action, over all steps.
fn action_entry_30(card: DatasetCard) -> Result<(f64, f64), Box<dyn std::error::Error>> {
    let (dataset, episodes) = open(card)?;
    let columns = &dataset.schema().action_columns;
    let position = columns.iter().position(|&entry| entry == 30).ok_or("entry 30 is not filled")?;
    let values: Vec<f64> = episodes
        .iter()
        .flat_map(|episode| episode.actions().chunks_exact(columns.len()).map(|row| row[position]))
        .collect();
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    Ok((mean, variance.sqrt()))
}

fn plausible((mean, std): (f64, f64)) -> bool {
    mean.abs() < 0.02 && (0.005..=0.05).contains(&std)
}

#[test]
fn actions_are_in_metres_and_a_tenfold_error_shows() -> Outcome {
    let right = action_entry_30(card("libero"))?;
    assert!(plausible(right), "{right:?}");
    for wrong in ["- scale: 0.5 ", "- scale: 0.005 ", "- scale: 1 "] {
        let found = action_entry_30(changed_card("libero", &[("- scale: 0.05 ", wrong)]))?;
        assert!(!plausible(found), "{wrong}: {found:?} passes");
    }
    Ok(())
}

#[test]
fn state_and_action_fill_the_same_ten_entries_in_physical_units() -> Outcome {
    let (dataset, episodes) = open(card("libero"))?;
    let schema = dataset.schema();
    let expected: Vec<u8> = (30..39).chain([10]).collect();
    assert_eq!(schema.state_columns, expected);
    assert_eq!(schema.action_columns, expected);
    assert_eq!((schema.window.action_source, schema.window.action_shift), (ActionSource::Recorded, 0));
    assert_eq!(schema.control_freq, 20.0);
    for episode in &episodes {
        for row in episode.states().chunks_exact(10).chain(episode.actions().chunks_exact(10)) {
            assert!((0.0..=1.02).contains(&row[9]), "gripper {}", row[9]);
            for column in [&row[3..6], &row[6..9]] {
                let length: f64 = column.iter().map(|x| x * x).sum();
                assert!((length - 1.0).abs() < 1e-12, "6D column of length {length}");
            }
        }
        let first = &episode.states()[..3];
        assert!(first[2] > 0.5 && first.iter().all(|x| x.abs() < 2.0), "position {first:?} is not in metres");
        assert_eq!(episode.info().instructions.len(), 1);
        assert_eq!(episode.info().instructions[0].text, "Close the top drawer of the cabinet.");
        assert_eq!(episode.info().cameras, [true, true, false, false]);
        episode.check_frames()?;
    }
    let keys: Vec<&str> = episodes.iter().map(|episode| episode.info().origin.key.as_str()).collect();
    assert_eq!(keys, ["data/demo_0", "data/demo_1"]);
    Ok(())
}

#[test]
fn pictures_are_turned_upright() -> Outcome {
    let (dataset, episodes) = open(card("libero"))?;
    let sample = flatten::sample(dataset.schema(), &episodes[0], 5, &mut decode)?;
    let external = &sample.frames[CameraSlot::External.index()];
    let mut stored = Vec::new();
    episodes[0].frame(CameraSlot::External, 5, &mut stored)?;
    let row = external.width as usize * 3;
    let newest = &external.pixels[external.pixels.len() - stored.len()..];
    assert_eq!(newest[..row], stored[stored.len() - row..]);
    assert_ne!(newest[..row], stored[..row]);
    Ok(())
}

#[test]
fn joints_are_one_commented_block_away() -> Outcome {
    let with_joints = changed_card(
        "libero",
        &[
            ("# - array: obs/joint_states", "- array: obs/joint_states"),
            ("#   to: right_arm_joint_{0..6}_pos", "  to: right_arm_joint_{0..6}_pos"),
        ],
    );
    let (dataset, episodes) = open(with_joints)?;
    assert_eq!(dataset.schema().state_columns[10..], [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(dataset.schema().action_columns.len(), 10);
    assert_eq!(episodes[0].states().len() % 17, 0);
    Ok(())
}

#[test]
fn a_shift_beyond_the_window_is_refused() -> Outcome {
    let rows = config(64, 2).common.action_chunk_size;
    let with_shift = |shift: i32| {
        let card = changed_card("libero", &[("shift: 0", &format!("shift: {shift}"))]);
        Dataset::open("libero", card, &sample_data("libero"), &config(rows, 2))
    };
    for shift in [63, -63] {
        with_shift(shift)?;
    }
    for shift in [64, -64, 1000] {
        let error = with_shift(shift).map(|_| ()).unwrap_err().to_string();
        for word in ["libero.yaml", &format!("window.shift {shift} "), "64", "from -63 to 63"] {
            assert!(error.contains(word), "{word:?} is not in: {error}");
        }
    }
    Ok(())
}

#[test]
fn the_shift_is_one_line() -> Outcome {
    let (dataset, episodes) = open(card("libero"))?;
    let (shifted, again) = open(changed_card("libero", &[("shift: 0", "shift: 1")]))?;
    for (before, after) in episodes.iter().zip(&again) {
        let sample = flatten::action_chunk(dataset.schema(), before, 8);
        assert_eq!(sample, flatten::action_chunk(shifted.schema(), after, 7));
        assert_ne!(sample, flatten::action_chunk(dataset.schema(), before, 7));
    }
    Ok(())
}

#[test]
fn a_short_episode_is_left_out_by_the_configuration_unless_the_card_says_otherwise() -> Outcome {
    let mut config = config(64, 2);
    config.dataset.epsd_len_thresh_low = 83;
    let dataset = Dataset::open("libero", card("libero"), &sample_data("libero"), &config)?;
    let file = dataset.open_file(&dataset.files()[0])?;
    let kept = file.keys().iter().map(|key| file.episode(key)).collect::<Result<Vec<_>, _>>()?;
    assert!(matches!(&kept[..], [rdt_episode::Verdict::Accepted(_), rdt_episode::Verdict::Filtered(reason)]
        if reason.contains("82 steps")));
    Ok(())
}
