//! Noise on pixels: whole levels drawn from a distribution, added and clipped.
//!
//! imgaug draws floating-point noise and rounds it to levels. Rounded noise is a distribution over
//! whole numbers, whose probabilities are known: drawing from them by the alias method costs half
//! of a 64-bit random number and two table entries a value, whatever the law. Probabilities are
//! kept to 2^-32; beyond 255 levels all noise is alike, since the picture clips.

use super::plan::{Law, Noise};
use crate::draw;

/// Bits of a column of the alias table.
const COLUMN_BITS: u32 = 9;
const COLUMNS: usize = 1 << COLUMN_BITS;
/// Bits that decide between a column and its alias.
const SHARE_BITS: u32 = 32 - COLUMN_BITS;
/// The largest noise, in levels.
const MOST: i32 = 255;

/// Adds noise to a picture.
pub(super) fn add(noise: &Noise, pixels: &mut [u8]) {
    let table = AliasTable::new(&probabilities(noise.law));
    let mut place = 0;
    let mut pair = || {
        let bits = draw::stream(noise.key, place);
        place += 1;
        [bits as u32, (bits >> 32) as u32].map(|bits| table.value(bits))
    };
    let noisy = |level: u8, noise: i16| (i16::from(level) + noise).clamp(0, 255) as u8;
    if noise.per_channel {
        for levels in pixels.chunks_mut(2) {
            for (level, noise) in levels.iter_mut().zip(pair()) {
                *level = noisy(*level, noise);
            }
        }
    } else {
        for two in pixels.chunks_mut(6) {
            for (pixel, noise) in two.chunks_mut(3).zip(pair()) {
                for level in pixel {
                    *level = noisy(*level, noise);
                }
            }
        }
    }
}

/// Probabilities of noise of -255, ..., 255 levels.
fn probabilities(law: Law) -> Vec<f64> {
    // Probability of at most `x`, of the laws that are continuous.
    let up_to: &dyn Fn(f64) -> f64 = match law {
        Law::Gaussian { deviation } => &move |x: f64| 0.5 * libm::erfc(-x / (deviation * 2f64.sqrt())),
        Law::Laplace { scale } => &move |x: f64| {
            let half = 0.5 * libm::exp(-x.abs() / scale);
            if x < 0.0 { half } else { 1.0 - half }
        },
        Law::Poisson { mean } => return poisson(mean),
    };
    if matches!(law, Law::Gaussian { deviation: 0.0 } | Law::Laplace { scale: 0.0 }) {
        return poisson(0.0);
    }
    let half = |level: i32| {
        // By symmetry from the negative side, where small numbers keep their digits.
        let level = -f64::from(level.abs());
        if level == -f64::from(MOST) { up_to(level + 0.5) } else { up_to(level + 0.5) - up_to(level - 0.5) }
    };
    (-MOST..=MOST).map(half).collect()
}

/// Of counts of the given mean with a random sign.
fn poisson(mean: f64) -> Vec<f64> {
    let mut of_count = Vec::new();
    let mut probability = libm::exp(-mean);
    for count in 0..=MOST {
        of_count.push(probability);
        probability *= mean / f64::from(count + 1);
    }
    (-MOST..=MOST)
        .map(|level| {
            let share = if level == 0 { 1.0 } else { 0.5 };
            share * of_count[level.unsigned_abs() as usize]
        })
        .collect()
}

/// Columns of equal probability, each shared by two values.
struct AliasTable {
    /// The share of the column's own value, of 2^23; that value; the other one.
    columns: Box<[(u32, i16, i16); COLUMNS]>,
}

impl AliasTable {
    /// For the values -255, -254, ... with the given probabilities, at most 512 of them.
    fn new(probabilities: &[f64]) -> Self {
        let value = |column: usize| (column as i32 - MOST) as i16;
        let whole = f64::from(1u32 << SHARE_BITS);
        let total: f64 = probabilities.iter().sum();
        let mut heights = [0.0; COLUMNS];
        for (height, probability) in heights.iter_mut().zip(probabilities) {
            *height = probability / total * COLUMNS as f64;
        }
        let mut columns = Box::new([(0, 0, 0); COLUMNS]);
        for (column, entry) in columns.iter_mut().enumerate() {
            *entry = (1 << SHARE_BITS, value(column), value(column));
        }
        let (mut low, mut high): (Vec<usize>, Vec<usize>) =
            (0..COLUMNS).partition(|&column| heights[column] < 1.0);
        while let (Some(&giver), Some(column)) = (high.last(), low.pop()) {
            columns[column] = ((heights[column] * whole) as u32, value(column), value(giver));
            heights[giver] -= 1.0 - heights[column];
            if heights[giver] < 1.0 {
                high.pop();
                low.push(giver);
            }
        }
        Self { columns }
    }

    #[inline(always)]
    fn value(&self, bits: u32) -> i16 {
        let (share, own, alias) = self.columns[(bits >> SHARE_BITS) as usize];
        if bits & ((1 << SHARE_BITS) - 1) < share { own } else { alias }
    }
}
