//! One step of an episode as RDT's sample, straight from the source.
//!
//! The window arithmetic is [`rdt_schema::window`]'s; this module only spreads rows over the
//! vector and reads frames. It is what stored samples are held against.

use rdt_schema::window::Span;
use rdt_schema::{CameraSlot, DatasetSchema, FrameForm, Frames, STATE_DIM, Sample, state_vec};

use crate::{Episode, EpisodeError};

/// Turns the source bytes of one frame into upright RGB pixels, `height * width * 3` of them,
/// replacing what its last argument holds.
pub type Decode<'a, E> = dyn FnMut(&FrameForm, &[u8], &mut Vec<u8>) -> Result<(), E> + 'a;

/// The sample of step `step`. Vectors are 128 wide; frames are upright RGB.
///
/// # Errors
/// `step` is no step of the episode, a frame cannot be read, or `decode` fails.
pub fn sample<E: From<EpisodeError>>(
    schema: &DatasetSchema,
    episode: &Episode,
    step: u32,
    decode: &mut Decode<'_, E>,
) -> Result<Sample, E> {
    let info = episode.info();
    if step >= info.steps {
        return Err(E::from(EpisodeError::content(
            std::path::Path::new(&info.origin.source),
            format!("step {step}"),
            format!("{} steps", info.steps),
            "a step of the episode",
            "ask for a smaller step",
        )));
    }
    let mut frames: [Frames; CameraSlot::COUNT] = Default::default();
    for slot in CameraSlot::ALL {
        frames[slot.index()] = camera_frames(schema, episode, step, slot, decode)?;
    }
    let window = &schema.window;
    let wide = |columns: &[u8], values: &[f32]| {
        let mut row = vec![0.0; STATE_DIM];
        state_vec::scatter(columns, values, &mut row);
        row
    };
    let mut state_vec_mask = vec![0; STATE_DIM];
    for &column in &schema.state_columns {
        state_vec_mask[usize::from(column)] = 1;
    }
    let mask = |count: u16, valid: &dyn Fn(u32) -> bool| -> Vec<u8> {
        (0..u32::from(count)).map(|j| u8::from(valid(j))).collect()
    };
    Ok(Sample {
        dataset_name: schema.name.clone(),
        source: info.origin.source.clone(),
        key: info.origin.key.clone(),
        num_steps: info.num_steps,
        step_id: step,
        instructions: info.instructions.clone(),
        control_freq: schema.control_freq,
        state_chunk: state_chunk(schema, episode, step),
        state_chunk_time_mask: mask(window.state_rows, &|j| window.state_mask(step, info.first_step, j)),
        action_chunk: action_chunk(schema, episode, step),
        action_chunk_time_mask: mask(window.action_rows, &|j| window.action_mask(step, info.actions, j)),
        state_vec_mask,
        frames,
        state_std: wide(&schema.state_columns, &info.state_std),
        state_mean: wide(&schema.state_columns, &info.state_mean),
        state_norm: wide(schema.norm_columns(), &info.state_norm),
    })
}

/// The state window of a step, `(state_rows, 128)`.
pub fn state_chunk(schema: &DatasetSchema, episode: &Episode, step: u32) -> Vec<f32> {
    let span = schema.window.state_span(step, episode.info().states);
    let columns = &schema.state_columns;
    let mut chunk = vec![0.0; usize::from(schema.window.state_rows) * STATE_DIM];
    for (j, out) in (0u32..).zip(chunk.chunks_exact_mut(STATE_DIM)) {
        let row = row(episode.states(), columns.len(), span.row(j));
        spread(columns, row, out);
    }
    chunk
}

/// The action window of a step, `(action_rows, 128)`, interpolated where the schema says so.
pub fn action_chunk(schema: &DatasetSchema, episode: &Episode, step: u32) -> Vec<f32> {
    let window = &schema.window;
    let span: Span = window.action_span(step, episode.info().actions);
    let columns = &schema.action_columns;
    let mut chunk = vec![0.0; usize::from(window.action_rows) * STATE_DIM];
    for (j, out) in (0u32..).zip(chunk.chunks_exact_mut(STATE_DIM)) {
        let (lower, upper, weight) = window.resample_position(j);
        let below = row(episode.actions(), columns.len(), span.row(lower));
        let above = row(episode.actions(), columns.len(), span.row(upper));
        if weight == 0.0 {
            spread(columns, below, out);
            continue;
        }
        for ((&column, &low), &high) in columns.iter().zip(below).zip(above) {
            // From f32 rows, as chunks store them, so that both ways give the same bits.
            let (low, high) = (f64::from(low as f32), f64::from(high as f32));
            out[usize::from(column)] = (low + (high - low) * weight) as f32;
        }
    }
    chunk
}

fn row(rows: &[f64], width: usize, index: u32) -> &[f64] {
    let start = index as usize * width;
    &rows[start..start + width]
}

fn spread(columns: &[u8], row: &[f64], out: &mut [f32]) {
    for (&column, &value) in columns.iter().zip(row) {
        out[usize::from(column)] = value as f32;
    }
}

fn camera_frames<E: From<EpisodeError>>(
    schema: &DatasetSchema,
    episode: &Episode,
    step: u32,
    slot: CameraSlot,
    decode: &mut Decode<'_, E>,
) -> Result<Frames, E> {
    let (info, window) = (episode.info(), &schema.window);
    let history = u32::from(window.image_history);
    // A missing camera keeps its mask (RDT); its size of zero tells it.
    let time_mask = (0..history).map(|j| u8::from(window.frame_mask(step, info.first_step, j))).collect();
    let mut frames = Frames { time_mask, ..Frames::default() };
    if !info.cameras[slot.index()] {
        return Ok(frames);
    }
    let span = window.frame_span(step, info.steps);
    let (mut bytes, mut pixels, mut last) = (Vec::new(), Vec::new(), None);
    for j in 0..history {
        let index = span.row(j);
        if last != Some(index) {
            let form = episode.frame(slot, index, &mut bytes)?;
            decode(&form, &bytes, &mut pixels)?;
            (frames.height, frames.width) = (form.height, form.width);
            last = Some(index);
        }
        frames.pixels.extend_from_slice(&pixels);
    }
    Ok(frames)
}
