//! Windows, masks, frames and statistics against RDT's `flatten_episode`, both forms.

use rdt_episode::{Episode, MemoryFrames, Recording, flatten};
use rdt_schema::{
    CameraSlot, ChannelOrder, DatasetSchema, Flip, FrameEncoding, FrameForm, Instruction, STATE_DIM, Window,
};
use serde_json::Value;

use crate::support::{Outcome, Tensor, Tensors, close, decode, golden_folder, golden_json};

/// Every recording of the folder: their names carry their window sizes.
#[test]
fn golden_flatten() -> Outcome {
    let folder = golden_folder();
    let mut names: Vec<String> = std::fs::read_dir(&folder)?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.strip_suffix(".json")?.to_owned()))
        .filter(|name| name.starts_with("flatten_"))
        .collect();
    names.sort();
    assert!(!names.is_empty(), "no flatten_*.json in {}", folder.display());
    names.iter().try_for_each(|name| against(name))
}

fn number(json: &Value, key: &str) -> u64 {
    json[key].as_u64().unwrap_or_else(|| panic!("no number {key}"))
}

fn against(name: &str) -> Outcome {
    let about = golden_json(&format!("{name}.json"))?;
    let tensors = Tensors::read(&format!("{name}.safetensors"))?;
    let (chunk, history) =
        (number(&about, "ACTION_CHUNK_SIZE") as u16, number(&about, "IMG_HISTORY_SIZE") as u8);
    let episodes = about["episodes"].as_array().ok_or("no episodes")?;
    assert!(!episodes.is_empty());
    for (index, episode) in episodes.iter().enumerate() {
        let columns: Vec<u8> = episode["active_dims"]
            .as_array()
            .ok_or("no active_dims")?
            .iter()
            .filter_map(|x| Some(x.as_u64()? as u8))
            .collect();
        for form in ["future", "agilex"] {
            let recorded = form == "agilex";
            let schema = DatasetSchema {
                name: "recorded".into(),
                state_columns: columns.clone(),
                action_columns: columns.clone(),
                window: if recorded {
                    Window::recorded(chunk, history)
                } else {
                    Window::next_state(chunk, history)
                },
                cameras: [false; CameraSlot::COUNT],
                control_freq: 0.0,
                norm_of_actions: recorded,
            };
            let built = build(&schema, episode, &tensors, index, recorded)?;
            compare(&schema, &built, &tensors, index, form)?;
        }
    }
    Ok(())
}

fn active(tensor: &Tensor, columns: &[u8]) -> Vec<f64> {
    let rows = tensor.f64();
    rows.chunks_exact(STATE_DIM).flat_map(|row| columns.iter().map(|&c| row[usize::from(c)])).collect()
}

fn build(
    schema: &DatasetSchema,
    about: &Value,
    tensors: &Tensors,
    index: usize,
    recorded: bool,
) -> Result<Episode, Box<dyn std::error::Error>> {
    let steps = number(about, "T") as u32;
    let mut frames: [Option<MemoryFrames>; CameraSlot::COUNT] = Default::default();
    for slot in 0..CameraSlot::COUNT {
        if about["image_mask"][slot] == 1 {
            let pixels = tensors.get(&format!("ep{index}.in.frames_{slot}"));
            let form = FrameForm {
                encoding: FrameEncoding::Raw,
                height: pixels.shape[1] as u32,
                width: pixels.shape[2] as u32,
                order: ChannelOrder::Rgb,
                flip: Flip::None,
            };
            let frames_of_slot = (0..steps as usize).map(|t| pixels.u8_row(t).to_vec()).collect();
            frames[slot] = Some(MemoryFrames { form, frames: frames_of_slot });
        }
    }
    let recording = Recording {
        states: active(tensors.get(&format!("ep{index}.in.states")), &schema.state_columns),
        actions: recorded.then(|| active(tensors.get(&format!("ep{index}.in.acts")), &schema.action_columns)),
        instructions: Instruction::only("Recorded."),
        num_steps: steps - 1,
        frames,
        ..Recording::default()
    };
    Ok(Episode::from_recording(schema, recording)?)
}

