//! JPEG files: libjpeg-turbo, as RDT's loaders use it.

use rdt_schema::ChannelOrder;
use turbojpeg::{Compressor, Decompressor, Image, PixelFormat, Subsamp};

use super::pixels::PIXEL;

/// Most scans of a progressive file: real ones have about ten, and each further one
/// costs a whole pass over the picture.
const MOST_SCANS: u32 = 64;

/// Encodes pixels; holds libjpeg's working memory.
pub(crate) struct Encoder {
    compressor: Compressor,
}

impl Encoder {
    pub(crate) fn new(quality: u8) -> Result<Self, String> {
        let mut compressor = Compressor::new().map_err(message)?;
        compressor.set_quality(i32::from(quality)).map_err(message)?;
        compressor.set_subsamp(Subsamp::Sub2x2).map_err(message)?;
        Ok(Self { compressor })
    }

    /// Appends the JPEG file of upright RGB `pixels` to `out`.
    pub(crate) fn encode(
        &mut self,
        pixels: &[u8],
        height: usize,
        width: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let image = Image { pixels, width, pitch: width * PIXEL, height, format: PixelFormat::RGB };
        let start = out.len();
        out.resize(start + self.compressor.buf_len(width, height).map_err(message)?, 0);
        let length = self.compressor.compress_to_slice(image, &mut out[start..]).map_err(message)?;
        out.truncate(start + length);
        Ok(())
    }
}

/// Decodes JPEG files; holds libjpeg's working memory, of one file at a time.
pub(crate) struct Decoder {
    decompressor: Decompressor,
}

impl Decoder {
    pub(crate) fn new() -> Result<Self, String> {
        let mut decompressor = Decompressor::new().map_err(message)?;
        decompressor.set_scan_limit(MOST_SCANS).map_err(message)?;
        Ok(Self { decompressor })
    }

    /// Whether the file's own size is the expected one; asked before allocating.
    pub(crate) fn check(&mut self, bytes: &[u8], height: u32, width: u32) -> Result<(), String> {
        // libjpeg keeps the tables of the file before: one that lacks its own would then decode,
        // wrongly, or not, depending on which frame a thread had decoded last.
        *self = Self::new()?;
        let header = self.decompressor.read_header(bytes).map_err(message)?;
        if header.height == height as usize && header.width == width as usize {
            Ok(())
        } else {
            Err(format!(
                "the picture is {} x {} pixels (height x width), expected {height} x {width}",
                header.height, header.width
            ))
        }
    }

    /// Decodes a file that [`Decoder::check`] has accepted to RGB rows as stored.
    pub(crate) fn decode(
        &mut self,
        bytes: &[u8],
        height: u32,
        width: u32,
        order: ChannelOrder,
        out: &mut [u8],
    ) -> Result<(), String> {
        let (height, width) = (height as usize, width as usize);
        let format = match order {
            ChannelOrder::Rgb => PixelFormat::RGB,
            ChannelOrder::Bgr => PixelFormat::BGR,
        };
        let image = Image { pixels: out, width, pitch: width * PIXEL, height, format };
        self.decompressor.decompress(bytes, image).map_err(message)
    }
}

fn message(error: turbojpeg::Error) -> String {
    error.to_string()
}
