//! Decoding frames: checksum, plausibility, pixels.
//!
//! Everything that a frame's bytes claim is compared with the frame table before room is
//! made for its pixels.

use rdt_schema::{FrameEncoding, FrameForm};

use crate::codec::pixels::{copy_upright, decoded_bytes, turn_upright};
use crate::codec::{FrameCodec, jpeg, lz4, zstd};
use crate::error::{ChunkError, Place};
use crate::frame_table::is_size_allowed;
use crate::frame_view::{FrameView, StoredFrame};

/// Decoded reference frames that are kept: a window's frames share theirs, and so do
/// those of the cameras next to each other.
const ANCHORS_KEPT: usize = 8;

/// Decodes frames to upright RGB pixels. Keeps the codecs' working memory, so one for
/// each thread is best.
///
/// See the [crate] for an example.
#[derive(Default)]
pub struct FrameDecoder {
    zstd: Option<zstd::Decoder>,
    jpeg: Option<jpeg::Decoder>,
    anchors: Vec<Anchor>,
    /// The kept anchor that is replaced next.
    oldest: usize,
}

/// A decoded reference frame.
struct Anchor {
    key: (u64, u32),
    pixels: Vec<u8>,
}

impl std::fmt::Debug for FrameDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrameDecoder").field("anchors", &self.anchors.len()).finish_non_exhaustive()
    }
}

impl FrameDecoder {
    /// A decoder without any working memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes a stored frame: `out` becomes `height * width * 3` bytes, upright RGB. It
    /// is not cleared first where it has that size already. Returns `(height, width)`.
    ///
    /// # Errors
    /// A checksum does not fit, or the bytes are no picture of the stated size; what
    /// `out` then holds is not said.
    pub fn decode(&mut self, frame: &FrameView<'_>, out: &mut Vec<u8>) -> Result<(u32, u32), ChunkError> {
        self.check(&frame.stored)?;
        resize(out, decoded_bytes(&frame.form));
        self.fill(frame, out)?;
        Ok((frame.form.height, frame.form.width))
    }

    /// As [`FrameDecoder::decode`], into room that has the frame's size already.
    ///
    /// # Errors
    /// As [`FrameDecoder::decode`], or `out` is not `height * width * 3` bytes long.
    pub fn decode_into(&mut self, frame: &FrameView<'_>, out: &mut [u8]) -> Result<(), ChunkError> {
        let expected = decoded_bytes(&frame.form);
        if out.len() != expected {
            return Err(ChunkError::Room { what: "the pixels of a frame", found: out.len(), expected });
        }
        self.check(&frame.stored)?;
        self.fill(frame, out)
    }

