//! Against RDT's recorded preprocessing, and against a plain reading of Pillow's algorithm on
//! pictures of all shapes.

use std::path::PathBuf;

use proptest::prelude::*;
use safetensors::{Dtype, SafeTensors};

use crate::coefficients::{self, Coefficients};
use crate::error::ImageError;
use crate::normalise::normalised;
use crate::resize::{BACKGROUND, MOST_SIDE, Picture, Preprocessor};

fn goldens() -> PathBuf {
    match std::env::var_os("RDT_GOLDENS") {
        Some(directory) => directory.into(),
        None => concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/goldens").into(),
    }
}

fn floats(tensor: &safetensors::tensor::TensorView<'_>) -> Vec<f32> {
    assert_eq!(tensor.dtype(), Dtype::F32);
    tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

#[test]
fn golden_image_is_equal_bit_by_bit() {
    let bytes = std::fs::read(goldens().join("image.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let table = floats(&tensors.tensor("lut256").unwrap());
    let mut images = 0;
    while let Ok(input) = tensors.tensor(&format!("img{images}.in")) {
        let resized = tensors.tensor(&format!("img{images}.resized_u8")).unwrap();
        let size = resized.shape()[0];
        let mut preprocessor = Preprocessor::new(size).unwrap();
        let picture = Picture::new(input.shape()[0], input.shape()[1], input.data()).unwrap();
        // Twice: the second time with used scratch memory.
        for _ in 0..2 {
            let mut image = vec![f32::NAN; 3 * size * size];
            preprocessor.pixel(picture, &mut image);
            for (index, value) in image.iter().enumerate() {
                let (channel, place) = (index / (size * size), index % (size * size));
                let level = resized.data()[place * 3 + channel];
                assert_eq!(*value, table[usize::from(level)], "image {images} at {channel}, {place}");
            }
            let row = floats(&tensors.tensor(&format!("img{images}.pixel_row100")).unwrap());
            for (channel, row) in row.chunks_exact(size).enumerate() {
                assert_eq!(image[(channel * size + 100) * size..][..size], *row);
            }
        }
        images += 1;
    }
    assert!(images > 0, "no images in {}", goldens().display());
}

#[test]
fn golden_background_is_equal() {
    let text = std::fs::read_to_string(goldens().join("image.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let ours = Preprocessor::new(8).unwrap().background_value();
    assert_eq!(f64::from(BACKGROUND), json["background_colour"].as_f64().unwrap());
    for image in json["images"].as_array().unwrap() {
        assert_eq!(ours, image["background_value"].as_f64().unwrap() as f32);
    }
}

#[test]
fn every_level_is_normalised_as_numpy_does() {
    for level in 0..=255u8 {
        let rescaled = (f64::from(level) * (1.0 / 255.0)) as f32;
        assert_eq!(normalised(level), (rescaled - 0.5) / 0.5, "{level}");
    }
}

/// The algorithm as one would write it down: the padding made, one value at a time.
fn plain(picture: &Picture<'_>, size: usize) -> Vec<f32> {
    let (height, width, pixels) = (picture.height(), picture.width(), picture.pixels());
    let side = height.max(width);
    let (top, left) = ((side - height) / 2, (side - width) / 2);
    let mut padded = vec![BACKGROUND; side * side * 3];
    for y in 0..height {
        for x in 0..width * 3 {
            padded[((top + y) * side + left) * 3 + x] = pixels[y * width * 3 + x];
        }
    }
    let coefficients = Coefficients::new(side, size);
    let resample = |source: &dyn Fn(usize) -> u8| -> Vec<u8> {
        let sum = |taps: coefficients::Taps<'_>| {
            let weights = taps.weights.as_flattened();
            let products =
                taps.pixels.zip(weights).map(|(at, weight)| i64::from(*weight) * i64::from(source(at)));
            let half = 1i64 << (coefficients::PRECISION_BITS - 1);
            ((half + products.sum::<i64>()) >> coefficients::PRECISION_BITS).clamp(0, 255) as u8
        };
        coefficients.iter().map(sum).collect()
    };
    let mut image = vec![0.0; 3 * size * size];
    for channel in 0..3 {
        let rows: Vec<Vec<u8>> =
            (0..side).map(|y| resample(&|x| padded[(y * side + x) * 3 + channel])).collect();
        for x in 0..size {
            for (y, level) in resample(&|y| rows[y][x]).into_iter().enumerate() {
                image[(channel * size + y) * size + x] = normalised(level);
            }
        }
    }
    image
}

fn noise(seed: u64, at: u64) -> u8 {
    let mixed = (seed ^ at.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 37) as u8
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_shape_equals_the_plain_algorithm(
        height in 1usize..40, width in 1usize..40, size in 1usize..50, seed: u64, harsh: bool,
    ) {
        let pixels: Vec<u8> = (0..height * width * 3)
            .map(|at| {
                let value = noise(seed, at as u64);
                // Black and white only: overshoots on both ends.
                if harsh { if value & 1 == 0 { 0 } else { 255 } } else { value }
            })
            .collect();
        let picture = Picture::new(height, width, &pixels).unwrap();
        let mut image = vec![f32::NAN; 3 * size * size];
        let mut preprocessor = Preprocessor::new(size).unwrap();
        preprocessor.pixel(picture, &mut image);
        prop_assert_eq!(image, plain(&picture, size));
    }
}

#[test]
fn wrong_sizes_are_named() {
    assert!(matches!(
        Picture::new(2, 3, &[0; 17]),
        Err(ImageError::Image { height: 2, width: 3, found: 17, expected: 18 })
    ));
    assert!(matches!(Picture::new(0, 3, &[]), Err(ImageError::ImageSide { side: 0, .. })));
    assert!(matches!(Picture::new(1, MOST_SIDE + 1, &[]), Err(ImageError::ImageSide { .. })));
    assert!(matches!(Preprocessor::new(0), Err(ImageError::ImageSide { .. })));
}
