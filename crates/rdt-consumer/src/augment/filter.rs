//! Gaussian, average and median blur of RGB pictures, as OpenCV computes them on bytes.
//!
//! All work on a copy with a border, row by row over plain bytes: a neighbour in the same row is
//! three bytes away, whatever the channel.

/// Memory reused from picture to picture.
#[derive(Debug, Clone, Default)]
pub(super) struct Scratch {
    /// The picture with a border.
    pub(super) framed: Vec<u8>,
    /// Sums along rows.
    sums: Vec<u16>,
}

/// What lies beyond the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Border {
    /// The picture mirrored, the edge itself not repeated.
    Mirror,
    /// The edge.
    Edge,
}

/// Copies a picture into the middle of a larger one, `before` pixels from the top and left and
/// `after` from the bottom and right; returns the bytes of a row.
#[inline(always)]
pub(super) fn frame(
    (height, width): (usize, usize),
    pixels: &[u8],
    (before, after): (usize, usize),
    border: Border,
    framed: &mut Vec<u8>,
) -> usize {
    let stride = (before + width + after) * 3;
    framed.clear();
    framed.reserve((before + height + after) * stride);
    for row in 0..before + height + after {
        let row = inside(row as isize - before as isize, height, border);
        let source = &pixels[row * width * 3..(row + 1) * width * 3];
        let beyond = |from: isize, count: usize, framed: &mut Vec<u8>| {
            for column in from..from + count as isize {
                let column = inside(column, width, border);
                framed.extend_from_slice(&source[column * 3..column * 3 + 3]);
            }
        };
        beyond(-(before as isize), before, framed);
        framed.extend_from_slice(source);
        beyond(width as isize, after, framed);
    }
    stride
}

/// Rounds a level, halves to even: added to 2^23, a float has no room for a fraction.
#[inline(always)]
pub(super) fn rounded(level: f32) -> u8 {
    ((level + 8_388_608.0).to_bits() & 0x1ff).min(255) as u8
}

/// The place inside of `0..length` that stands for `place`.
fn inside(mut place: isize, length: usize, border: Border) -> usize {
    let last = length as isize - 1;
    if border == Border::Edge || last == 0 {
        return place.clamp(0, last) as usize;
    }
    // A picture smaller than the border is mirrored to and fro.
    while !(0..=last).contains(&place) {
        place = if place < 0 { -place } else { 2 * last - place };
    }
    place as usize
}

/// Weights of a Gaussian blur, of 256; none if it would change nothing.
///
/// imgaug's size for the deviation, and OpenCV's weights: each is rounded with what the one
/// before left over, the middle takes the rest.
pub(super) fn gaussian_weights(sigma: f64) -> Option<Vec<u16>> {
    if sigma <= 1e-3 {
        return None;
    }
    let side = ((3.3 * sigma) as usize).max(5) | 1;
    let half = side / 2;
    let weight = |distance: usize| libm::exp(-((distance * distance) as f64) / (2.0 * sigma * sigma));
    let total: f64 = (1..=half).map(|distance| 2.0 * weight(distance)).sum::<f64>() + 1.0;
    let mut weights = vec![0; side];
    let mut error = 0.0;
    let mut rest = 256;
    for place in 0..half {
        let exact = weight(half - place) / total * 256.0 + error;
        let rounded = libm::rint(exact);
        error = exact - rounded;
        weights[place] = rounded as u16;
        weights[side - 1 - place] = rounded as u16;
        rest -= 2 * rounded as u16;
    }
    weights[half] = rest;
    Some(weights)
}

