//! Round trips.

use proptest::prelude::*;
use rdt_schema::{
    ActionSource, CameraSlot, ChannelOrder, DatasetSchema, Flip, FrameEncoding, STATE_DIM, Sample, Tail,
    Window,
};

use super::toy::{Toy, dataset, open, raw, write};
use crate::{FrameDecoder, ImageCodec};

/// What a sample must be, by the window alone.
fn expected_rows(
    columns: &[u8],
    values: &[f64],
    rows: u32,
    place: impl Fn(u32) -> (u32, u32, f64),
) -> Vec<f32> {
    let mut out = vec![0.0; rows as usize * STATE_DIM];
    for j in 0..rows {
        let (lower, upper, weight) = place(j);
        for (i, &column) in columns.iter().enumerate() {
            let value = |row: u32| f64::from(values[row as usize * columns.len() + i] as f32);
            let between = value(lower) + weight * (value(upper) - value(lower));
            out[j as usize * STATE_DIM + usize::from(column)] = between as f32;
        }
    }
    out
}

fn check_sample(schema: &DatasetSchema, toy: &Toy, step: u32, codec: ImageCodec, sample: &Sample) {
    let (window, info) = (&schema.window, &toy.info);
    let states = window.state_span(step, info.states);
    let rows = u32::from(window.state_rows);
    let want =
        expected_rows(&schema.state_columns, &toy.states, rows, |j| (states.row(j), states.row(j), 0.0));
    assert_eq!(sample.state_chunk, want);
    let mask: Vec<u8> = (0..rows).map(|j| window.state_mask(step, info.first_step, j).into()).collect();
    assert_eq!(sample.state_chunk_time_mask, mask);

    let actions = window.action_span(step, info.actions);
    let rows = u32::from(window.action_rows);
    let want = expected_rows(&schema.action_columns, &toy.actions, rows, |j| {
        let (lower, upper, weight) = window.resample_position(j);
        (actions.row(lower), actions.row(upper), weight)
    });
    assert_eq!(sample.action_chunk, want);
    let mask: Vec<u8> = (0..rows).map(|j| window.action_mask(step, info.actions, j).into()).collect();
    assert_eq!(sample.action_chunk_time_mask, mask);

    assert_eq!((sample.step_id, &sample.source, &sample.key), (step, &info.origin.source, &info.origin.key));
    assert_eq!((&sample.instructions, sample.num_steps), (&info.instructions, info.num_steps));
    let spread = |columns: &[u8], values: &[f32]| {
        let mut out = vec![0.0; STATE_DIM];
        columns.iter().zip(values).for_each(|(&c, &v)| out[usize::from(c)] = v);
        out
    };
    assert_eq!(sample.state_std, spread(&schema.state_columns, &info.state_std));
    assert_eq!(sample.state_mean, spread(&schema.state_columns, &info.state_mean));
    assert_eq!(sample.state_norm, spread(schema.norm_columns(), &info.state_norm));
    let filled: Vec<u8> = (0..STATE_DIM as u8).map(|c| schema.state_columns.contains(&c).into()).collect();
    assert_eq!(sample.state_vec_mask, filled);

    let span = window.frame_span(step, info.steps);
    let is_lossy = toy.form.encoding == FrameEncoding::Jpeg || matches!(codec, ImageCodec::Jpeg { .. });
    for camera in CameraSlot::ALL {
        let frames = &sample.frames[camera.index()];
        let history = u32::from(window.image_history);
        let mask: Vec<u8> =
            (0..history).map(|j| window.frame_mask(step, info.first_step, j).into()).collect();
        assert_eq!(frames.time_mask, mask);
        if !info.cameras[camera.index()] {
            assert_eq!((frames.height, frames.width, frames.pixels.len()), (0, 0, 0));
            continue;
        }
        assert_eq!((frames.height, frames.width), (toy.form.height, toy.form.width));
        let want: Vec<u8> = (0..history).flat_map(|j| frame(toy, camera, span.row(j), codec)).collect();
        if is_lossy && matches!(codec, ImageCodec::Jpeg { .. }) {
            assert_eq!(frames.pixels.len(), want.len());
        } else {
            assert_eq!(frames.pixels, want, "camera {}", camera.name());
        }
    }
}

