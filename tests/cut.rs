//! `before: cut`: still steps in front of an episode are removed, and steps are counted from
//! there. Held against indices computed here from the rows that the test wrote.

use rdt_buffer::{Buffer, ChunkId};
use rdt_chunk::FrameDecoder;

use crate::made::Place;
use crate::support::{produce, root};

const STEPS: usize = 150;
/// The first row that differs by more than the card's threshold.
const MOVED: usize = 13;
/// Samples start one row before it.
const CUT: usize = MOVED - 1;

fn value(row: usize, column: usize) -> f64 {
    // Before the movement: a tremor below the threshold of 0.01.
    let moved = if row < MOVED { 0.004 * (row % 2) as f64 } else { 0.02 * (row - MOVED + 1) as f64 };
    column as f64 * 0.1 + moved
}

/// The shipped card with its "buffer form" lines in force, each in place of the line of its key.
fn buffer_form() -> String {
    let text = std::fs::read_to_string(root().join("configs/datasets/agilex.yaml")).expect("the card");
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match line.trim_start().strip_prefix("# ").filter(|setting| setting.contains("# buffer form")) {
            Some(setting) => {
                let key = format!("{}:", setting.split(':').next().expect("a key"));
                let before =
                    lines.iter().rposition(|line| line.trim_start().starts_with(&key)).expect("its line");
                let indent = line.len() - line.trim_start().len();
                lines[before] = format!("{}{setting}", &line[..indent]);
            }
            None => lines.push(line.to_owned()),
        }
    }
    lines.join("\n")
}

#[test]
fn steps_frames_and_counts_start_at_the_cut() {
    let place = Place::new();
    std::fs::write(place.path("card.yaml"), buffer_form()).expect("a card");
    let file = crate::support::hdf5_files().create(place.path("data/episode_0.hdf5")).expect("a file");
    let rows =
        |shift: usize| -> Vec<f64> { (0..STEPS * 14).map(|i| value(i / 14 + shift, i % 14)).collect() };
    let pixels: Vec<u8> = (0..STEPS).flat_map(|row| vec![row as u8; 4 * 4 * 3]).collect();
    let new = |name: &str| file.new_dataset::<f64>().shape((STEPS, 14)).create(name).expect(name);
    file.create_group("observations/images").expect("a group");
    new("observations/qpos").write_raw(&rows(0)).expect("rows");
    new("action").write_raw(&rows(1)).expect("rows");
    let images = file.new_dataset::<u8>().shape((STEPS, 4, 4, 3));
    images.create("observations/images/cam_high").expect("frames").write_raw(&pixels).expect("frames");
    let text: hdf5::types::VarLenUnicode = "fold the towel".parse().expect("a text");
    let said = file.new_dataset::<hdf5::types::VarLenUnicode>().shape(1).create("instruction").expect("it");
    said.write_raw(&[text]).expect("it");
    // An open array keeps the file open.
    drop((said, images, file));

    let dataset = format!("agilex:{}={}", place.path("card.yaml").display(), place.path("data").display());
    let at = place.path("buffer");
    produce(["--fill-up", "--dataset", &dataset, "--buffer", &at.display().to_string()]).expect(0);
    let report = place.buf("stat", "buffer", &["--json"]).expect(0).json();
    assert_eq!(report["samples"].as_u64(), Some((STEPS - CUT) as u64));
    assert_eq!(report["datasets"][0]["coverage"].as_f64(), Some(1.0));

    let buffer = Buffer::open_complete(&at).expect("a buffer");
    let chunk = buffer.chunk(ChunkId::new(0)).expect("a chunk");
    let mut decoder = FrameDecoder::new();
    for slot in 0..chunk.header().samples {
        let sample = chunk.sample(slot).expect("a sample").to_sample(&mut decoder).expect("a sample");
        let step = slot as usize;
        assert_eq!(sample.step_id, slot, "steps are counted from the cut");
        assert_eq!(sample.num_steps as usize, STEPS - CUT - 1, "the index of the last step");
        assert_eq!(sample.instructions[0].text, "Fold the towel.");
        // Joint 0 of the left arm is entry 50 of the vector. Row k of the state window is step
        // - 63 + k, the first kept row where that is before the cut.
        let close = |found: f32, expected: f64| (f64::from(found) - expected).abs() < 1e-6;
        for k in 0..64 {
            let kept = (step + k).saturating_sub(63);
            assert!(close(sample.state_chunk[k * 128 + 50], value(CUT + kept, 0)), "step {step} state {k}");
            assert_eq!(sample.state_chunk_time_mask[k] == 1, step + k >= 63, "step {step} state {k}");
        }
        let frames = &sample.frames[0];
        let one = frames.pixels.len() / 2;
        assert_eq!(usize::from(frames.pixels[one]), CUT + step, "the newest frame");
        assert_eq!(usize::from(frames.pixels[0]), CUT + step.saturating_sub(1), "the frame before");
        assert_eq!(frames.time_mask, [u8::from(step > 0), 1], "step {step}");
    }
    place.buf("verify", "buffer", &["--against-source"]).expect(0);
}
