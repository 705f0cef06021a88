//! Pictures are looked at by people; these tests hold that they are made, for every shape
//! of sample, and that what is shown depends on what is given.

use rdt_schema::{DatasetSchema, Frames, Instruction, Sample, Window};

use super::*;

fn schema(history: u8) -> DatasetSchema {
    DatasetSchema {
        name: "made_up".into(),
        state_columns: vec![30, 31, 32, 33, 34, 35, 36, 37, 38, 10],
        action_columns: vec![30, 31, 32, 10],
        window: Window::recorded(16, history),
        cameras: [true, true, false, false],
        control_freq: 20.0,
        norm_of_actions: true,
    }
}

fn sample_of(schema: &DatasetSchema, pixels: u8) -> Sample {
    let history = usize::from(schema.window.image_history);
    let frames = |height: u32, width: u32| Frames {
        height,
        width,
        pixels: vec![pixels; history * (height * width * 3) as usize],
        time_mask: (0..history).map(|position| u8::from(position > 0)).collect(),
    };
    let rows = 16;
    let wave: Vec<f32> = (0..rows * STATE_DIM).map(|i| (i as f32 * 0.01).sin()).collect();
    Sample {
        dataset_name: schema.name.clone(),
        source: "folder/file.hdf5".into(),
        key: "data/demo_0".into(),
        num_steps: 90,
        step_id: 3,
        instructions: Instruction::only("Close the top drawer of the cabinet."),
        control_freq: 20.0,
        state_chunk: wave.clone(),
        state_chunk_time_mask: (0..rows).map(|row| u8::from(row > 10)).collect(),
        action_chunk: wave,
        action_chunk_time_mask: vec![1; rows],
        state_vec_mask: vec![1; STATE_DIM],
        frames: [frames(48, 64), frames(32, 32), Frames::default(), Frames::default()],
        state_std: vec![0.0; STATE_DIM],
        state_mean: vec![0.0; STATE_DIM],
        state_norm: vec![0.0; STATE_DIM],
    }
}

fn drawn(given: &Sample, schema: &DatasetSchema) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("sample.png");
    sample(&path, given, schema, "sample 3 (chunk 0, slot 3)").expect("a picture");
    std::fs::read(&path).expect("the picture")
}

#[test]
fn frames_and_instruction_are_on_the_picture() {
    let schema = schema(2);
    let dark = sample_of(&schema, 10);
    let mut told = dark.clone();
    told.instructions = Instruction::only("Open it.");
    let picture = drawn(&dark, &schema);
    assert_eq!(&picture[1..4], b"PNG");
    assert_ne!(picture, drawn(&sample_of(&schema, 200), &schema), "other pixels");
    assert_ne!(picture, drawn(&told, &schema), "another instruction");
}

#[test]
fn odd_samples_are_drawn_too() {
    let schema = DatasetSchema { state_columns: vec![127], action_columns: vec![], ..schema(1) };
    let mut bare = sample_of(&schema, 0);
    bare.frames = Default::default();
    bare.instructions = Instruction::only("word ".repeat(400));
    bare.state_chunk.fill(0.0);
    assert_eq!(&drawn(&bare, &schema)[1..4], b"PNG");
}

#[test]
fn padding_is_found_in_runs() {
    assert_eq!(padded_runs(&[0, 0, 1, 0, 1, 0]), [(0, 1), (3, 3), (5, 5)]);
    assert_eq!(padded_runs(&[1, 1]), []);
}

#[test]
fn a_constant_gets_an_axis_of_its_own_size() {
    assert_eq!(axis(0.0, 0.0), (-0.5, 0.5));
    assert_eq!(axis(2.0, 2.0), (1.8, 2.2));
    assert_eq!(axis(-2.0, -2.0), (-2.2, -1.8));
    assert_eq!(axis(0.0, 10.0), (-1.0, 11.0));
    let (low, high) = axis(2.0, f64::from(2f32.next_up()));
    assert!(high - low > 0.3, "rounding is no movement: {low} to {high}");
}
