//! Motion blur: a line through the middle of a square, turned by an angle, as the weights of a
//! blur.
//!
//! imgaug turns the line as a picture of bytes with OpenCV's bilinear interpolation in fixed point
//! (positions to a 32nd of a pixel), then divides by the sum: so do we, since rounding shows in
//! the weights.

use super::filter::{Border, Scratch, frame, rounded};

/// A weight and where it applies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tap {
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) weight: f32,
}

/// The weights, of sum 1, that are not 0; `side` is odd.
pub(super) fn kernel(side: usize, angle: f64, direction: f64) -> Vec<Tap> {
    let line: Vec<i32> = (0..side)
        .map(|row| {
            // From `direction` down to 1 - `direction`, evenly.
            let along = row as f64 / (side - 1) as f64;
            let weight = (direction + (1.0 - 2.0 * direction) * along) as f32;
            (weight * 255.0) as i32
        })
        .collect();
    let middle = (side / 2) as i32;
    let level = |row: i32, column: i32| match (column == middle, usize::try_from(row)) {
        (true, Ok(row)) => line.get(row).copied().unwrap_or(0),
        _ => 0,
    };
    // Where the turned picture is read: the way back around the middle.
    let (sine, cosine) = (libm::sin(angle.to_radians()), libm::cos(angle.to_radians()));
    let center = (side - 1) as f64 / 2.0;
    let fixed = |position: f64| libm::rint(position * 1024.0) as i32;
    let mut taps = Vec::new();
    for row in 0..side {
        let y = row as f64;
        let start_x = fixed(sine * y + center - cosine * center - sine * center) + 16;
        let start_y = fixed(cosine * y + center + sine * center - cosine * center) + 16;
        for column in 0..side {
            let x = column as f64;
            let at_x = (start_x + fixed(cosine * x)) >> 5;
            let at_y = (start_y + fixed(-sine * x)) >> 5;
            let (left, right_share) = (at_x >> 5, at_x & 31);
            let (top, bottom_share) = (at_y >> 5, at_y & 31);
            let sum = level(top, left) * (32 - right_share) * (32 - bottom_share)
                + level(top, left + 1) * right_share * (32 - bottom_share)
                + level(top + 1, left) * (32 - right_share) * bottom_share
                + level(top + 1, left + 1) * right_share * bottom_share;
            let turned = (sum + 512) >> 10;
            if turned > 0 {
                taps.push(Tap { row, column, weight: turned as f32 / 255.0 });
            }
        }
    }
    let total: f32 = taps.iter().map(|tap| tap.weight).sum();
    for tap in &mut taps {
        tap.weight /= total;
    }
    taps
}

/// Levels that are summed up at once.
const LANES: usize = 64;

/// Replaces each pixel by the weighted sum of its neighbours.
#[inline(always)]
pub(super) fn correlate(
    taps: &[Tap],
    side: usize,
    (height, width): (usize, usize),
    pixels: &mut [u8],
    scratch: &mut Scratch,
) {
    let framed = &mut scratch.framed;
    let half = side / 2;
    let stride = frame((height, width), pixels, (half, half), Border::Mirror, framed);
    // The last lanes look past the end.
    framed.resize(framed.len() + LANES, 0);
    for (y, target) in pixels.chunks_exact_mut(width * 3).enumerate() {
        for (block, target) in target.chunks_mut(LANES).enumerate() {
            let mut sums = [0f32; LANES];
            for tap in taps {
                let from = (y + tap.row) * stride + tap.column * 3 + block * LANES;
                let neighbours = &framed[from..from + LANES];
                for lane in 0..LANES {
                    sums[lane] += tap.weight * f32::from(neighbours[lane]);
                }
            }
            for (level, sum) in target.iter_mut().zip(sums) {
                *level = rounded(sum);
            }
        }
    }
}
