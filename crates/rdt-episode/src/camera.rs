//! The frames of one camera of one episode: an array of the file, PNG files beside it, or memory.
//!
//! Owns how a frame's bytes get their [`FrameForm`]. Decodes PNG (to raw RGB), never JPEG.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use rdt_schema::card::{CameraRule, FileTemplate};
use rdt_schema::{ChannelOrder, Flip, FrameEncoding, FrameForm};

use crate::EpisodeError;
use crate::container::FrameArray;

/// Largest picture that is read: beyond it a damaged header is the likelier cause.
const LARGEST_PNG_BYTES: usize = 256 << 20;

/// Frames held in memory, for tests and for episodes that come from elsewhere.
#[derive(Debug, Clone)]
pub struct MemoryFrames {
    /// How each frame is to be read.
    pub form: FrameForm,
    /// One entry a frame.
    pub frames: Vec<Vec<u8>>,
}

/// The frames of one camera.
#[derive(Debug)]
pub(crate) struct CameraFrames {
    source: FrameSource,
    hints: Hints,
}

/// What a card says about a camera's pictures.
#[derive(Debug, Clone, Copy)]
struct Hints {
    jpeg: ChannelOrder,
    raw: ChannelOrder,
    flip: Flip,
}

#[derive(Debug)]
enum FrameSource {
    Array(FrameArray),
    Files(PngFiles),
    Memory(MemoryFrames),
}

/// Numbered PNG files in and below one folder.
#[derive(Debug)]
pub(crate) struct PngFiles {
    /// The folder that paths are relative to.
    pub folder: PathBuf,
    /// How frame numbers become paths.
    pub template: FileTemplate,
    /// Position of the episode in its file.
    pub episode: u64,
    /// Number that ends the episode's key.
    pub number: u64,
    /// Frames that the episode needs.
    pub count: u32,
}

impl PngFiles {
    pub(crate) fn path(&self, index: u32) -> PathBuf {
        self.folder.join(self.template.path(self.episode, self.number, u64::from(index)))
    }
}

impl CameraFrames {
    pub(crate) fn of_array(array: FrameArray, rule: &CameraRule) -> Self {
        Self { source: FrameSource::Array(array), hints: Hints::of(rule) }
    }

    pub(crate) fn of_files(files: PngFiles, rule: &CameraRule) -> Self {
        Self { source: FrameSource::Files(files), hints: Hints::of(rule) }
    }

    pub(crate) fn of_memory(frames: MemoryFrames) -> Self {
        let MemoryFrames { form, .. } = frames;
        let hints = Hints { jpeg: form.order, raw: form.order, flip: form.flip };
        Self { source: FrameSource::Memory(frames), hints }
    }

    /// Number of frames.
    pub(crate) fn count(&self) -> usize {
        match &self.source {
            FrameSource::Array(array) => array.len(),
            FrameSource::Files(files) => files.count as usize,
            FrameSource::Memory(memory) => memory.frames.len(),
        }
    }

    /// What the bytes of a frame are.
    pub(crate) fn encoding(&self) -> FrameEncoding {
        match &self.source {
            FrameSource::Array(array) => array.encoding(),
            FrameSource::Files(_) => FrameEncoding::Raw,
            FrameSource::Memory(memory) => memory.form.encoding,
        }
    }

    /// Replaces `out` by the bytes of frame `index` and says how to read them.
    pub(crate) fn read(&self, index: u32, out: &mut Vec<u8>) -> Result<FrameForm, EpisodeError> {
        let encoding = self.encoding();
        let (height, width) = match &self.source {
            FrameSource::Array(array) => array.read(index as usize, out)?,
            FrameSource::Files(files) => read_png(&files.path(index), out)?,
            FrameSource::Memory(memory) => {
                let frame = memory.frames.get(index as usize).ok_or_else(|| {
                    EpisodeError::content(
                        Path::new("memory"),
                        format!("frame {index}"),
                        format!("{} frames", memory.frames.len()),
                        "a frame for each step",
                        "hand over as many frames as steps",
                    )
                })?;
                out.clear();
                out.extend_from_slice(frame);
                (memory.form.height, memory.form.width)
            }
        };
        let order = match encoding {
            FrameEncoding::Raw => self.hints.raw,
            FrameEncoding::Jpeg => self.hints.jpeg,
        };
        Ok(FrameForm { encoding, height, width, order, flip: self.hints.flip })
    }