fn compare(
    schema: &DatasetSchema,
    episode: &Episode,
    tensors: &Tensors,
    index: usize,
    form: &str,
) -> Outcome {
    let columns = &schema.state_columns;
    let steps: Vec<u32> = episode.sample_steps(schema).collect();
    let ids = tensors.get(&format!("ep{index}.step_id"));
    assert_eq!(steps.len(), ids.shape[0], "every step once");
    let of_form = |name: &str| tensors.get(&format!("ep{index}.{form}.{name}"));
    // The state window is the same in both forms, and was recorded once.
    let of_any = |name: &str| {
        let both = format!("ep{index}.{form}.{name}");
        tensors.find(&both).unwrap_or_else(|| tensors.get(&format!("ep{index}.future.{name}")))
    };
    let norm = tensors.find(&format!("ep{index}.{form}.state_norm"));
    let norm = norm.unwrap_or_else(|| tensors.get(&format!("ep{index}.state_norm"))).f64();
    for (position, &step) in steps.iter().enumerate() {
        let what = format!("ep{index}.{form} step {step}");
        let sample = flatten::sample(schema, episode, step, &mut decode)?;
        for (ours, theirs, name) in [
            (&sample.state_chunk, of_any("state_chunk"), "state_chunk"),
            (&sample.action_chunk, of_form("action_chunk"), "action_chunk"),
        ] {
            let width: usize = theirs.shape[1..].iter().product();
            let expected = &theirs.f32()[position * width..][..width];
            assert_eq!(ours.len() / STATE_DIM, theirs.shape[1], "{what} {name}");
            for (row, expected) in ours.chunks_exact(STATE_DIM).zip(expected.chunks_exact(columns.len())) {
                let active: Vec<f32> = columns.iter().map(|&c| row[usize::from(c)]).collect();
                assert_eq!(active, expected, "{what} {name}");
                let filled =
                    row.iter().enumerate().filter(|(i, x)| **x != 0.0 && !columns.contains(&(*i as u8)));
                assert_eq!(filled.count(), 0, "{what} {name} fills other entries");
            }
        }
        assert_eq!(sample.state_chunk_time_mask, of_any("state_chunk_time_mask").u8_row(position), "{what}");
        assert_eq!(
            sample.action_chunk_time_mask,
            of_form("action_chunk_time_mask").u8_row(position),
            "{what}"
        );
        let masks = tensors.get(&format!("ep{index}.state_vec_mask")).f32();
        let vec_mask: Vec<f32> = sample.state_vec_mask.iter().map(|&m| f32::from(m)).collect();
        assert_eq!(vec_mask, masks[position * STATE_DIM..][..STATE_DIM], "{what}");
        let wide = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
        let whole = |name: &str| tensors.get(&format!("ep{index}.{name}")).f64()[..STATE_DIM].to_vec();
        for (name, ours, theirs) in [
            ("state_std", &sample.state_std, whole("state_std")),
            ("state_mean", &sample.state_mean, whole("state_mean")),
            ("state_norm", &sample.state_norm, norm[..STATE_DIM].to_vec()),
        ] {
            let largest = theirs.iter().fold(1.0f64, |m, x| m.max(x.abs()));
            close(&format!("{what} {name}"), &wide(ours), &theirs, 1e-6 * largest);
        }
        for (slot, frames) in sample.frames.iter().enumerate() {
            let mask = tensors.get(&format!("ep{index}.past_frames_{slot}_time_mask"));
            assert_eq!(frames.time_mask, mask.u8_row(position), "{what} camera {slot}");
            match tensors.find(&format!("ep{index}.past_frames_{slot}")) {
                Some(pixels) => assert_eq!(frames.pixels, pixels.u8_row(position), "{what} camera {slot}"),
                None => assert_eq!((frames.height, frames.width, frames.pixels.len()), (0, 0, 0), "{what}"),
            }
        }
    }
    Ok(())
}