/// The pixels that a frame must decode to.
fn frame(toy: &Toy, camera: CameraSlot, index: u32, _: ImageCodec) -> Vec<u8> {
    if toy.form.encoding == FrameEncoding::Raw {
        return toy.pixels(camera, index);
    }
    // A JPEG decodes to what libjpeg makes of it, then order and flip apply.
    let file = toy.source(camera, index);
    let image = turbojpeg::decompress(&file, turbojpeg::PixelFormat::RGB).unwrap();
    let mut pixels = image.pixels;
    if toy.form.order == ChannelOrder::Bgr {
        pixels.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
    }
    crate::codec::pixels::turn_upright(&mut pixels, toy.form.width, toy.form.flip);
    pixels
}

fn windows() -> impl Strategy<Value = Window> {
    let rows = (1u16..6, 1u16..8, 1u16..6, any::<bool>());
    (rows, 1u8..4, -2i16..4).prop_map(
        |((state_rows, action_rows, source, is_next_state), image_history, shift)| Window {
            state_rows,
            action_rows,
            action_source_rows: source,
            action_source: if is_next_state { ActionSource::NextState } else { ActionSource::Recorded },
            action_shift: if is_next_state { 1 } else { shift },
            image_history,
            tail: Tail::Pad,
        },
    )
}

fn codecs() -> impl Strategy<Value = ImageCodec> {
    prop::sample::select(vec![
        ImageCodec::Auto,
        ImageCodec::Raw,
        ImageCodec::Zstd,
        ImageCodec::ZstdRef,
        ImageCodec::Lz4,
        ImageCodec::Jpeg { quality: 80 },
    ])
}

fn forms() -> impl Strategy<Value = rdt_schema::FrameForm> {
    let flips = prop::sample::select(vec![Flip::None, Flip::Vertical, Flip::Horizontal, Flip::Both]);
    (1u32..20, 1u32..20, any::<bool>(), any::<bool>(), flips).prop_map(
        |(height, width, is_jpeg, is_bgr, flip)| {
            let mut form = raw(height, width);
            form.encoding = if is_jpeg { FrameEncoding::Jpeg } else { FrameEncoding::Raw };
            form.order = if is_bgr { ChannelOrder::Bgr } else { ChannelOrder::Rgb };
            form.flip = flip;
            form
        },
    )
}

fn episodes() -> impl Strategy<Value = (u32, u32, u32, rdt_schema::FrameForm, u64, Vec<prop::sample::Index>)>
{
    let steps = prop::collection::vec(any::<prop::sample::Index>(), 1..20);
    (1u32..40, 1u32..45, 0u32..5, forms(), 0u64..1 << 20, steps)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_episodes_come_back_as_their_windows_say(
        first_window in windows(),
        second_window in windows(),
        cameras in any::<[bool; 4]>(),
        codec in codecs(),
        made in prop::collection::vec((0u16..2, episodes()), 1..4),
    ) {
        let schemas = vec![dataset(first_window, cameras), dataset(second_window, [true, false, true, false])];
        let mut episodes = Vec::new();
        for (number, (which, (steps, actions, first_step, form, seed, picks))) in made.into_iter().enumerate() {
            let mut toy = Toy::new(&schemas[usize::from(which)], steps, actions, form, seed << 2 | number as u64);
            toy.dataset = which;
            toy.info.first_step = first_step.min(steps - 1);
            let kept = steps - toy.info.first_step;
            let picks = picks.iter().map(|pick| toy.info.first_step + pick.index(kept as usize) as u32).collect();
            episodes.push((toy, picks));
        }
        let bytes = write(codec, 60, schemas.clone(), &episodes).unwrap();
        let chunk = open(&bytes);
        chunk.verify().unwrap();
        prop_assert_eq!(chunk.datasets().unwrap(), schemas.as_slice());
        let mut decoder = FrameDecoder::new();
        let mut slot = 0;
        for (number, (toy, steps)) in episodes.iter().enumerate() {
            let stored = &chunk.episodes().unwrap()[number];
            prop_assert_eq!((stored.dataset, &stored.info), (toy.dataset, &toy.info));
            for &step in steps {
                let view = chunk.sample(slot).unwrap();
                prop_assert_eq!((view.episode_index() as usize, view.step()), (number, step));
                let sample = view.to_sample(&mut decoder).unwrap();
                check_sample(&schemas[usize::from(toy.dataset)], toy, step, codec, &sample);
                let mut state = [0.0; STATE_DIM];
                view.write_state(&mut state).unwrap();
                prop_assert_eq!(&state[..], &sample.state_chunk[sample.state_chunk.len() - STATE_DIM..]);
                slot += 1;
            }
        }
        prop_assert_eq!(chunk.header().samples, slot);
        prop_assert!(chunk.sample(slot).is_err());
    }
}

