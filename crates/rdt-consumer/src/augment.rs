//! Alters pictures before they are preprocessed, as RDT does in training.
//!
//! What is done to a picture is drawn first, as an [`Augmentation`]; [`Augmenter`] then carries
//! it out. Pictures are upright RGB of their own size, one byte a channel.
//!
//! Colours follow torchvision 0.26 on Pillow 10.2, corruptions imgaug 0.4 on OpenCV 4.9:
//! each piece without chance is held against recordings of those libraries (`tests/conditioning`),
//! the others against their distributions. The sequence of random numbers is our own.

mod color;
mod filter;
mod motion;
mod noise;
mod plan;

pub(crate) use plan::Augmentation;
use plan::{Adjustment, Blur, ColorJitter, Corruption};
use pulp::{Arch, Simd, WithSimd};

use filter::Scratch;

/// Pictures at most this bright on average, of full scale, are dark.
const DARK: f64 = 0.15;
/// The brightness factor for dark pictures.
const BRIGHTER: f32 = 1.75;

/// Carries out augmentations; keeps scratch memory between pictures. One a thread.
#[derive(Debug, Clone)]
pub(crate) struct Augmenter {
    arch: Arch,
    scratch: Scratch,
}

impl Augmenter {
    pub(crate) fn new() -> Self {
        Self { arch: Arch::new(), scratch: Scratch::default() }
    }

    /// Alters a picture of `(height, width)`.
    pub(crate) fn apply(&mut self, augmentation: &Augmentation, size: (usize, usize), pixels: &mut [u8]) {
        if let Some(jitter) = &augmentation.color {
            self.jitter(jitter, pixels);
        }
        if let Some(corruption) = &augmentation.corruption {
            self.corrupt(corruption, size, pixels);
        }
    }

    /// Brightens a picture that is dark.
    pub(crate) fn brighten_if_dark(&mut self, pixels: &mut [u8]) {
        let sum: u64 = pixels.iter().map(|&level| u64::from(level)).sum();
        if !pixels.is_empty() && sum as f64 / (pixels.len() as f64 * 255.0) <= DARK {
            self.brightness(pixels, BRIGHTER);
        }
    }

    fn jitter(&mut self, jitter: &ColorJitter, pixels: &mut [u8]) {
        for adjustment in jitter.order {
            match adjustment {
                Adjustment::Brightness => self.brightness(pixels, jitter.brightness),
                Adjustment::Contrast => self.fast(
                    #[inline(always)]
                    || color::contrast(pixels, jitter.contrast),
                ),
                Adjustment::Saturation => self.fast(
                    #[inline(always)]
                    || color::saturation(pixels, jitter.saturation),
                ),
                Adjustment::Hue => self.fast(
                    #[inline(always)]
                    || color::hue(pixels, jitter.hue),
                ),
            }
        }
    }

    fn brightness(&mut self, pixels: &mut [u8], factor: f32) {
        self.fast(
            #[inline(always)]
            || color::brightness(pixels, factor),
        );
    }

    fn corrupt(&mut self, corruption: &Corruption, size: (usize, usize), pixels: &mut [u8]) {
        if corruption.noise_first {
            noise::add(&corruption.noise, pixels);
        }
        if let Some(blur) = &corruption.blur {
            self.blur(blur, size, pixels);
        }
        if !corruption.noise_first {
            noise::add(&corruption.noise, pixels);
        }
    }

    fn blur(&mut self, blur: &Blur, size: (usize, usize), pixels: &mut [u8]) {
        if pixels.is_empty() {
            return;
        }
        let arch = self.arch;
        let scratch = &mut self.scratch;
        match *blur {
            Blur::Gaussian { sigma } => {
                if let Some(weights) = filter::gaussian_weights(sigma) {
                    arch.dispatch(Compiled(
                        #[inline(always)]
                        || filter::gaussian(&weights, size, pixels, scratch),
                    ));
                }
            }
            Blur::Average { side } => {
                arch.dispatch(Compiled(
                    #[inline(always)]
                    || filter::average(side, size, pixels, scratch),
                ));
            }
            Blur::Median { side } => {
                arch.dispatch(Compiled(
                    #[inline(always)]
                    || filter::median(side, size, pixels, scratch),
                ));
            }
            Blur::Motion { side, angle, direction } => {
                let kernel = motion::kernel(side, angle, direction);
                arch.dispatch(Compiled(
                    #[inline(always)]
                    || motion::correlate(&kernel, side, size, pixels, scratch),
                ));
            }
        }
    }

    fn fast(&self, operation: impl FnOnce()) {
        self.arch.dispatch(Compiled(operation));
    }
}

/// An operation that is compiled once for each instruction set; everything that it calls must be
/// `inline(always)` to be, too.
struct Compiled<F>(F);

impl<F: FnOnce()> WithSimd for Compiled<F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        (self.0)();
    }
}

#[cfg(test)]
mod tests;
