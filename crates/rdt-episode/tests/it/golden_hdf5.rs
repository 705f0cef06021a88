//! The agilex card against RDT's HDF5 loader on a recorded file, every step; and the same file's
//! edge cases: too short, just long enough, never moving, another storage form.

use std::path::Path;

use rdt_episode::hdf5::Hdf5File;
use rdt_episode::{Dataset, Episode, EpisodeError, SourceFile, Verdict, flatten};
use rdt_schema::{STATE_DIM, Sample, statistics::ColumnStatistics};
use serde_json::Value;

use crate::support::{Outcome, Tensors, card, close, config, decode, golden, golden_json};

struct Golden {
    about: Value,
    tensors: Tensors,
    dataset: Dataset,
    episode: Episode,
    /// Columns of the recorded arrays that go with ours, in our order.
    order: Vec<usize>,
}

/// The recorded file in a folder of its own, with its instructions beside it under RDT's name.
fn recorded_folder() -> Result<tempfile::TempDir, std::io::Error> {
    let folder = tempfile::tempdir()?;
    std::fs::copy(golden("agilex_episode.hdf5"), folder.path().join("episode_0.hdf5"))?;
    let instructions = "expanded_instruction_gpt-4-turbo.json";
    std::fs::copy(golden(&format!("agilex_{instructions}")), folder.path().join(instructions))?;
    Ok(folder)
}

fn first_verdict(dataset: &Dataset) -> Result<Verdict, EpisodeError> {
    let file: SourceFile<'_> = dataset.open_file(&dataset.files()[0])?;
    file.episode(&file.keys()[0])
}

fn accepted(dataset: &Dataset) -> Result<Episode, Box<dyn std::error::Error>> {
    match first_verdict(dataset)? {
        Verdict::Accepted(episode) => Ok(*episode),
        Verdict::Filtered(reason) => Err(reason.into()),
    }
}

fn load() -> Result<Golden, Box<dyn std::error::Error>> {
    let folder = recorded_folder()?;
    let dataset = Dataset::open("agilex", card("agilex"), folder.path(), &config(64, 2))?;
    let episode = accepted(&dataset)?;
    let about = golden_json("hdf5.json")?;
    let indices = about["unified_indices_in_file_order"].as_array().ok_or("no indices")?;
    let position = |column: &u8| indices.iter().position(|index| *index == u64::from(*column));
    let order =
        dataset.schema().state_columns.iter().map(position).collect::<Option<_>>().ok_or("other columns")?;
    Ok(Golden { about, tensors: Tensors::read("hdf5.safetensors")?, dataset, episode, order })
}

impl Golden {
    /// Rows of a recorded array in our column order.
    fn rows(&self, name: &str) -> Vec<f64> {
        let tensor = self.tensors.get(name);
        let values = tensor.f64();
        values.chunks_exact(tensor.shape[1]).flat_map(|row| self.order.iter().map(|&c| row[c])).collect()
    }

    fn vector(&self, name: &str) -> Vec<f64> {
        let values = self.tensors.get(name).f64();
        self.dataset.schema().state_columns.iter().map(|&column| values[usize::from(column)]).collect()
    }

    fn number(&self, key: &str) -> u32 {
        self.about[key].as_u64().unwrap_or_else(|| panic!("no number {key}")) as u32
    }
}

#[test]
fn golden_hdf5_rows_statistics_and_valid_steps() -> Outcome {
    let golden = load()?;
    let (episode, schema) = (&golden.episode, golden.dataset.schema());
    close("state", episode.states(), &golden.rows("state_f64"), 1e-12);
    let ColumnStatistics { mean, std, norm } = episode.statistics();
    close("state_mean", mean, &golden.vector("state_mean"), 1e-12);
    close("state_std", std, &golden.vector("state_std"), 1e-12);
    close("state_norm", norm, &golden.vector("state_norm"), 1e-12);

    let first = golden.number("first_valid_step");
    let steps: Vec<u32> = episode.sample_steps(schema).collect();
    let expected: Vec<u32> = (first..=golden.number("last_valid_step")).collect();
    assert_eq!(steps, expected);
    assert_eq!(episode.info().num_steps, golden.number("T"));
    assert_eq!(
        episode.info().num_steps,
        golden.about["meta_example"]["#steps"].as_u64().ok_or("#steps")? as u32
    );
    assert_eq!(schema.name, golden.about["meta_example"]["dataset_name"]);

    // RDT's state-only rows are those from the first valid step on.
    let width = schema.state_columns.len();
    let from = first as usize * width;
    close("state only", &episode.states()[from..], &golden.rows("state_only.state_f64"), 1e-12);
    close("action only", &episode.actions()[from..], &golden.rows("state_only.action_f64"), 1e-12);
    assert_eq!(expected.len(), golden.number("n_state_only_rows") as usize);
    Ok(())
}