#[test]
fn frames_that_lean_on_others_decode_in_any_order() {
    let schema = dataset(Window::recorded(2, 2), [true, true, false, false]);
    let toy = Toy::new(&schema, 40, 40, raw(16, 16), 1);
    let steps: Vec<u32> = (0..40).collect();
    let bytes = write(ImageCodec::ZstdRef, 40, vec![schema.clone()], &[(toy.clone(), steps)]).unwrap();
    let chunk = open(&bytes);
    let codecs: Vec<_> = (0..40)
        .map(|slot| chunk.sample(slot).unwrap().frame(CameraSlot::External, 1).unwrap().codec)
        .collect();
    assert_eq!(codecs.iter().filter(|&&codec| codec == crate::FrameCodec::Zstd).count(), 5);
    assert_eq!(codecs.iter().filter(|&&codec| codec == crate::FrameCodec::ZstdRef).count(), 35);
    let mut decoder = FrameDecoder::new();
    for slot in (0..40).map(|i| i * 17 % 40) {
        let sample = chunk.sample(slot).unwrap().to_sample(&mut decoder).unwrap();
        check_sample(&schema, &toy, slot, ImageCodec::ZstdRef, &sample);
    }
}

#[test]
fn a_decoder_does_not_mix_up_two_chunks() {
    let schema = dataset(Window::recorded(2, 1), [true, false, false, false]);
    let chunks: Vec<Vec<u8>> = (0..2)
        .map(|seed| {
            let toy = Toy::new(&schema, 3, 3, raw(16, 16), seed);
            write(ImageCodec::ZstdRef, 3, vec![schema.clone()], &[(toy, vec![0, 1, 2])]).unwrap()
        })
        .collect();
    let opened = [open(&chunks[0]), open(&chunks[1])];
    let mut decoder = FrameDecoder::new();
    let mut pixels = Vec::new();
    for seed in [0, 1, 0, 1] {
        let toy = Toy::new(&schema, 3, 3, raw(16, 16), seed);
        let sample = opened[seed as usize].sample(2).unwrap();
        decoder.decode(&sample.frame(CameraSlot::External, 0).unwrap(), &mut pixels).unwrap();
        assert_eq!(pixels, toy.pixels(CameraSlot::External, 2));
    }
}

#[test]
fn room_of_another_size_is_an_error() {
    let bytes = super::toy::small(ImageCodec::Raw);
    let chunk = open(&bytes);
    let sample = chunk.sample(0).unwrap();
    let (mut rows, mut mask) = (vec![0.0; 3 * STATE_DIM], vec![0; 3]);
    sample.write_state_chunk(&mut rows, &mut mask).unwrap();
    assert!(sample.write_state_chunk(&mut rows[1..], &mut mask).is_err());
    assert!(sample.write_action_chunk(&mut rows, &mut mask[1..]).is_err());
    assert!(sample.write_state(&mut rows).is_err());
    assert!(sample.write_mean(&mut rows[..127]).is_err());
    let frame = sample.frame(CameraSlot::External, 0).unwrap();
    assert!(FrameDecoder::new().decode_into(&frame, &mut [0; 191]).is_err());
    FrameDecoder::new().decode_into(&frame, &mut [0; 192]).unwrap();
}
