//! For any length, window, alignment, trim and tail: every step exactly once, and windows as a
//! plain reading of the definition gives them.

use proptest::prelude::*;
use rdt_episode::{Episode, MemoryFrames, Recording, flatten};
use rdt_schema::{
    ActionSource, CameraSlot, ChannelOrder, DatasetSchema, Flip, FrameEncoding, FrameForm, Instruction,
    STATE_DIM, Tail, Window,
};

use crate::support::decode;

/// State row t holds t + 1, action row t holds -(t + 1), frame t one pixel of t.
fn episode(schema: &DatasetSchema, steps: u32, first_step: u32) -> Episode {
    let recorded = schema.window.action_source == ActionSource::Recorded;
    let form = FrameForm {
        encoding: FrameEncoding::Raw,
        height: 1,
        width: 1,
        order: ChannelOrder::Rgb,
        flip: Flip::None,
    };
    let frames = (0..steps).map(|t| vec![t as u8, (t >> 8) as u8, 1]).collect();
    let recording = Recording {
        states: (0..steps).map(|t| f64::from(t + 1)).collect(),
        actions: recorded.then(|| (0..steps).map(|t| -f64::from(t + 1)).collect()),
        first_step,
        num_steps: steps,
        instructions: Instruction::only("Move."),
        frames: [Some(MemoryFrames { form, frames }), None, None, None],
        ..Recording::default()
    };
    Episode::from_recording(schema, recording).expect("a valid recording")
}

fn schema(window: Window) -> DatasetSchema {
    DatasetSchema {
        name: "made".into(),
        state_columns: vec![7],
        action_columns: vec![7],
        window,
        cameras: [true, false, false, false],
        control_freq: 0.0,
        norm_of_actions: false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_step_once_and_windows_by_definition(
        steps in 1u32..300,
        rows in 1u16..80,
        history in 1u8..5,
        first in 0u32..300,
        recorded: bool,
        shift in -3i16..4,
        drop_tail: bool,
    ) {
        let first = first % steps;
        let mut window = if recorded { Window::recorded(rows, history) } else { Window::next_state(rows, history) };
        if recorded {
            window.action_shift = shift;
        }
        if drop_tail {
            window.tail = Tail::Drop;
        }
        let shift = i64::from(window.action_shift);
        let schema = schema(window);
        let episode = episode(&schema, steps, first);
        let last = i64::from(steps) - 1;
        let full = |t: u32| i64::from(t) + shift + i64::from(rows) - 1 <= last;
        let expected: Vec<u32> = (first..steps).filter(|&t| !drop_tail || full(t)).collect();
        let found: Vec<u32> = episode.sample_steps(&schema).collect();
        prop_assert_eq!(&found, &expected);

        // A few steps are looked at closely: the first, the last, and some between.
        for &t in found.iter().step_by((found.len() / 6).max(1)).chain(found.last()) {
            let sample = flatten::sample(&schema, &episode, t, &mut decode).expect("a sample");
            for j in 0..i64::from(rows) {
                let at = |chunk: &[f32]| chunk[j as usize * STATE_DIM + 7];
                let state = i64::from(t) - i64::from(rows) + 1 + j;
                prop_assert_eq!(at(&sample.state_chunk), state.max(0) as f32 + 1.0);
                prop_assert_eq!(sample.state_chunk_time_mask[j as usize] == 1, state >= i64::from(first));
                let action = i64::from(t) + shift + j;
                let value = action.clamp(0, last) as f32 + 1.0;
                prop_assert_eq!(at(&sample.action_chunk), if recorded { -value } else { value });
                prop_assert_eq!(sample.action_chunk_time_mask[j as usize] == 1, (0..=last).contains(&action));
            }
            let frames = &sample.frames[CameraSlot::External.index()];
            for j in 0..i64::from(history) {
                let shown = i64::from(t) - i64::from(history) + 1 + j;
                let pixel = &frames.pixels[j as usize * 3..][..3];
                prop_assert_eq!(u32::from(pixel[0]) | (u32::from(pixel[1]) << 8), shown.max(0) as u32);
                prop_assert_eq!(frames.time_mask[j as usize] == 1, shown >= i64::from(first));
            }
            prop_assert_eq!(sample.step_id, t);
        }
    }

    #[test]
    fn statistics_do_not_see_the_trim(steps in 2u32..200, first in 0u32..200) {
        let schema = schema(Window::recorded(4, 2));
        let whole = episode(&schema, steps, 0);
        let trimmed = episode(&schema, steps, first % steps);
        prop_assert_eq!(whole.statistics(), trimmed.statistics());
        prop_assert!((whole.statistics().mean[0] - f64::from(steps + 1) / 2.0).abs() < 1e-9);
    }
}