/// Blurs with the given weights along rows and columns.
#[inline(always)]
pub(super) fn gaussian(
    weights: &[u16],
    (height, width): (usize, usize),
    pixels: &mut [u8],
    scratch: &mut Scratch,
) {
    let half = weights.len() / 2;
    let Scratch { framed, sums } = scratch;
    let stride = frame((height, width), pixels, (half, half), Border::Mirror, framed);
    let row = width * 3;
    sums.clear();
    sums.resize(framed.len() / stride * row, 0);
    for (source, sums) in framed.chunks_exact(stride).zip(sums.chunks_exact_mut(row)) {
        for (tap, &weight) in weights.iter().enumerate() {
            for (sum, &level) in sums.iter_mut().zip(&source[tap * 3..]) {
                *sum += weight * u16::from(level);
            }
        }
    }
    let mut totals = vec![0u32; row];
    for (y, target) in pixels.chunks_exact_mut(row).enumerate() {
        totals.fill(1 << 15);
        for (tap, &weight) in weights.iter().enumerate() {
            for (total, &sum) in totals.iter_mut().zip(&sums[(y + tap) * row..(y + tap + 1) * row]) {
                *total += u32::from(weight) * u32::from(sum);
            }
        }
        for (level, &total) in target.iter_mut().zip(&totals) {
            *level = (total >> 16) as u8;
        }
    }
}

/// The mean of the `side` by `side` pixels around each; of an even side, one more lies before
/// the pixel than behind it.
#[inline(always)]
pub(super) fn average(
    side: usize,
    (height, width): (usize, usize),
    pixels: &mut [u8],
    scratch: &mut Scratch,
) {
    let Scratch { framed, sums } = scratch;
    let before = side / 2;
    let stride = frame((height, width), pixels, (before, side - 1 - before), Border::Mirror, framed);
    let row = width * 3;
    sums.clear();
    sums.resize(framed.len() / stride * row, 0);
    for (source, sums) in framed.chunks_exact(stride).zip(sums.chunks_exact_mut(row)) {
        for tap in 0..side {
            for (sum, &level) in sums.iter_mut().zip(&source[tap * 3..]) {
                *sum += u16::from(level);
            }
        }
    }
    // Halves go up, and where the area is a power of two OpenCV's division adds one too many.
    // Sums stay below 2^14: a 32-bit float holds them and cuts their quotients right.
    let area = (side * side) as f32;
    let rounding = (side * side / 2) as u16 + u16::from((side * side).is_power_of_two());
    let mut totals = vec![0u16; row];
    for (y, target) in pixels.chunks_exact_mut(row).enumerate() {
        totals.fill(0);
        for tap in 0..side {
            for (total, &sum) in totals.iter_mut().zip(&sums[(y + tap) * row..(y + tap + 1) * row]) {
                *total += sum;
            }
        }
        for (level, &total) in target.iter_mut().zip(&totals) {
            *level = (f32::from(total + rounding) / area) as u8;
        }
    }
}

/// Bytes whose medians are found at once.
const LANES: usize = 64;

/// The median of the `side` by `side` pixels around each; at most 15 by 15.
///
/// Bit by bit from the highest: a bit is set if at most half of the neighbours lie below the value
/// with it. That is eight passes over the neighbours, but each on whole vectors and without a
/// branch.
#[inline(always)]
pub(super) fn median(side: usize, (height, width): (usize, usize), pixels: &mut [u8], scratch: &mut Scratch) {
    let framed = &mut scratch.framed;
    let half = side / 2;
    let stride = frame((height, width), pixels, (half, half), Border::Edge, framed);
    // The last lanes look past the end.
    framed.resize(framed.len() + LANES, 0);
    let most_below = (side * side / 2) as u8;
    for (y, target) in pixels.chunks_exact_mut(width * 3).enumerate() {
        for (block, target) in target.chunks_mut(LANES).enumerate() {
            let mut median = [0u8; LANES];
            for bit in (0..8).rev() {
                let candidate = median.map(|level| level | 1 << bit);
                let mut below = [0u8; LANES];
                for dy in 0..side {
                    let start = (y + dy) * stride + block * LANES;
                    for dx in 0..side {
                        let from = start + dx * 3;
                        let neighbours = &framed[from..from + LANES];
                        for lane in 0..LANES {
                            below[lane] += u8::from(neighbours[lane] < candidate[lane]);
                        }
                    }
                }
                for lane in 0..LANES {
                    if below[lane] <= most_below {
                        median[lane] = candidate[lane];
                    }
                }
            }
            target.copy_from_slice(&median[..target.len()]);
        }
    }
}
