//! The two passes of a resize and the conversion to floating point, on whole vectors.
//!
//! Pixels travel as four bytes (red, green, blue, unused), so that every loop below is over
//! plain lanes and the compiler turns it into vector instructions; [`pulp`] compiles the code
//! once for each instruction set and picks one at run time.

use super::coefficients::{Coefficients, GROUP, PRECISION_BITS, Taps};

/// Red, green, blue and a byte that is never looked at.
pub(super) type Pixel = [u8; 4];

/// Rows that the horizontal pass handles at once: enough for the compiler to see a loop over
/// lanes.
pub(super) const ROWS_AT_ONCE: usize = 16;

/// Pixels of [`ROWS_AT_ONCE`] rows in one column.
pub(super) type Column = [Pixel; ROWS_AT_ONCE];

/// Bytes of a column.
const LANES: usize = size_of::<Column>();

/// Half a unit, so that cutting off the fraction rounds.
const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// Turns RGB into pixels.
#[inline(always)]
pub(super) fn widen(source: &[u8], pixels: &mut [Pixel]) {
    for (rgb, pixel) in source.chunks_exact(3).zip(pixels) {
        *pixel = [rgb[0], rgb[1], rgb[2], 0];
    }
}

/// Puts row `row` of RGB into the columns.
#[inline(always)]
pub(super) fn spread(source: &[u8], columns: &mut [Column], row: usize) {
    for (pixel, column) in source.chunks_exact(3).zip(columns) {
        column[row] = [pixel[0], pixel[1], pixel[2], 0];
    }
}

/// Resizes [`ROWS_AT_ONCE`] rows, given as columns, into rows of `width` pixels.
///
/// `columns` holds [`GROUP`] more columns than the source, of any content.
#[inline(always)]
pub(super) fn horizontal(coefficients: &Coefficients, columns: &[Column], rows: &mut [Pixel], width: usize) {
    for (position, Taps { pixels, weights }) in coefficients.iter().enumerate() {
        let mut sums = [HALF; LANES];
        let mut bytes = [0u8; LANES];
        let (groups, _) = columns[pixels.start..].as_chunks::<GROUP>();
        let Some((last, before)) = weights.split_last() else { continue };
        for (columns, weights) in groups.iter().zip(before) {
            let [a, b, c, d] = columns.each_ref().map(|column| column.as_flattened());
            for lane in 0..LANES {
                sums[lane] += weighted([a[lane], b[lane], c[lane], d[lane]], weights);
            }
        }
        let [a, b, c, d] = groups[before.len()].each_ref().map(|column| column.as_flattened());
        for lane in 0..LANES {
            bytes[lane] = clip(sums[lane] + weighted([a[lane], b[lane], c[lane], d[lane]], last));
        }
        let column: Column = bytemuck::cast(bytes);
        for (row, pixel) in column.into_iter().enumerate() {
            rows[row * width + position] = pixel;
        }
    }
}

/// Makes one row of the target. `row` gives the bytes of a source row, all as many as the target
/// has; `sums` is scratch memory of that length.
#[inline(always)]
pub(super) fn vertical<'r>(
    taps: &Taps<'_>,
    row: impl Fn(usize) -> &'r [u8],
    sums: &mut [i32],
    target: &mut [u8],
) {
    let length = target.len();
    let sums = &mut sums[..length];
    let Some((last, before)) = taps.weights.split_last() else { return };
    // Rows behind the last one have no weight: any will do.
    let group = |first: usize| -> [&'r [u8]; GROUP] {
        std::array::from_fn(|tap| &row((first + tap).min(taps.pixels.end - 1))[..length])
    };
    let mut first = taps.pixels.start;
    for (index, weights) in before.iter().enumerate() {
        let [a, b, c, d] = group(first);
        if index == 0 {
            sums.fill(HALF);
        }
        for lane in 0..length {
            sums[lane] += weighted([a[lane], b[lane], c[lane], d[lane]], weights);
        }
        first += GROUP;
    }
    let [a, b, c, d] = group(first);
    if before.is_empty() {
        for lane in 0..length {
            target[lane] = clip(HALF + weighted([a[lane], b[lane], c[lane], d[lane]], last));
        }
    } else {
        for lane in 0..length {
            target[lane] = clip(sums[lane] + weighted([a[lane], b[lane], c[lane], d[lane]], last));
        }
    }
}

#[inline(always)]
fn weighted(bytes: [u8; GROUP], weights: &[i32; GROUP]) -> i32 {
    let product = |tap: usize| i32::from(bytes[tap]) * weights[tap];
    product(0) + product(1) + (product(2) + product(3))
}

/// Spreads a row of pixels over three planes, as floating point.
#[inline(always)]
pub(super) fn planes(pixels: &[Pixel], [red, green, blue]: [&mut [f32]; 3]) {
    for (((pixel, red), green), blue) in pixels.iter().zip(red).zip(green).zip(blue) {
        let pixel = u32::from_le_bytes(*pixel);
        *red = normalised(pixel & 0xff);
        *green = normalised(pixel >> 8 & 0xff);
        *blue = normalised(pixel >> 16 & 0xff);
    }
}

/// RDT's `rescale` and `normalize` of one value, 0 to 255: `value * (1 / 255)` in f64, rounded to
/// f32, then `(x - 0.5) / 0.5` in f32.
///
/// The product is made of two f32 parts instead, which gives the same 256 values (a test holds
/// each) and needs neither f64 nor a table that vectors would have to gather from.
#[inline(always)]
pub(super) fn normalised(value: u32) -> f32 {
    /// 1 / 255 to 16 bits, so that its product with a byte is exact, and the rest.
    const UPPER: f32 = f32::from_bits((1.0f32 / 255.0).to_bits() & 0xffff_ff00);
    const LOWER: f32 = (1.0 / 255.0 - UPPER as f64) as f32;
    // Values up to 255 fit i32, which converts faster than u32.
    let value = value as i32 as f32;
    (value * UPPER + value * LOWER - 0.5) * 2.0
}

#[inline(always)]
fn clip(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}
