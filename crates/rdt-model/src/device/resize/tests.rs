//! Against the CPU path, which is equal to RDT's bit by bit.

use std::error::Error;
use std::path::PathBuf;

use rdt_image::{Picture, Preprocessor};

use super::*;

/// Share of values that may be off, by one level: what was promised.
const MOST_OFF: f64 = 0.0002;

/// Values that are off, after all of them were found within one level.
fn off(frame: &[u8], (height, width): (usize, usize), side: usize) -> Result<usize, Box<dyn Error>> {
    let resizer = DeviceResizer::new(side as i64, Device::Cpu);
    let frames = Tensor::from_slice(frame).view([1, height as i64, width as i64, 3]);
    let ours = Vec::<f32>::try_from(resizer.prepare(&frames)?.flatten(0, -1))?;
    let mut reference = vec![0.0; 3 * side * side];
    Preprocessor::new(side)?.pixel(Picture::new(height, width, frame)?, &mut reference);
    let level = |value: f32| ((value / 2.0 + 0.5) * 255.0).round() as i32;
    let mut off = 0;
    for (place, (&ours, &theirs)) in ours.iter().zip(&reference).enumerate() {
        let by = (level(ours) - level(theirs)).abs();
        assert!(by <= 1, "{height} x {width} to {side}: off by {by} levels at {place}");
        // Equal levels are equal values.
        assert!(by == 1 || ours == theirs, "{ours} {theirs}");
        off += by as usize;
    }
    Ok(off)
}

#[test]
fn golden_frames_are_within_a_level_of_rdts() -> Result<(), Box<dyn Error>> {
    let goldens = std::env::var_os("RDT_GOLDENS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens")),
        PathBuf::from,
    );
    let bytes = std::fs::read(goldens.join("image.safetensors"))?;
    let tensors = safetensors::SafeTensors::deserialize(&bytes)?;
    let (mut values, mut all_off, mut images) = (0, 0, 0);
    while let Ok(input) = tensors.tensor(&format!("img{images}.in")) {
        let side = tensors.tensor(&format!("img{images}.resized_u8"))?.shape()[0];
        all_off += off(input.data(), (input.shape()[0], input.shape()[1]), side)?;
        values += 3 * side * side;
        images += 1;
    }
    assert!(images > 0, "no images in {}", goldens.display());
    assert!(all_off as f64 <= values as f64 * MOST_OFF, "{all_off} of {values} values are off");
    Ok(())
}

#[test]
fn noise_of_any_shape_is_within_a_level() -> Result<(), Box<dyn Error>> {
    let (mut values, mut all_off) = (0, 0);
    for (height, width, side) in
        [(128, 128, 384), (96, 160, 384), (200, 90, 64), (7, 5, 48), (64, 64, 64), (40, 64, 64), (1, 9, 16)]
    {
        let frame: Vec<u8> = (0..height * width * 3)
            .map(|place| ((place as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8)
            .collect();
        all_off += off(&frame, (height, width), side)?;
        values += 3 * side * side;
    }
    assert!(all_off as f64 <= values as f64 * MOST_OFF, "{all_off} of {values} values are off");
    Ok(())
}

#[test]
fn frames_without_pixels_are_refused() {
    let resizer = DeviceResizer::new(8, Device::Cpu);
    assert!(resizer.prepare(&Tensor::zeros([1, 0, 4, 3], (Kind::Uint8, Device::Cpu))).is_err());
}
