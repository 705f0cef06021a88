//! RDT's consumer preprocessing of one frame: pad, resize, normalise.
//!
//! Equal to what RDT's Python does (Pillow's bicubic with antialiasing in 8-bit fixed point,
//! horizontal before vertical with rounding to bytes between them, then two operations in
//! f32), bit by bit. The padding is never written down: its rows are known to stay background,
//! since the weights of each target pixel add up to one.

mod coefficients;
mod passes;

use std::collections::HashMap;

use pulp::{Arch, Simd, WithSimd};

use crate::error::ConsumerError;
use coefficients::{Coefficients, GROUP};
use passes::{Column, Pixel, ROWS_AT_ONCE};

/// The level that frames are made square with, and that absent images are filled with.
pub const BACKGROUND: u8 = 127;

/// Largest side of a source or a target; sums and sizes stay far within their types.
const MOST_SIDE: usize = 1 << 14;

/// An upright RGB frame.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'p> {
    height: usize,
    width: usize,
    pixels: &'p [u8],
}

impl<'p> Picture<'p> {
    /// From `(height, width, 3)` bytes.
    ///
    /// # Errors
    /// A side of 0 or over 16,384 pixels, or another number of bytes.
    pub fn new(height: usize, width: usize, pixels: &'p [u8]) -> Result<Self, ConsumerError> {
        for side in [height, width] {
            check_side(side)?;
        }
        let expected = height * width * 3;
        if pixels.len() != expected {
            return Err(ConsumerError::Image { height, width, found: pixels.len(), expected });
        }
        Ok(Self { height, width, pixels })
    }
}

/// Preprocesses frames for one image size; keeps weights and scratch memory between frames.
///
/// ```
/// use rdt_consumer::preprocess::{Picture, Preprocessor};
/// let mut preprocessor = Preprocessor::new(384)?;
/// let frame = vec![255u8; 48 * 64 * 3];
/// let mut image = vec![0.0f32; 3 * 384 * 384];
/// preprocessor.pixel(Picture::new(48, 64, &frame)?, &mut image);
/// // The padding above the picture is background, its middle white.
/// assert_eq!(image[0], preprocessor.background_value());
/// assert_eq!(image[192 * 384 + 192], 1.0);
/// # Ok::<(), rdt_consumer::ConsumerError>(())
/// ```
#[derive(Debug)]
pub struct Preprocessor {
    size: usize,
    arch: Arch,
    /// By the side of the padded source.
    coefficients: HashMap<usize, Coefficients>,
    scratch: Scratch,
}

/// Memory of the passes, reused from frame to frame.
#[derive(Debug, Default)]
struct Scratch {
    columns: Vec<Column>,
    /// The rows of the source at the target's width, the padding left out.
    rows: Vec<Pixel>,
    /// A row of padding.
    background: Vec<Pixel>,
    target: Vec<Pixel>,
    sums: Vec<i32>,
}

impl Preprocessor {
    /// For images of `size` by `size` pixels (RDT: 384).
    ///
    /// # Errors
    /// A size of 0 or over 16,384 pixels.
    pub fn new(size: usize) -> Result<Self, ConsumerError> {
        check_side(size)?;
        Ok(Self { size, arch: Arch::new(), coefficients: HashMap::new(), scratch: Scratch::default() })
    }

    /// Side of the images, in pixels.
    pub fn size(&self) -> usize {
        self.size
    }

    /// What every value of an absent or masked image is.
    pub fn background_value(&self) -> f32 {
        passes::normalised(u32::from(BACKGROUND))
    }

    /// Writes the preprocessed picture as `(3, size, size)`.
    ///
    /// # Panics
    /// If `image` has another length.
    pub fn pixel(&mut self, picture: Picture<'_>, image: &mut [f32]) {
        assert_eq!(image.len(), 3 * self.size * self.size, "values of an image");
        let side = picture.height.max(picture.width);
        let coefficients =
            self.coefficients.entry(side).or_insert_with(|| Coefficients::new(side, self.size));
        self.arch.dispatch(Pad2Square {
            size: self.size,
            side,
            coefficients,
            picture,
            scratch: &mut self.scratch,
            image,
        });
    }
}

/// One call of [`Preprocessor::pixel`], as an operation that is compiled per instruction set.
struct Pad2Square<'a> {
    size: usize,
    side: usize,
    coefficients: &'a Coefficients,
    picture: Picture<'a>,
    scratch: &'a mut Scratch,
    image: &'a mut [f32],
}

impl WithSimd for Pad2Square<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        self.run();
    }
}

impl Pad2Square<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { size, side, coefficients, picture: Picture { height, width, pixels }, scratch, image } =
            self;
        let Scratch { columns, rows, background, target, sums } = scratch;
        let (top, left) = ((side - height) / 2, (side - width) / 2);
        let bottom = top + height;
        let (red, rest) = image.split_at_mut(size * size);
        let (green, blue) = rest.split_at_mut(size * size);
        let planes =
            red.chunks_exact_mut(size).zip(green.chunks_exact_mut(size)).zip(blue.chunks_exact_mut(size));
        background.clear();
        background.resize(size, [BACKGROUND; 4]);
        target.clear();
        target.resize(size, [BACKGROUND; 4]);

        if side == size {
            // As in Pillow: nothing to resize.
            for (row, ((red, green), blue)) in planes.enumerate() {
                let row = if (top..bottom).contains(&row) {
                    let source = &pixels[(row - top) * width * 3..(row - top + 1) * width * 3];
                    passes::widen(source, &mut target[left..left + width]);
                    &*target
                } else {
                    &*background
                };
                passes::planes(row, [red, green, blue]);
            }
            return;
        }

        // Horizontal: the picture's own rows, a few at once.
        columns.clear();
        columns.resize(side + GROUP, [[BACKGROUND; 4]; ROWS_AT_ONCE]);
        rows.resize(height.next_multiple_of(ROWS_AT_ONCE) * size, [0; 4]);
        for (source, rows) in
            pixels.chunks(ROWS_AT_ONCE * width * 3).zip(rows.chunks_exact_mut(ROWS_AT_ONCE * size))
        {
            // The last group may be smaller: its other rows are left over and not used.
            for (row, source) in source.chunks_exact(width * 3).enumerate() {
                passes::spread(source, &mut columns[left..left + width], row);
            }
            passes::horizontal(coefficients, columns, rows, size);
        }

        // Vertical, row by row into the planes.
        sums.resize(size * 4, 0);
        for (taps, ((red, green), blue)) in coefficients.iter().zip(planes) {
            if taps.pixels.end <= top || taps.pixels.start >= bottom {
                let value = passes::normalised(u32::from(BACKGROUND));
                for plane in [red, green, blue] {
                    plane.fill(value);
                }
                continue;
            }
            let row = |row: usize| -> &[u8] {
                let pixels = if (top..bottom).contains(&row) {
                    &rows[(row - top) * size..(row - top + 1) * size]
                } else {
                    background.as_slice()
                };
                pixels.as_flattened()
            };
            passes::vertical(&taps, row, sums, target.as_flattened_mut());
            passes::planes(target, [red, green, blue]);
        }
    }
}

fn check_side(side: usize) -> Result<(), ConsumerError> {
    if (1..=MOST_SIDE).contains(&side) {
        Ok(())
    } else {
        Err(ConsumerError::ImageSide { side, most: MOST_SIDE })
    }
}

#[cfg(test)]
mod tests;