#[test]
fn golden_hdf5_actions_frames_and_masks() -> Outcome {
    let golden = load()?;
    let (episode, schema) = (&golden.episode, golden.dataset.schema());
    let indicator: Vec<f64> = golden.tensors.get("state_indicator").f64();
    let masks = golden.tensors.get("cam_mask_from_first_valid");
    let (mut actions, mut frames) = (0, 0);
    for (position, step) in episode.sample_steps(schema).enumerate() {
        let sample = flatten::sample(schema, episode, step, &mut decode)?;
        let mask: Vec<f64> = sample.state_vec_mask.iter().map(|&m| f64::from(m)).collect();
        assert_eq!(mask, indicator);
        for camera in &sample.frames[..3] {
            assert_eq!(camera.time_mask, masks.u8_row(position), "step {step}");
        }
        if golden.tensors.find(&format!("step{step}.actions_f64")).is_some() {
            compare_actions(&golden, &sample, step);
            actions += 1;
        }
        for (slot, name) in [(0, "cam_high"), (1, "cam_right_wrist"), (2, "cam_left_wrist")] {
            if let Some(pixels) = golden.tensors.find(&format!("step{step}.{name}")) {
                let shape = [sample.frames[slot].height as usize, sample.frames[slot].width as usize];
                assert_eq!(shape, pixels.shape[1..3]);
                assert!(sample.frames[slot].pixels == pixels.u8(), "step {step} {name} differs");
                frames += 1;
            }
        }
    }
    assert!(actions > 2 && frames > 2, "the recording has {actions} action windows and {frames} frames");
    Ok(())
}

/// The window in f64 from the episode's rows, and in f32 from the sample.
fn compare_actions(golden: &Golden, sample: &Sample, step: u32) {
    let expected = golden.rows(&format!("step{step}.actions_f64"));
    let columns = &golden.dataset.schema().action_columns;
    let window = &golden.dataset.schema().window;
    let span = window.action_span(step, golden.episode.info().actions);
    let rows: Vec<f64> = (0..u32::from(window.action_rows))
        .flat_map(|j| {
            golden.episode.actions()[span.row(j) as usize * columns.len()..][..columns.len()].to_vec()
        })
        .collect();
    close(&format!("step {step} actions"), &rows, &expected, 1e-12);
    let delivered = sample.action_chunk.chunks_exact(STATE_DIM);
    let delivered: Vec<f32> =
        delivered.flat_map(|row| columns.iter().map(|&c| row[usize::from(c)])).collect();
    let expected: Vec<f32> = expected.iter().map(|&x| x as f32).collect();
    assert_eq!(delivered, expected, "step {step} in f32");
}

#[test]
fn golden_hdf5_instruction_is_one_of_three_kinds() -> Outcome {
    let golden_episode = load()?;
    let json = golden_json("agilex_expanded_instruction_gpt-4-turbo.json")?;
    let mut expected = Vec::new();
    for key in ["instruction", "simplified_instruction", "expanded_instruction"] {
        let texts = json[key].as_array().cloned().unwrap_or_else(|| vec![json[key].clone()]);
        let share = 1.0 / 3.0 / texts.len() as f64;
        expected.extend(texts.into_iter().map(|text| (text.as_str().unwrap_or_default().to_owned(), share)));
    }
    let found = &golden_episode.episode.info().instructions;
    assert_eq!(found.len(), expected.len());
    for (instruction, (text, share)) in found.iter().zip(&expected) {
        assert_eq!(&instruction.text, text);
        assert!((instruction.weight - share).abs() < 1e-15);
    }
    let example = golden_episode.about["meta_example"]["instruction"].as_str().ok_or("no example")?;
    assert!(found.iter().any(|instruction| instruction.text == example));
    Ok(())
}

