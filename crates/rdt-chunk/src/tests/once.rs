//! Promise 4: a step's row and frame are stored once a chunk.

use rdt_schema::{CameraSlot, Window};

use super::toy::{Toy, dataset, open, raw, write};
use crate::ImageCodec;
use crate::header::HEADER_LENGTH;

/// How often `part` is in `whole`.
fn count(whole: &[u8], part: &[u8]) -> usize {
    whole.windows(part.len()).filter(|window| *window == part).count()
}

#[test]
fn all_steps_of_an_episode_hold_each_row_and_frame_once() {
    let schema = dataset(Window::recorded(64, 2), [true, true, false, false]);
    let mut toy = Toy::new(&schema, 256, 256, raw(4, 4), 1);
    for (i, value) in toy.states.iter_mut().enumerate() {
        *value = 1000.0 + i as f64;
    }
    for (i, value) in toy.actions.iter_mut().enumerate() {
        *value = 5000.0 + i as f64;
    }
    let bytes = write(ImageCodec::Raw, 256, vec![schema], &[(toy.clone(), (0..256).collect())]).unwrap();
    let chunk = open(&bytes);
    let header = chunk.header();
    assert_eq!(header.frames, 256 * 2);
    assert_eq!(header.frame_bytes(), 256 * 2 * 4 * 4 * 3);
    let [frames, frame_table, sample_table, rows, _] = header.section_lengths;
    assert_eq!(rows, 256 * (3 + 2) * 4);
    for step in [0, 1, 127, 255] {
        for (values, width) in [(&toy.states, 3), (&toy.actions, 2)] {
            let row = &values[step as usize * width..][..width];
            let stored: Vec<u8> = row.iter().flat_map(|&value| (value as f32).to_le_bytes()).collect();
            assert_eq!(count(&bytes, &stored), 1);
        }
        for camera in [CameraSlot::External, CameraSlot::RightWrist] {
            assert_eq!(count(&bytes, &toy.pixels(camera, step)), 1);
        }
    }
    // Of the small things, at most 100 bytes a sample are left.
    let rest = bytes.len() as u64 - HEADER_LENGTH as u64 - frames - rows;
    assert!(frame_table + sample_table + 1000 > rest && rest < 256 * 100, "{rest} bytes");
}

#[test]
fn in_next_state_form_actions_are_the_state_rows() {
    let schema = dataset(Window::next_state(8, 1), [false; 4]);
    let toy = Toy::new(&schema, 50, 50, raw(1, 1), 1);
    let bytes = write(ImageCodec::Raw, 50, vec![schema], &[(toy, (0..50).collect())]).unwrap();
    let chunk = open(&bytes);
    assert_eq!(chunk.header().section_lengths[3], 50 * 3 * 4);
    assert_eq!(chunk.header().frames, 0);
}

#[test]
fn only_what_a_sample_shows_is_stored() {
    // Steps 10 and 30 with windows of 4 rows and 2 frames, one of them twice.
    let schema = dataset(Window::recorded(4, 2), [true, false, false, false]);
    let toy = Toy::new(&schema, 50, 50, raw(2, 2), 1);
    let bytes = write(ImageCodec::Raw, 9, vec![schema], &[(toy, vec![30, 10, 30])]).unwrap();
    let chunk = open(&bytes);
    assert_eq!(chunk.header().frames, 4);
    assert_eq!(chunk.header().section_lengths[3], 2 * 4 * (3 + 2) * 4);
    let steps: Vec<u32> = (0..3).map(|slot| chunk.sample(slot).unwrap().step()).collect();
    assert_eq!(steps, [30, 10, 30]);
    let ranges = chunk.sample(0).unwrap().byte_ranges();
    assert_eq!((ranges.len(), &ranges[0]), (1, &(HEADER_LENGTH + 24..HEADER_LENGTH + 48)));
}
