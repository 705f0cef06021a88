//! ManiSkill: scaling by the extremes of all tasks, one more state than actions, interpolation,
//! PNG files, the instruction table, and episodes left out by position.

use rdt_episode::{Dataset, Verdict, flatten, read_png};
use rdt_schema::STATE_DIM;

use crate::made::{maniskill_task, maniskill_value, pixels, png};
use crate::support::{Outcome, card, changed_card, config, decode, episodes};

const LENGTHS: [&[usize]; 2] = [&[20, 9], &[12]];
const TASKS: [&str; 2] = ["PickCube-v1", "PushCube-v1"];

fn folder() -> Result<tempfile::TempDir, Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    for (number, task) in TASKS.iter().enumerate() {
        maniskill_task(folder.path(), task, number, LENGTHS[number])?;
    }
    Ok(folder)
}

/// Extremes of one column over all tasks, in float32, as RDT takes them.
fn extremes(column: usize, action: bool) -> (f32, f32) {
    let mut found = (f32::INFINITY, f32::NEG_INFINITY);
    for (task, lengths) in LENGTHS.iter().enumerate() {
        for (episode, &steps) in lengths.iter().enumerate() {
            let rows = if action { 1..steps + 1 } else { 0..steps + 1 };
            for value in rows.map(|row| maniskill_value(task, episode, row, column)) {
                found = (found.0.min(value), found.1.max(value));
            }
        }
    }
    found
}

fn scaled(value: f32, (min, max): (f32, f32)) -> f32 {
    (value - min) / (max - min) * 2.0 - 1.0
}

#[test]
fn every_number_is_as_rdt_computes_it() -> Outcome {
    let folder = folder()?;
    let mut dataset = Dataset::open("maniskill", card("maniskill"), folder.path(), &config(64, 2))?;
    dataset.prepare()?;
    let episodes = episodes(&dataset)?;
    assert_eq!(episodes.len(), 3);
    let entries = [0, 1, 2, 3, 4, 5, 6, 10];
    assert_eq!(dataset.schema().state_columns, entries);
    let mut all = episodes.iter();
    for (task, lengths) in LENGTHS.iter().enumerate() {
        for (number, &steps) in lengths.iter().enumerate() {
            let episode = all.next().ok_or("an episode is missing")?;
            let info = episode.info();
            assert_eq!(
                [info.states, info.actions, info.steps, info.num_steps],
                [steps + 1, steps, steps, steps].map(|n| n as u32)
            );
            assert!(info.instructions[0].text.contains("cube"));
            for t in 0..steps {
                let sample = flatten::sample(dataset.schema(), episode, t as u32, &mut decode)?;
                let newest = &sample.state_chunk[63 * STATE_DIM..];
                for (column, &entry) in entries.iter().enumerate() {
                    let expected = scaled(maniskill_value(task, number, t, column), extremes(column, false));
                    assert_eq!(newest[usize::from(entry)], expected, "state {column} of step {t}");
                    for j in 0..64 {
                        let position = j as f64 * 15.0 / 63.0;
                        let (lower, weight) = (position.floor() as usize, position.fract());
                        let at = |k: usize| {
                            let row = (t + k).min(steps - 1) + 1;
                            f64::from(scaled(
                                maniskill_value(task, number, row, column),
                                extremes(column, true),
                            ))
                        };
                        let expected = at(lower) + (at((lower + 1).min(15)) - at(lower)) * weight;
                        let found = f64::from(sample.action_chunk[j * STATE_DIM + usize::from(entry)]);
                        assert!((found - expected).abs() < 1e-6, "action {column}, row {j} of step {t}");
                    }
                }
                let frames = &sample.frames[0];
                assert_eq!((frames.height, frames.width), (2, 3));
                assert_eq!(frames.pixels, [pixels(t.saturating_sub(1)), pixels(t)].concat());
                assert_eq!(frames.time_mask, [u8::from(t > 0), 1]);
            }
        }
    }
    Ok(())
}

#[test]
fn extremes_are_needed_and_can_be_restored() -> Outcome {
    let folder = folder()?;
    let open = || Dataset::open("maniskill", card("maniskill"), folder.path(), &config(64, 2));
    let mut first = open()?;
    let unprepared =
        first.open_file(&first.files()[0])?.episode("traj_0").map(|_| ()).unwrap_err().to_string();
    assert!(unprepared.contains("first pass"), "{unprepared}");
    first.prepare()?;
    let extremes = first.extremes().cloned().ok_or("no extremes")?;
    let mut again = open()?;
    again.restore(serde_json::from_str(&serde_json::to_string(&extremes)?)?);
    assert_eq!(episodes(&again)?[0].states(), episodes(&first)?[0].states());
    // The whole way back: what was recorded comes out of what the policy would put out.
    let states = &episodes(&first)?[0];
    let mut output = [0.0; STATE_DIM];
    for (&entry, &value) in first.schema().action_columns.iter().zip(states.actions()) {
        output[usize::from(entry)] = value as f32;
    }
    let action = first.conversion().action_from_unified(&output);
    for (column, value) in action[0].values.iter().enumerate() {
        let recorded = f64::from(maniskill_value(0, 0, 1, column));
        assert!((value.ok_or("a column is missing")? - recorded).abs() < 1e-5);
    }
    Ok(())
}