    /// Checks the structure of every frame without decoding any, and that all have one size.
    pub(crate) fn check(&self) -> Result<(), EpisodeError> {
        match &self.source {
            FrameSource::Array(array) => array.check_all().map(|_| ()),
            FrameSource::Files(files) => check_png_sizes(files),
            FrameSource::Memory(_) => Ok(()),
        }
    }
}

impl Hints {
    fn of(rule: &CameraRule) -> Self {
        Self { jpeg: rule.jpeg_channels, raw: rule.raw_channels, flip: rule.flip }
    }
}

fn check_png_sizes(files: &PngFiles) -> Result<(), EpisodeError> {
    let mut first = None;
    for index in 0..files.count {
        let path = files.path(index);
        let size = png_size(&path)?;
        let expected = *first.get_or_insert(size);
        if size != expected {
            return Err(EpisodeError::content(
                &path,
                "header",
                format!("{} x {} pixels", size.0, size.1),
                format!("{} x {}, as the episode's first frame has", expected.0, expected.1),
                "render the episode again",
            ));
        }
    }
    Ok(())
}

fn open(path: &Path) -> Result<File, EpisodeError> {
    File::open(path).map_err(|cause| {
        EpisodeError::open(
            path,
            "no readable file",
            "the PNG file of a frame",
            "check the template of the card's camera and that every frame was rendered",
        )
        .caused_by(cause)
    })
}

fn png_fault(path: &Path, place: &str, found: impl Into<String>) -> EpisodeError {
    EpisodeError::content(
        path,
        place,
        found,
        "a PNG of 8 bits a channel (RGB, RGBA, grey or palette)",
        "write the frame again",
    )
}

/// Height and width from a PNG file's first 24 bytes.
fn png_size(path: &Path) -> Result<(u32, u32), EpisodeError> {
    let mut header = [0u8; 24];
    open(path)?
        .read_exact(&mut header)
        .map_err(|cause| png_fault(path, "header", "fewer than 24 bytes").caused_by(cause))?;
    let [signature @ .., _, _, _, _, _, _, _, _, _, _, _, _] = &header;
    if signature != b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d" {
        return Err(png_fault(path, "header", "bytes that are no PNG header"));
    }
    let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    Ok((number(20), number(16)))
}

/// Replaces `out` by the RGB pixels of a PNG file and returns its (height, width).
///
/// Alpha is dropped, grey and palettes are spread to three channels.
///
/// # Errors
/// The file is missing, no PNG, damaged, has 16 bits a channel, or is absurdly large.
pub fn read_png(path: &Path, out: &mut Vec<u8>) -> Result<(u32, u32), EpisodeError> {
    let damaged = |cause: png::DecodingError| png_fault(path, "pixels", "a damaged file").caused_by(cause);
    let limits = png::Limits { bytes: LARGEST_PNG_BYTES };
    let mut decoder = png::Decoder::new_with_limits(BufReader::new(open(path)?), limits);
    decoder.set_transformations(png::Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(damaged)?;
    let size = reader.output_buffer_size().filter(|&size| size <= LARGEST_PNG_BYTES);
    let size = size.ok_or_else(|| png_fault(path, "header", "an absurdly large picture"))?;
    out.clear();
    out.resize(size, 0);
    let frame = reader.next_frame(out).map_err(damaged)?;
    if frame.bit_depth != png::BitDepth::Eight {
        return Err(png_fault(path, "header", format!("{} bits a channel", frame.bit_depth as u8)));
    }
    out.truncate(frame.buffer_size());
    let channels = frame.color_type.samples();
    if channels != 3 {
        let pixels: Vec<u8> = out
            .chunks_exact(channels)
            .flat_map(|pixel| match pixel {
                [red, green, blue, _] => [*red, *green, *blue],
                [grey, ..] => [*grey; 3],
                [] => [0; 3],
            })
            .collect();
        *out = pixels;
    }
    Ok((frame.height, frame.width))
}
