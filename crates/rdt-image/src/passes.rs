//! The two passes of a resize, on whole vectors.
//!
//! Columns of pixels are four bytes wide (red, green, blue, unused), rows three, and every loop below
//! is over plain lanes and the compiler turns it into vector instructions; [`pulp`] compiles the code
//! once for each instruction set and picks one at run time.

use crate::coefficients::{Coefficients, GROUP, PRECISION_BITS, Taps};

/// Red, green, blue and a byte that is never looked at.
pub(crate) type Pixel = [u8; 4];

/// Rows that the horizontal pass handles at once: enough for the compiler to see a loop over
/// lanes.
pub(crate) const ROWS_AT_ONCE: usize = 16;

/// Pixels of [`ROWS_AT_ONCE`] rows in one column.
pub(crate) type Column = [Pixel; ROWS_AT_ONCE];

/// Bytes of a column.
const LANES: usize = size_of::<Column>();

/// Half a unit, so that cutting off the fraction rounds.
const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// Bytes from one row of [`horizontal`] to the next: pixels of three bytes, and room for the
/// unused byte of the last one.
pub(crate) fn row_stride(width: usize) -> usize {
    width * 3 + 1
}

/// Puts row `row` of RGB into the columns.
#[inline(always)]
pub(crate) fn spread(source: &[u8], columns: &mut [Column], row: usize) {
    for (pixel, column) in source.chunks_exact(3).zip(columns) {
        column[row] = [pixel[0], pixel[1], pixel[2], 0];
    }
}

/// Resizes [`ROWS_AT_ONCE`] rows, given as columns, into rows of RGB, `stride` bytes apart
/// ([`row_stride`]).
///
/// `columns` holds [`GROUP`] more columns than the source, of any content.
#[inline(always)]
pub(crate) fn horizontal(coefficients: &Coefficients, columns: &[Column], rows: &mut [u8], stride: usize) {
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
            // The fourth byte is written over by the next pixel: one store instead of three.
            rows[row * stride + position * 3..][..4].copy_from_slice(&pixel);
        }
    }
}

/// Makes one row of the target. `row` gives the bytes of a source row, all as many as the target
/// has; `sums` is scratch memory of that length.
#[inline(always)]
pub(crate) fn vertical<'r>(
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

#[inline(always)]
fn clip(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}
