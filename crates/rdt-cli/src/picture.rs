//! Pictures: one sample for a person, and the loss of a training run.
//!
//! Everything is drawn into memory and written as one PNG; no system font and no display
//! is needed, so the pictures are the same on every machine. What is drawn comes in as
//! plain values: this module opens no buffer and decodes no frame.

mod canvas;
mod columns;
mod loss;
mod mixing;
mod sample;

use std::path::{Path, PathBuf};

pub use loss::loss_curve;
pub use mixing::mixing;
pub use sample::sample;

/// A picture that could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// The drawing library refused something; a defect here rather than in the input.
    #[error("cannot draw the picture: {0}")]
    Draw(String),
    /// The picture does not fit into a PNG.
    #[error("cannot encode a picture of {width} x {height} pixels as png")]
    Encode {
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Why.
        #[source]
        source: png::EncodingError,
    },
    /// The file could not be written.
    #[error("cannot write {}; check that its folder exists and has space", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Writes an RGB picture of `width` x `height` pixels as a PNG file.
///
/// # Errors
/// `pixels` is not `width * height * 3` bytes, or the file cannot be written.
pub fn write_png(path: &Path, width: u32, height: u32, pixels: &[u8]) -> Result<(), PictureError> {
    let mut bytes = Vec::new();
    let encode = |source| PictureError::Encode { width, height, source };
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(encode)?;
    writer.write_image_data(pixels).map_err(encode)?;
    writer.finish().map_err(encode)?;
    std::fs::write(path, bytes).map_err(|source| PictureError::Write { path: path.to_owned(), source })
}
