//! Encoding frames for a writer: which codec a frame gets, and its bytes.

use rdt_image::{Picture, Preprocessor};
use rdt_schema::{CameraSlot, ChannelOrder, Flip, FrameEncoding, FrameForm};

use crate::codec::{FrameCodec, ImageCodec, jpeg, lz4, zstd};
use crate::decode::FrameDecoder;
use crate::error::{ChunkError, Place};
use crate::frame_storage::FrameStorage;

/// Frames of a camera that build on one reference frame, itself included
/// ([`ImageCodec::ZstdRef`]); see `docs/format.md` for the measurements.
pub const ZSTD_REF_INTERVAL: u32 = 8;

/// Encodes the frames of one chunk.
pub(crate) struct FrameEncoder {
    choice: ImageCodec,
    decoder: FrameDecoder,
    zstd: Option<zstd::Encoder>,
    jpeg: Option<jpeg::Encoder>,
    /// Makes frames squares, where they are to be.
    preprocessor: Option<Preprocessor>,
    /// The frame at hand as upright RGB.
    pixels: Vec<u8>,
    /// The frame as the camera took it, where it is stored otherwise.
    unprepared: Vec<u8>,
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
    /// # Errors
    /// A size of 0, or over the format's limits.
    pub(crate) fn new(storage: FrameStorage) -> Result<Self, ChunkError> {
        let preprocessor = match storage.size {
            None => None,
            Some(size) if size > FrameStorage::MOST_SIZE => return Err(wrong_size(size)),
            Some(size) => Some(Preprocessor::new(size as usize).map_err(|_| wrong_size(size))?),
        };
        Ok(Self {
            choice: storage.codec,
            decoder: FrameDecoder::new(),
            preprocessor,
            zstd: None,
            jpeg: None,
            pixels: Vec::new(),
            unprepared: Vec::new(),
            encoded: Vec::new(),
            anchors: [const { None }; CameraSlot::COUNT],
        })
    }

    /// Rows and columns with which a frame of `form` is stored.
    pub(crate) fn stored_size(&self, form: &FrameForm) -> (u32, u32) {
        let size = self.preprocessor.as_ref().map(|preprocessor| preprocessor.size() as u32);
        size.map_or((form.height, form.width), |size| (size, size))
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
        let is_kept = self.choice == ImageCodec::Auto && self.preprocessor.is_none();
        if is_kept && form.encoding == FrameEncoding::Jpeg {
            self.decoder.check_source(form, source)?;
            return Ok(Encoded { bytes: source, codec: FrameCodec::Jpeg, reference: None, form: *form });
        }
        let (height, width) = self.upright(form, source)?;
        let upright = FrameForm {
            encoding: FrameEncoding::Raw,
            height,
            width,
            order: ChannelOrder::Rgb,
            flip: Flip::None,
        };
        self.encoded.clear();
        // Frames are prepared so that they load fast, and that lz4 does at any content.
        let choice = match self.choice {
            ImageCodec::Auto if self.preprocessor.is_some() => ImageCodec::Lz4,
            choice => choice,
        };
        let (codec, reference) = match choice {
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

    /// Puts the picture to store into `pixels`; returns its rows and columns.
    fn upright(&mut self, form: &FrameForm, source: &[u8]) -> Result<(u32, u32), ChunkError> {
        let Some(preprocessor) = &mut self.preprocessor else {
            return self.decoder.decode_source(form, source, &mut self.pixels);
        };
        let (height, width) = self.decoder.decode_source(form, source, &mut self.unprepared)?;
        let picture = Picture::new(height as usize, width as usize, &self.unprepared)
            .map_err(|error| fault(FrameCodec::Raw)(error.to_string()))?;
        let size = preprocessor.size();
        self.pixels.resize(size * size * 3, 0);
        preprocessor.square(picture, &mut self.pixels);
        Ok((size as u32, size as u32))
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

fn wrong_size(size: u32) -> ChunkError {
    ChunkError::refused("the size of stored frames", size, format!("1 to {} pixels", FrameStorage::MOST_SIZE))
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