/// The recorded rows and frames as another file: `steps` of them, still if `still`, frames as
/// padded rows of bytes if `padded`.
fn variant(folder: &Path, steps: usize, still: bool, padded: bool) -> Outcome {
    let source = Hdf5File::open(&golden("agilex_episode.hdf5"))?;
    let file = hdf5::File::create(folder.join("episode_0.hdf5"))?;
    for name in ["observations/qpos", "action"] {
        let matrix = source.read_f64(name)?;
        let row = |t: usize| matrix.row(if still { 0 } else { t.min(matrix.rows - 1) });
        let values = (0..steps).flat_map(|t| row(t).iter().map(|&x| x as f32)).collect();
        let out = ndarray::Array2::<f32>::from_shape_vec((steps, matrix.columns), values)?;
        file.new_dataset_builder().with_data(&out).create(name)?;
    }
    for camera in ["cam_high", "cam_left_wrist", "cam_right_wrist"] {
        let name = format!("observations/images/{camera}");
        let frames = source.frames(&name, None)?;
        let mut jpegs = Vec::new();
        for t in 0..steps {
            let mut bytes = Vec::new();
            frames.read(t.min(frames.len() - 1), &mut bytes)?;
            jpegs.push(bytes);
        }
        if padded {
            let longest = jpegs.iter().map(Vec::len).max().unwrap_or(1) + 3;
            let mut rows = ndarray::Array2::<u8>::zeros((steps, longest));
            for (mut row, jpeg) in rows.rows_mut().into_iter().zip(&jpegs) {
                row.iter_mut().zip(jpeg).for_each(|(out, byte)| *out = *byte);
            }
            file.new_dataset_builder().with_data(&rows).create(name.as_str())?;
        } else {
            let rows: Vec<hdf5::types::VarLenArray<u8>> =
                jpegs.iter().map(|jpeg| hdf5::types::VarLenArray::from_slice(jpeg)).collect();
            file.new_dataset_builder().with_data(&rows).create(name.as_str())?;
        }
    }
    file.new_dataset_builder()
        .with_data(&["Pick the cup.".parse::<hdf5::types::VarLenUnicode>()?])
        .create("instruction")?;
    Ok(())
}

#[test]
fn golden_hdf5_edge_cases() -> Outcome {
    let about = golden_json("hdf5.json")?;
    let edges = about["edge_cases"].as_object().ok_or("no edge cases")?;
    let verdict = |steps, still| -> Result<Verdict, Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        variant(folder.path(), steps, still, false)?;
        let dataset = Dataset::open("agilex", card("agilex"), folder.path(), &config(64, 2))?;
        Ok(first_verdict(&dataset)?)
    };
    assert_eq!(edges["T=127"], "(False, None)");
    assert!(matches!(verdict(127, false)?, Verdict::Filtered(reason) if reason.contains("127")));
    assert_eq!(edges["T=128 valid"], true);
    assert!(matches!(verdict(128, false)?, Verdict::Accepted(_)));
    assert!(edges["still episode"].as_str().is_some_and(|text| text.contains("ValueError")));
    assert!(matches!(verdict(140, true)?, Verdict::Filtered(reason) if reason.contains("never moves")));
    Ok(())
}

#[test]
fn golden_hdf5_storage_forms_give_the_same_samples() -> Outcome {
    let golden = load()?;
    let folder = tempfile::tempdir()?;
    variant(folder.path(), golden.episode.info().steps as usize, false, true)?;
    let dataset = Dataset::open("agilex", card("agilex"), folder.path(), &config(64, 2))?;
    let episode = accepted(&dataset)?;
    // Without a JSON file beside the episode its own text is the instruction.
    assert_eq!(episode.info().instructions, rdt_schema::Instruction::only("Pick the cup."));
    let step = episode.info().first_step;
    let sample = flatten::sample(dataset.schema(), &episode, step, &mut decode)?;
    let recorded = flatten::sample(golden.dataset.schema(), &golden.episode, step, &mut decode)?;
    assert_eq!(sample.frames, recorded.frames);
    assert_eq!(sample.state_chunk, recorded.state_chunk);
    Ok(())
}
