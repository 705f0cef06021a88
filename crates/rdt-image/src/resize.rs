//! RDT's consumer preprocessing of one frame: pad, resize, normalise.
//!
//! Equal to what RDT's Python does (Pillow's bicubic with antialiasing in 8-bit fixed point,
//! horizontal before vertical with rounding to bytes between them, then two operations in
//! f32), bit by bit. The padding is never written down: its rows are known to stay background,
//! since the weights of each target pixel add up to one.

use std::collections::HashMap;

use pulp::{Arch, Simd, WithSimd};

use crate::coefficients::{Coefficients, GROUP};
use crate::error::ImageError;
use crate::normalise::{normalise, normalised};
use crate::passes::{self, Column, ROWS_AT_ONCE, row_stride};

/// The level that frames are made square with, and that absent images are filled with.
pub const BACKGROUND: u8 = 127;

/// Largest side of a source or a target; sums and sizes stay far within their types.
pub const MOST_SIDE: usize = 1 << 14;

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
    pub fn new(height: usize, width: usize, pixels: &'p [u8]) -> Result<Self, ImageError> {
        for side in [height, width] {
            check_side(side)?;
        }
        let expected = height * width * 3;
        if pixels.len() != expected {
            return Err(ImageError::Image { height, width, found: pixels.len(), expected });
        }
        Ok(Self { height, width, pixels })
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// `(height, width, 3)`, RGB.
    pub fn pixels(&self) -> &'p [u8] {
        self.pixels
    }
}

/// Preprocesses frames for one image size; keeps weights and scratch memory between frames.
///
/// ```
/// use rdt_image::{Picture, Preprocessor};
/// let mut preprocessor = Preprocessor::new(384)?;
/// let frame = vec![255u8; 48 * 64 * 3];
/// let mut image = vec![0.0f32; 3 * 384 * 384];
/// preprocessor.pixel(Picture::new(48, 64, &frame)?, &mut image);
/// // The padding above the picture is background, its middle white.
/// assert_eq!(image[0], preprocessor.background_value());
/// assert_eq!(image[192 * 384 + 192], 1.0);
/// # Ok::<(), rdt_image::ImageError>(())
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
    rows: Vec<u8>,
    /// A row of padding.
    background: Vec<u8>,
    sums: Vec<i32>,
    /// A prepared picture, on its way to floating point.
    square: Vec<u8>,
}

impl Preprocessor {
    /// For images of `size` by `size` pixels (RDT: 384).
    ///
    /// # Errors
    /// A size of 0 or over 16,384 pixels.
    pub fn new(size: usize) -> Result<Self, ImageError> {
        check_side(size)?;
        Ok(Self { size, arch: Arch::new(), coefficients: HashMap::new(), scratch: Scratch::default() })
    }

    /// Side of the images, in pixels.
    pub fn size(&self) -> usize {
        self.size
    }

    /// What every value of an absent or masked image is.
    pub fn background_value(&self) -> f32 {
        normalised(BACKGROUND)
    }

    /// Writes the picture padded and resized, `(size, size, 3)`: what [`Preprocessor::pixel`]
    /// gives, before it is normalised.
    ///
    /// # Panics
    /// If `image` has another length.
    pub fn square(&mut self, picture: Picture<'_>, image: &mut [u8]) {
        assert_eq!(image.len(), 3 * self.size * self.size, "bytes of an image");
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

    /// Writes the preprocessed picture as `(3, size, size)`.
    ///
    /// # Panics
    /// If `image` has another length.
    pub fn pixel(&mut self, picture: Picture<'_>, image: &mut [f32]) {
        let mut square = std::mem::take(&mut self.scratch.square);
        square.resize(3 * self.size * self.size, 0);
        self.square(picture, &mut square);
        normalise(&square, image);
        self.scratch.square = square;
    }
}

/// One call of [`Preprocessor::square`], as an operation that is compiled per instruction set.
struct Pad2Square<'a> {
    size: usize,
    side: usize,
    coefficients: &'a Coefficients,
    picture: Picture<'a>,
    scratch: &'a mut Scratch,
    image: &'a mut [u8],
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
        let Scratch { columns, rows, background, sums, .. } = scratch;
        let (top, left) = ((side - height) / 2, (side - width) / 2);
        let bottom = top + height;

        if side == size {
            // As in Pillow: nothing to resize.
            for (row, target) in image.chunks_exact_mut(size * 3).enumerate() {
                if (top..bottom).contains(&row) {
                    let (before, rest) = target.split_at_mut(left * 3);
                    let (middle, after) = rest.split_at_mut(width * 3);
                    before.fill(BACKGROUND);
                    middle.copy_from_slice(&pixels[(row - top) * width * 3..][..width * 3]);
                    after.fill(BACKGROUND);
                } else {
                    target.fill(BACKGROUND);
                }
            }
            return;
        }

        // Horizontal: the picture's own rows, a few at once.
        columns.clear();
        columns.resize(side + GROUP, [[BACKGROUND; 4]; ROWS_AT_ONCE]);
        let stride = row_stride(size);
        rows.resize(height.next_multiple_of(ROWS_AT_ONCE) * stride, 0);
        for (source, rows) in
            pixels.chunks(ROWS_AT_ONCE * width * 3).zip(rows.chunks_exact_mut(ROWS_AT_ONCE * stride))
        {
            // The last group may be smaller: its other rows are left over and not used.
            for (row, source) in source.chunks_exact(width * 3).enumerate() {
                passes::spread(source, &mut columns[left..left + width], row);
            }
            passes::horizontal(coefficients, columns, rows, stride);
        }

        // Vertical, row by row into the image.
        background.clear();
        background.resize(size * 3, BACKGROUND);
        sums.resize(size * 3, 0);
        for (taps, target) in coefficients.iter().zip(image.chunks_exact_mut(size * 3)) {
            if taps.pixels.end <= top || taps.pixels.start >= bottom {
                target.fill(BACKGROUND);
                continue;
            }
            let row = |row: usize| -> &[u8] {
                if (top..bottom).contains(&row) {
                    &rows[(row - top) * stride..][..size * 3]
                } else {
                    background
                }
            };
            passes::vertical(&taps, row, sums, target);
        }
    }
}

fn check_side(side: usize) -> Result<(), ImageError> {
    if (1..=MOST_SIDE).contains(&side) {
        Ok(())
    } else {
        Err(ImageError::ImageSide { side, most: MOST_SIDE })
    }
}
