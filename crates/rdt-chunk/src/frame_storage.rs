//! How a writer stores frames: in which codec, and whether as the camera took them or prepared for
//! the image encoder.

use crate::codec::ImageCodec;
use crate::frame_table::MAX_FRAME_PIXELS;

/// How frames are stored.
///
/// A chunk does not say whether its frames were prepared: that is for the buffer to say, whose
/// chunks all agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrameStorage {
    /// The codec.
    pub codec: ImageCodec,
    /// Side of the square that each frame is padded and resized to, as RDT does it before the image
    /// encoder; none: frames stay as the camera took them. JPEG sources are decoded for it.
    pub size: Option<u32>,
}

impl FrameStorage {
    /// Largest [`FrameStorage::size`].
    pub const MOST_SIZE: u32 = MAX_FRAME_PIXELS.isqrt();

    /// Whether decoded frames may differ from what was to be stored.
    pub fn is_lossy(self) -> bool {
        matches!(self.codec, ImageCodec::Jpeg { .. })
    }
}

impl From<ImageCodec> for FrameStorage {
    /// Frames as the camera took them.
    fn from(codec: ImageCodec) -> Self {
        Self { codec, size: None }
    }
}