    /// Decodes a frame of a source to upright RGB. Returns `(height, width)`.
    ///
    /// # Errors
    /// The bytes are not of the stated form, or the size is over the format's limits.
    pub fn decode_source(
        &mut self,
        form: &FrameForm,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(u32, u32), ChunkError> {
        self.check_source(form, bytes)?;
        resize(out, decoded_bytes(form));
        match form.encoding {
            FrameEncoding::Raw => copy_upright(bytes, form, out),
            FrameEncoding::Jpeg => self.fill_jpeg(form, bytes, out, Place::Source)?,
        }
        Ok((form.height, form.width))
    }

    /// Whether a frame of a source is of the stated form, without decoding it.
    pub(crate) fn check_source(&mut self, form: &FrameForm, bytes: &[u8]) -> Result<(), ChunkError> {
        if !is_size_allowed(form.height, form.width) {
            let found = format!("{} x {} pixels", form.height, form.width);
            return Err(ChunkError::invalid(
                Place::Source,
                "the size",
                found,
                "one that docs/format.md allows",
            ));
        }
        match form.encoding {
            FrameEncoding::Raw if bytes.len() == decoded_bytes(form) => Ok(()),
            FrameEncoding::Raw => {
                let expected = format!("height x width x 3 = {}", decoded_bytes(form));
                Err(ChunkError::invalid(Place::Source, "the length", bytes.len(), expected))
            }
            FrameEncoding::Jpeg => {
                let jpeg = ready(&mut self.jpeg, jpeg::Decoder::new);
                let checked = jpeg.and_then(|jpeg| jpeg.check(bytes, form.height, form.width));
                checked.map_err(fault(Place::Source, FrameCodec::Jpeg))
            }
        }
    }

    /// Checksum and claims of a stored frame. A raw one claims nothing, its size was compared with
    /// the table, and its checksum is compared while it is copied.
    fn check(&mut self, frame: &StoredFrame<'_>) -> Result<(), ChunkError> {
        if frame.codec == FrameCodec::Raw {
            return Ok(());
        }
        let place = Place::Frame(frame.number);
        frame.checksum.check(frame.bytes, place)?;
        let expected = decoded_bytes(&frame.form);
        let checked = match frame.codec {
            FrameCodec::Raw => Ok(()),
            FrameCodec::Zstd | FrameCodec::ZstdRef => zstd::check(frame.bytes, expected),
            FrameCodec::Lz4 => lz4::check(frame.bytes, expected),
            FrameCodec::Jpeg => ready(&mut self.jpeg, jpeg::Decoder::new)
                .and_then(|jpeg| jpeg.check(frame.bytes, frame.form.height, frame.form.width)),
        };
        checked.map_err(fault(place, frame.codec))
    }

    /// Decodes a checked frame into room of its size.
    fn fill(&mut self, frame: &FrameView<'_>, out: &mut [u8]) -> Result<(), ChunkError> {
        match &frame.reference {
            None => self.fill_alone(&frame.stored, out),
            Some(reference) => {
                let anchor = self.anchor(frame.chunk, reference)?;
                let zstd = ready(&mut self.zstd, zstd::Decoder::new);
                let pixels = &self.anchors[anchor].pixels;
                zstd.and_then(|zstd| zstd.decode_with_prefix(frame.stored.bytes, pixels, out))
                    .map_err(fault(Place::Frame(frame.stored.number), FrameCodec::ZstdRef))
            }
        }
    }

    /// As [`FrameDecoder::fill`], of a frame that needs no other.
    fn fill_alone(&mut self, frame: &StoredFrame<'_>, out: &mut [u8]) -> Result<(), ChunkError> {
        let place = Place::Frame(frame.number);
        let filled = match frame.codec {
            FrameCodec::Raw if frame.bytes.len() == out.len() => {
                return frame.checksum.check_and_copy(frame.bytes, out, place);
            }
            FrameCodec::Raw => Err(format!("{} bytes, expected {}", frame.bytes.len(), out.len())),
            FrameCodec::Zstd => {
                ready(&mut self.zstd, zstd::Decoder::new).and_then(|zstd| zstd.decode(frame.bytes, out))
            }
            FrameCodec::Lz4 => lz4::decode(frame.bytes, out),
            FrameCodec::Jpeg => return self.fill_jpeg(&frame.form, frame.bytes, out, place),
            FrameCodec::ZstdRef => Err("a reference frame must not need one itself".into()),
        };
        filled.map_err(fault(place, frame.codec))
    }

    fn fill_jpeg(
        &mut self,
        form: &FrameForm,
        bytes: &[u8],
        out: &mut [u8],
        place: Place,
    ) -> Result<(), ChunkError> {
        ready(&mut self.jpeg, jpeg::Decoder::new)
            .and_then(|jpeg| jpeg.decode(bytes, form.height, form.width, form.order, out))
            .map_err(fault(place, FrameCodec::Jpeg))?;
        turn_upright(out, form.width, form.flip);
        Ok(())
    }

    /// Position among the kept anchors of a reference frame, decoded now if it is not there.
    fn anchor(&mut self, chunk: u64, reference: &StoredFrame<'_>) -> Result<usize, ChunkError> {
        let key = (chunk, reference.number);
        if let Some(kept) = self.anchors.iter().position(|anchor| anchor.key == key) {
            return Ok(kept);
        }
        self.check(reference)?;
        let place = self.oldest;
        let recycled = if place < self.anchors.len() {
            // Out of the list until it is whole, so that no failure leaves half a frame.
            std::mem::take(&mut self.anchors[place]).pixels
        } else {
            Vec::new()
        };
        let mut pixels = recycled;
        resize(&mut pixels, decoded_bytes(&reference.form));
        self.fill_alone(reference, &mut pixels)?;
        let anchor = Anchor { key, pixels };
        match self.anchors.get_mut(place) {
            Some(kept) => *kept = anchor,
            None => self.anchors.push(anchor),
        }
        self.oldest = (place + 1) % ANCHORS_KEPT;
        Ok(place)
    }
}

impl Default for Anchor {
    /// An anchor of no chunk: chunks are numbered from 1.
    fn default() -> Self {
        Self { key: (0, 0), pixels: Vec::new() }
    }
}

/// The codec in `place`, made at its first use.
fn ready<T>(place: &mut Option<T>, make: impl FnOnce() -> Result<T, String>) -> Result<&mut T, String> {
    match place {
        Some(codec) => Ok(codec),
        None => Ok(place.insert(make()?)),
    }
}

fn fault(place: Place, codec: FrameCodec) -> impl FnOnce(String) -> ChunkError {
    move |reason| ChunkError::Frame { place, codec: codec.name(), reason }
}

/// Makes `out` `length` bytes long; without touching it where it is.
fn resize(out: &mut Vec<u8>, length: usize) {
    if out.len() != length {
        out.clear();
        out.resize(length, 0);
    }
}
