//! Encoding frames for a writer: which codec a frame gets, and its bytes.

use rdt_schema::{CameraSlot, ChannelOrder, Flip, FrameEncoding, FrameForm};

use crate::codec::{FrameCodec, ImageCodec, jpeg, lz4, zstd};
use crate::decode::FrameDecoder;
use crate::error::{ChunkError, Place};

/// Frames of a camera that build on one reference frame, itself included
/// ([`ImageCodec::ZstdRef`]); see `docs/format.md` for the measurements.
pub const ZSTD_REF_INTERVAL: u32 = 8;

/// Encodes the frames of one chunk.
pub(crate) struct FrameEncoder {
    choice: ImageCodec,
    decoder: FrameDecoder,
    zstd: Option<zstd::Encoder>,
    jpeg: Option<jpeg::Encoder>,
    /// The frame at hand as upright RGB.
    pixels: Vec<u8>,
    /// The frame at hand, encoded.
    encoded: Vec<u8>,
    anchors: [Option<Anchor>; CameraSlot::COUNT],
}

/// The frame that the following ones of a camera build on.
struct Anchor {
    number: u32,
    height: u32,
    width: u32,
    pixels: Vec<u8>,
    uses: u32,
}

/// An encoded frame.
#[derive(Debug)]
pub(crate) struct Encoded<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) codec: FrameCodec,
    pub(crate) reference: Option<u32>,
    /// Order and flip are those of a JPEG passed through, else upright RGB.
    pub(crate) form: FrameForm,
}

impl FrameEncoder {
    pub(crate) fn new(choice: ImageCodec) -> Self {
        Self {
            choice,
            decoder: FrameDecoder::new(),
            zstd: None,
            jpeg: None,
            pixels: Vec::new(),
            encoded: Vec::new(),
            anchors: [const { None }; CameraSlot::COUNT],
        }
    }

    /// Forgets the reference frames: the next frames are another episode's.
    pub(crate) fn start_episode(&mut self) {
        self.anchors = [const { None }; CameraSlot::COUNT];
    }

    /// Encodes frame `number` of the chunk, which `camera` took.
    pub(crate) fn encode<'a>(
        &'a mut self,
        camera: CameraSlot,
        number: u32,
        form: &FrameForm,
        source: &'a [u8],
    ) -> Result<Encoded<'a>, ChunkError> {
        if self.choice == ImageCodec::Auto && form.encoding == FrameEncoding::Jpeg {
            self.decoder.check_source(form, source)?;
            return Ok(Encoded { bytes: source, codec: FrameCodec::Jpeg, reference: None, form: *form });
        }
        self.decoder.decode_source(form, source, &mut self.pixels)?;
        let upright =
            FrameForm { encoding: FrameEncoding::Raw, order: ChannelOrder::Rgb, flip: Flip::None, ..*form };
        self.encoded.clear();
        let (codec, reference) = match self.choice {
            ImageCodec::Raw => (FrameCodec::Raw, None),
            ImageCodec::Zstd => {
                zstd_ready(&mut self.zstd)
                    .and_then(|zstd| zstd.encode(&self.pixels, &mut self.encoded))
                    .map_err(fault(FrameCodec::Zstd))?;
                (FrameCodec::Zstd, None)
            }
            ImageCodec::Auto | ImageCodec::ZstdRef => self.encode_with_reference(camera, number, &upright)?,
            ImageCodec::Lz4 => {
                lz4::encode(&self.pixels, &mut self.encoded)
                    .map_err(|error| fault(FrameCodec::Lz4)(error.to_string()))?;
                (FrameCodec::Lz4, None)
            }
            ImageCodec::Jpeg { quality } => {
                self.encode_jpeg(&upright, quality).map_err(fault(FrameCodec::Jpeg))?;
                let form = FrameForm { encoding: FrameEncoding::Jpeg, ..upright };
                return Ok(Encoded { bytes: &self.encoded, codec: FrameCodec::Jpeg, reference: None, form });
            }
        };
        // What does not shrink is stored as it is: cheaper to read, and never larger.
        if codec == FrameCodec::Raw || self.encoded.len() >= self.pixels.len() {
            return Ok(Encoded {
                bytes: &self.pixels,
                codec: FrameCodec::Raw,
                reference: None,
                form: upright,
            });
        }
        Ok(Encoded { bytes: &self.encoded, codec, reference, form: upright })
    }

    fn encode_jpeg(&mut self, form: &FrameForm, quality: u8) -> Result<(), String> {
        let encoder = match &mut self.jpeg {
            Some(encoder) => encoder,
            empty => empty.insert(jpeg::Encoder::new(quality)?),
        };
        encoder.encode(&self.pixels, form.height as usize, form.width as usize, &mut self.encoded)
    }

    /// The first frame of a camera, and then every [`ZSTD_REF_INTERVAL`]th, stands alone;
    /// those between build on it. A reference needs none itself, so decoding any frame
    /// takes at most two.
    fn encode_with_reference(
        &mut self,
        camera: CameraSlot,
        number: u32,
        form: &FrameForm,
    ) -> Result<(FrameCodec, Option<u32>), ChunkError> {
        let kept = &mut self.anchors[camera.index()];
        let zstd = zstd_ready(&mut self.zstd).map_err(fault(FrameCodec::Zstd))?;
        let usable = kept.as_mut().filter(|anchor| {
            anchor.uses < ZSTD_REF_INTERVAL && (anchor.height, anchor.width) == (form.height, form.width)
        });
        match usable {
            Some(anchor) => {
                anchor.uses += 1;
                zstd.encode_with_prefix(&self.pixels, &anchor.pixels, &mut self.encoded)
                    .map_err(fault(FrameCodec::ZstdRef))?;
                Ok((FrameCodec::ZstdRef, Some(anchor.number)))
            }
            None => {
                zstd.encode(&self.pixels, &mut self.encoded).map_err(fault(FrameCodec::Zstd))?;
                let mut pixels = kept.take().map(|anchor| anchor.pixels).unwrap_or_default();
                pixels.clone_from(&self.pixels);
                *kept = Some(Anchor { number, height: form.height, width: form.width, pixels, uses: 1 });
                Ok((FrameCodec::Zstd, None))
            }
        }
    }
}

fn zstd_ready(place: &mut Option<zstd::Encoder>) -> Result<&mut zstd::Encoder, String> {
    match place {
        Some(encoder) => Ok(encoder),
        empty => Ok(empty.insert(zstd::Encoder::new()?)),
    }
}

fn fault(codec: FrameCodec) -> impl FnOnce(String) -> ChunkError {
    move |reason| ChunkError::Frame { place: Place::Source, codec: codec.name(), reason }
}
