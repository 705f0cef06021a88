//! LIBERO in physical units and upright, as read back from a buffer: an error of ten in a scale,
//! either way, or a picture on its head does not pass.

use std::path::Path;

use rdt_buffer::{Buffer, ChunkId};
use rdt_chunk::FrameDecoder;
use rdt_schema::Sample;

use crate::support::{produce, root, sample_data};

/// x, y and z of the hand, and its gripper, in the unified vector.
const HAND: [usize; 3] = [30, 31, 32];
const GRIPPER: usize = 10;

/// All samples of the LIBERO sample episodes, in order, by a card with other text in one place.
fn samples(from: &str, to: &str) -> Vec<Sample> {
    let folder = tempfile::tempdir().expect("a folder");
    let text = std::fs::read_to_string(root().join("configs/datasets/libero.yaml")).expect("the card");
    assert!(text.contains(from), "{from}");
    let card = folder.path().join("card.yaml");
    std::fs::write(&card, text.replacen(from, to, 1)).expect("a card");
    let dataset = format!("libero:{}={}", card.display(), sample_data().join("libero").display());
    let at = folder.path().join("buffer");
    produce(["--fill-up", "--dataset", &dataset, "--buffer", &at.display().to_string()]).expect(0);
    read(&at)
}

fn read(at: &Path) -> Vec<Sample> {
    let buffer = Buffer::open_complete(at).expect("a buffer");
    let mut decoder = FrameDecoder::new();
    let mut samples = Vec::new();
    for id in 0..buffer.chunk_count() {
        let chunk = buffer.chunk(ChunkId::new(u32::try_from(id).expect("few"))).expect("a chunk");
        for slot in 0..chunk.header().samples {
            samples.push(chunk.sample(slot).expect("a sample").to_sample(&mut decoder).expect("a sample"));
        }
    }
    samples
}

/// Mean and standard deviation of the first action's entry 30.
fn spread(samples: &[Sample]) -> (f64, f64) {
    let values: Vec<f64> = samples.iter().map(|sample| f64::from(sample.action_chunk[HAND[0]])).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let square = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
    (mean, square.sqrt())
}

fn is_in_metres((mean, deviation): (f64, f64)) -> bool {
    mean.abs() <= 0.02 && (0.005..=0.05).contains(&deviation)
}

#[test]
fn an_action_is_in_metres_and_ten_times_more_or_less_is_noticed() {
    let scale = "- scale: 0.05";
    let shipped = spread(&samples(scale, scale));
    assert!(is_in_metres(shipped), "{shipped:?}");
    for wrong in ["- scale: 0.5", "- scale: 0.005"] {
        let spread = spread(&samples(scale, wrong));
        assert!(!is_in_metres(spread), "{wrong}: {spread:?}");
    }
}

#[test]
fn states_and_frames_are_the_files_own() {
    let samples = samples("files", "files");
    let folder = sample_data().join("libero");
    let files = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let path = files.into_iter().find(|path| path.extension().is_some_and(|e| e == "hdf5")).expect("a file");
    let file = crate::support::hdf5_files().open(path).expect("HDF5");
    for sample in &samples {
        let group = file.group(&sample.key).expect("the episode");
        let step = sample.step_id as usize;
        let numbers = |name: &str| group.dataset(name).expect(name).read_raw::<f64>().expect(name);
        let last = &sample.state_chunk[sample.state_chunk.len() - 128..];
        if step.is_multiple_of(20) {
            for (axis, &column) in HAND.iter().enumerate() {
                let found = numbers("obs/ee_pos")[step * 3 + axis];
                assert!((f64::from(last[column]) - found).abs() < 1e-6, "step {step} axis {axis}");
                assert!((-2.0..2.0).contains(&found), "metres from the base: {found}");
            }
            let fingers = numbers("obs/gripper_states");
            let open = (fingers[step * 2] - fingers[step * 2 + 1]) / 0.08;
            assert!((f64::from(last[GRIPPER]) - open).abs() < 1e-6 && (-0.1..1.1).contains(&open), "{open}");
            let told = numbers("actions")[step * 7 + 6];
            let expected = (1.0 - told) / 2.0;
            assert!((f64::from(sample.action_chunk[GRIPPER]) - expected).abs() < 1e-6, "step {step}");
        }
        if step == 0 || step == 41 {
            for (slot, name) in [(0, "obs/agentview_rgb"), (1, "obs/eye_in_hand_rgb")] {
                let pixels = group.dataset(name).expect(name).read_raw::<u8>().expect(name);
                let stored = &pixels[step * 128 * 128 * 3..][..128 * 128 * 3];
                let upright: Vec<u8> = stored.chunks_exact(128 * 3).rev().flatten().copied().collect();
                let frames = &sample.frames[slot];
                assert_eq!((frames.height, frames.width), (128, 128));
                let newest = &frames.pixels[frames.pixels.len() - 128 * 128 * 3..];
                assert!(newest == upright && newest != stored, "{name} of step {step}");
            }
        }
    }
    assert_eq!(samples.len(), 168);
}
