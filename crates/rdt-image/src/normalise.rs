//! Levels to the floating-point values that the image encoder takes.

use pulp::{Arch, Simd, WithSimd};

/// 1 / 255 to 16 bits, so that its product with a byte is exact, and the rest of it.
pub const NORMALISE_FACTORS: (f32, f32) = {
    let upper = f32::from_bits((1.0f32 / 255.0).to_bits() & 0xffff_ff00);
    (upper, (1.0 / 255.0 - upper as f64) as f32)
};

/// RDT's `rescale` and `normalize` of one level: `value * (1 / 255)` in f64, rounded to f32, then
/// `(x - 0.5) / 0.5` in f32.
///
/// The product is made of two f32 parts instead, which gives the same 256 values (a test holds
/// each) and needs neither f64 nor a table that vectors would have to gather from.
#[inline(always)]
pub fn normalised(level: u8) -> f32 {
    const UPPER: f32 = NORMALISE_FACTORS.0;
    const LOWER: f32 = NORMALISE_FACTORS.1;
    let value = f32::from(level);
    (value * UPPER + value * LOWER - 0.5) * 2.0
}

/// Turns upright RGB, three bytes a pixel, into three planes of values, one after the other.
///
/// # Panics
/// If `planes` has not one value a byte, or `rgb` holds a part of a pixel.
pub fn normalise(rgb: &[u8], planes: &mut [f32]) {
    assert!(rgb.len() == planes.len() && rgb.len().is_multiple_of(3), "a value for each byte of RGB");
    Arch::new().dispatch(Normalise { rgb, planes });
}

struct Normalise<'a> {
    rgb: &'a [u8],
    planes: &'a mut [f32],
}

/// Pixels at once.
const LANES: usize = 64;

impl WithSimd for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let pixels = self.rgb.len() / 3;
        let (red, rest) = self.planes.split_at_mut(pixels);
        let (green, blue) = rest.split_at_mut(pixels);
        let planes = red.chunks_mut(LANES).zip(green.chunks_mut(LANES)).zip(blue.chunks_mut(LANES));
        for (rgb, ((red, green), blue)) in self.rgb.chunks(LANES * 3).zip(planes) {
            // Four bytes a pixel first: words are taken apart by whole vectors.
            let mut words = [0u32; LANES];
            for (rgb, word) in rgb.as_chunks::<3>().0.iter().zip(&mut words) {
                *word = u32::from_le_bytes([rgb[0], rgb[1], rgb[2], 0]);
            }
            for (plane, shift) in [(red, 0), (green, 8), (blue, 16)] {
                for (value, word) in plane.iter_mut().zip(&words) {
                    *value = normalised((word >> shift) as u8);
                }
            }
        }
    }
}
