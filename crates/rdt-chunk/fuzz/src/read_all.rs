//! Opens bytes as a chunk and reads everything there is, by every way to read it.
//!
//! Panics where the reader breaks a promise: a chunk that verifies must deliver all its
//! samples.

use rdt_chunk::{Chunk, ChunkError, FrameDecoder};
use rdt_schema::CameraSlot;

/// Samples read of one chunk at most: enough to meet every kind, few enough to be fast.
const MOST_SAMPLES: u32 = 64;

/// Opens, reads, verifies. Errors are fine.
pub fn read_all(bytes: &[u8]) {
    let Ok(chunk) = Chunk::open(bytes) else { return };
    let _ = (chunk.datasets().is_ok(), chunk.episodes().is_ok());
    let mut decoder = FrameDecoder::new();
    let samples = chunk.header().samples;
    let results: Vec<Result<(), ChunkError>> =
        (0..samples.min(MOST_SAMPLES)).map(|slot| read_sample(&chunk, slot, &mut decoder)).collect();
    assert!(chunk.sample(samples).is_err(), "there is no sample past the last one");
    if chunk.verify().is_ok() {
        for (slot, result) in results.into_iter().enumerate() {
            if let Err(error) = result {
                panic!("the chunk verifies, and sample {slot} cannot be read: {error}");
            }
        }
    }
}

fn read_sample(chunk: &Chunk<&[u8]>, slot: u32, decoder: &mut FrameDecoder) -> Result<(), ChunkError> {
    let view = chunk.sample(slot)?;
    let sample = view.to_sample(decoder)?;
    let (mut state, mut mask) = ([0.0; 128], [0.0; 128]);
    view.write_state(&mut state)?;
    view.write_mask(&mut mask)?;
    let last = sample.state_chunk.len() - 128;
    let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits();
    assert!(state.iter().zip(&sample.state_chunk[last..]).all(same), "the state is the window's last row");
    for range in view.byte_ranges() {
        assert!(range.end as u64 <= chunk.header().file_bytes(), "a frame lies in the file");
    }
    for (camera, frames) in CameraSlot::ALL.into_iter().zip(&sample.frames) {
        let history = view.dataset().window.image_history;
        let expected = usize::from(history) * frames.height as usize * frames.width as usize * 3;
        assert_eq!(frames.pixels.len(), expected, "whole frames of camera {}", camera.name());
        assert!(view.frame(camera, history).is_none(), "no frame past the window");
    }
    Ok(())
}
