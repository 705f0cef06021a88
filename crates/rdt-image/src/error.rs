//! What can be wrong with a picture's size.

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// A picture whose bytes do not match its size.
    #[error("image of {height} x {width} holds {found} bytes, expected {expected}")]
    Image {
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
        /// Bytes given.
        found: usize,
        /// `height * width * 3`.
        expected: usize,
    },
    /// An image size of 0, or one too large to compute with.
    #[error("image side is {side} pixels, expected 1 to {most}")]
    ImageSide {
        /// The side.
        side: usize,
        /// The limit.
        most: usize,
    },
}
