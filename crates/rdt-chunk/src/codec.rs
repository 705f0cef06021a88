//! Frame codecs: what a frame's bytes in a chunk are, and what a writer makes of frames.
//!
//! [`FrameCodec`] is one byte of the frame table, so codecs can be added; [`ImageCodec`]
//! is the user's choice for a whole buffer. The submodules hold one coding each.

pub(crate) mod jpeg;
pub(crate) mod lz4;
pub(crate) mod pixels;
pub(crate) mod zstd;

use std::fmt;
use std::str::FromStr;

use crate::error::ChunkError;

/// What the bytes of a stored frame are. All but JPEG hold upright RGB pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum FrameCodec {
    /// Pixels as they are.
    Raw = 0,
    /// One zstd frame of pixels.
    Zstd = 1,
    /// One zstd frame of pixels, an earlier frame's pixels being its prefix.
    ZstdRef = 2,
    /// A JPEG file; channel order and flip of the frame table apply to what it decodes to.
    Jpeg = 3,
    /// One lz4 block of pixels.
    Lz4 = 4,
}

impl FrameCodec {
    /// All codecs of the format.
    pub const ALL: [Self; 5] = [Self::Raw, Self::Zstd, Self::ZstdRef, Self::Jpeg, Self::Lz4];

    /// The codec that `byte` of the frame table stands for.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&codec| codec as u8 == byte)
    }

    /// The name in reports and in `docs/format.md`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Zstd => "zstd",
            Self::ZstdRef => "zstd_ref",
            Self::Jpeg => "jpeg",
            Self::Lz4 => "lz4",
        }
    }

    /// Whether a [`FrameCodec::ZstdRef`] frame may refer to frames of this codec.
    pub(crate) fn is_reference(self) -> bool {
        matches!(self, Self::Raw | Self::Zstd)
    }
}

/// The quality that `jpeg` stands for: OpenCV's default, with which robots are mostly recorded.
const JPEG_QUALITY: u8 = 95;

/// In which codec a writer stores frames.
///
/// ```
/// use rdt_chunk::ImageCodec;
/// assert_eq!("jpeg:90".parse::<ImageCodec>()?, ImageCodec::Jpeg { quality: 90 });
/// assert_eq!("jpeg".parse::<ImageCodec>()?, ImageCodec::Jpeg { quality: 95 });
/// assert_eq!(ImageCodec::ZstdRef.to_string(), "zstd-ref");
/// # Ok::<(), rdt_chunk::ChunkError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ImageCodec {
    /// JPEG sources as they are, pixel sources as [`ImageCodec::ZstdRef`]; frames stored prepared as
    /// [`ImageCodec::Lz4`], since it loads them fast whatever they show.
    #[default]
    Auto,
    /// Pixels; JPEG sources are decoded.
    Raw,
    /// zstd, lossless; JPEG sources are decoded.
    Zstd,
    /// zstd with an earlier frame of the camera as prefix; JPEG sources are decoded.
    ZstdRef,
    /// lz4, lossless; JPEG sources are decoded.
    Lz4,
    /// JPEG at a quality, lossy; JPEG sources are decoded and encoded again.
    Jpeg {
        /// 1 to 100, as libjpeg counts.
        quality: u8,
    },
}

impl fmt::Display for ImageCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Raw => f.write_str("raw"),
            Self::Zstd => f.write_str("zstd"),
            Self::ZstdRef => f.write_str("zstd-ref"),
            Self::Lz4 => f.write_str("lz4"),
            Self::Jpeg { quality } => write!(f, "jpeg:{quality}"),
        }
    }
}

impl FromStr for ImageCodec {
    type Err = ChunkError;

    /// Reads what [`fmt::Display`] writes; `zstd_ref` is taken, too, and `jpeg` for `jpeg:95`.
    ///
    /// # Errors
    /// The text names no codec, or a quality outside 1 to 100.
    fn from_str(text: &str) -> Result<Self, ChunkError> {
        let plain = match text {
            "auto" => Some(Self::Auto),
            "raw" => Some(Self::Raw),
            "zstd" => Some(Self::Zstd),
            "zstd-ref" | "zstd_ref" => Some(Self::ZstdRef),
            "lz4" => Some(Self::Lz4),
            _ => None,
        };
        let plain = plain.or_else(|| (text == "jpeg").then_some(Self::Jpeg { quality: JPEG_QUALITY }));
        let quality = || text.strip_prefix("jpeg:")?.parse().ok().filter(|q| (1..=100).contains(q));
        plain.or_else(|| quality().map(|quality| Self::Jpeg { quality })).ok_or_else(|| {
            ChunkError::refused(
                "the image codec",
                text,
                "auto, raw, zstd, zstd-ref, lz4, jpeg or jpeg:QUALITY with a quality of 1 to 100",
            )
        })
    }
}
