//! Pillow's coefficients of a bicubic resize with antialiasing, in its fixed point.
//!
//! Bit-equality with Pillow (`ImagingResample` for 8-bit images) rests on the order of these
//! floating-point operations; they are written as there and must stay so.

use std::ops::Range;

/// Fraction bits of a weight: 32 less 8 for the pixel and 2 for the overshoot of the sum.
pub const PRECISION_BITS: u32 = 32 - 8 - 2;

/// Half the width of the cubic, in source pixels at scale 1.
const SUPPORT: f64 = 2.0;

/// Weights that are summed up in one pass over a vector of pixels.
pub(crate) const GROUP: usize = 4;

/// Weights of one resize along one axis.
#[derive(Debug, Clone)]
pub struct Coefficients {
    /// Groups reserved for each target pixel.
    groups: usize,
    bounds: Vec<Range<u32>>,
    weights: Vec<[i32; GROUP]>,
}

/// What one target pixel is made of.
#[derive(Debug, Clone)]
pub(crate) struct Taps<'c> {
    /// The source pixels.
    pub(crate) pixels: Range<usize>,
    /// Their weights in order, filled up with zeros; at least one group.
    pub(crate) weights: &'c [[i32; GROUP]],
}

impl Coefficients {
    /// From `source` pixels to `target` pixels, both at least 1.
    pub fn new(source: usize, target: usize) -> Self {
        let scale = source as f64 / target as f64;
        let filter_scale = scale.max(1.0);
        let support = SUPPORT * filter_scale;
        let inverse = 1.0 / filter_scale;
        let taps = support.ceil() as usize * 2 + 1;
        let groups = taps.div_ceil(GROUP);
        let mut bounds = Vec::with_capacity(target);
        let mut weights = vec![[0i32; GROUP]; target * groups];
        let mut exact = vec![0.0f64; taps];
        for (position, weights) in weights.chunks_exact_mut(groups).enumerate() {
            let center = (position as f64 + 0.5) * scale;
            // Truncation, not rounding down, as in C; negative values are cut to 0 anyway.
            let first = ((center - support + 0.5) as i64).max(0);
            let end = ((center + support + 0.5) as i64).min(source as i64);
            let count = (end - first) as usize;
            let mut total = 0.0;
            for (tap, exact) in exact[..count].iter_mut().enumerate() {
                *exact = cubic(((tap as i64 + first) as f64 - center + 0.5) * inverse);
                total += *exact;
            }
            for (weight, exact) in weights.as_flattened_mut().iter_mut().zip(&exact[..count]) {
                *weight = fixed_point(if total == 0.0 { *exact } else { *exact / total });
            }
            bounds.push(first as u32..end as u32);
        }
        Self { groups, bounds, weights }
    }

    /// For each target pixel the source pixels that it is made of, and their weights, in units of
    /// 1 / 2^[`PRECISION_BITS`].
    pub fn weights(&self) -> impl Iterator<Item = (Range<usize>, &[i32])> {
        self.iter().map(|taps| {
            let count = taps.pixels.len();
            (taps.pixels, &taps.weights.as_flattened()[..count])
        })
    }

    /// For each target pixel what it is made of.
    #[inline(always)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = Taps<'_>> {
        self.bounds.iter().zip(self.weights.chunks_exact(self.groups)).map(|(bounds, weights)| {
            let pixels = bounds.start as usize..bounds.end as usize;
            let used = pixels.len().div_ceil(GROUP);
            Taps { pixels, weights: &weights[..used] }
        })
    }
}

/// The cubic with a = -0.5.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// Rounded half away from zero.
fn fixed_point(weight: f64) -> i32 {
    let half = if weight < 0.0 { -0.5 } else { 0.5 };
    (half + weight * f64::from(1u32 << PRECISION_BITS)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_add_up_to_one() {
        for (source, target) in [(128, 384), (640, 384), (200, 384), (7, 384), (1, 5), (384, 384), (9, 1)] {
            let coefficients = Coefficients::new(source, target);
            assert_eq!(coefficients.iter().count(), target);
            for Taps { pixels, weights } in coefficients.iter() {
                assert!(pixels.end <= source && !pixels.is_empty());
                let total: i32 = weights.as_flattened().iter().sum();
                // Each weight is off by at most half a unit.
                assert!((total - (1 << PRECISION_BITS)).unsigned_abs() as usize <= pixels.len());
                assert!(weights.as_flattened()[pixels.len()..].iter().all(|weight| *weight == 0));
            }
        }
    }

    #[test]
    fn equal_sizes_take_each_pixel_as_it_is() {
        for (position, taps) in Coefficients::new(10, 10).iter().enumerate() {
            for (pixel, weight) in taps.pixels.zip(taps.weights.as_flattened()) {
                assert_eq!(*weight, if pixel == position { 1 << PRECISION_BITS } else { 0 });
            }
        }
    }
}