#[test]
fn the_first_pass_can_be_stopped_and_made_again() -> Outcome {
    let folder = folder()?;
    let open = || Dataset::open("maniskill", card("maniskill"), folder.path(), &config(64, 2));
    let mut dataset = open()?;
    let asked = std::cell::Cell::new(0);
    // At the second of three episodes.
    let stopped = || {
        asked.set(asked.get() + 1);
        asked.get() >= 2
    };
    assert!(!dataset.prepare_until(&stopped)?);
    assert_eq!((asked.get(), dataset.extremes()), (2, None));
    assert!(dataset.prepare_until(&|| false)?);
    let mut whole = open()?;
    whole.prepare()?;
    assert!(whole.extremes().is_some());
    assert_eq!(dataset.extremes(), whole.extremes());
    Ok(())
}

#[test]
fn bad_files_do_not_end_the_first_pass() -> Outcome {
    let folder = folder()?;
    std::fs::write(folder.path().join("broken.h5"), "not HDF5")?;
    let mut dataset = Dataset::open("maniskill", card("maniskill"), folder.path(), &config(64, 2))?;
    dataset.prepare()?;
    assert!(dataset.extremes().is_some());
    let alone = tempfile::tempdir()?;
    std::fs::write(alone.path().join("broken.h5"), "not HDF5")?;
    let mut dataset = Dataset::open("maniskill", card("maniskill"), alone.path(), &config(64, 2))?;
    let error = dataset.prepare().unwrap_err().to_string();
    assert!(error.contains("without one readable episode"), "{error}");
    Ok(())
}

#[test]
fn later_episodes_of_a_task_are_left_out() -> Outcome {
    let folder = folder()?;
    let card = changed_card("maniskill", &[("PegInsertionSide-v1: 401", "PickCube-v1: 1")]);
    let mut dataset = Dataset::open("maniskill", card, folder.path(), &config(64, 2))?;
    dataset.prepare()?;
    let mut kept = Vec::new();
    for name in dataset.files() {
        let file = dataset.open_file(name)?;
        for key in file.keys() {
            kept.push(matches!(file.episode(key)?, Verdict::Accepted(_)));
        }
    }
    assert_eq!(kept, [true, false, true]);
    Ok(())
}

#[test]
fn a_missing_frame_and_another_size_are_faults() -> Outcome {
    let folder = folder()?;
    let mut dataset = Dataset::open("maniskill", card("maniskill"), folder.path(), &config(64, 2))?;
    dataset.prepare()?;
    let pictures = folder.path().join("PickCube-v1/motionplanning/0");
    png(&pictures.join("0/5.png"), png::ColorType::Rgb, png::BitDepth::Eight, 2, 3, &pixels(4))?;
    let file = dataset.open_file("PickCube-v1/motionplanning/trajectory.h5")?;
    let Verdict::Accepted(episode) = file.episode("traj_0")? else { return Err("left out".into()) };
    let error = episode.check_frames().unwrap_err().to_string();
    assert!(error.contains("0/5.png") && error.contains("3 x 2"), "{error}");
    std::fs::remove_file(pictures.join("0/5.png"))?;
    assert!(episode.check_frames().unwrap_err().to_string().contains("0/5.png"));
    std::fs::remove_file(pictures.join("1/9.png"))?;
    let error = file.episode("traj_1").map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("traj_1") && error.contains("1/9.png"), "{error}");
    std::fs::remove_file(pictures.join("1/1.png"))?;
    let error = file.episode("traj_1").map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("1/1.png") && error.contains("optional"), "{error}");
    Ok(())
}

#[test]
fn pngs_of_all_usual_kinds_become_rgb() -> Outcome {
    use png::{BitDepth, ColorType};
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("a.png");
    let mut out = Vec::new();
    for (colour, depth, bytes, expected) in [
        (ColorType::Rgb, BitDepth::Eight, vec![1, 2, 3, 4, 5, 6], vec![1, 2, 3, 4, 5, 6]),
        (ColorType::Rgba, BitDepth::Eight, vec![1, 2, 3, 0, 4, 5, 6, 9], vec![1, 2, 3, 4, 5, 6]),
        (ColorType::Grayscale, BitDepth::Eight, vec![7, 8], vec![7, 7, 7, 8, 8, 8]),
        (ColorType::GrayscaleAlpha, BitDepth::Eight, vec![7, 0, 8, 1], vec![7, 7, 7, 8, 8, 8]),
        (ColorType::Indexed, BitDepth::Eight, vec![1, 0], vec![40, 50, 60, 10, 20, 30]),
    ] {
        png(&path, colour, depth, 2, 1, &bytes)?;
        assert_eq!(read_png(&path, &mut out)?, (1, 2));
        assert_eq!(out, expected, "{colour:?}");
    }
    png(&path, ColorType::Rgb, BitDepth::Sixteen, 2, 1, &[0; 12])?;
    assert!(read_png(&path, &mut out).unwrap_err().to_string().contains("16 bits"));
    let whole = std::fs::read(&path)?;
    for end in 0..whole.len() - 12 {
        std::fs::write(&path, &whole[..end])?;
        assert!(read_png(&path, &mut out).is_err(), "cut at {end}");
    }
    Ok(())
}
