//! zstd frames of pixels, alone or with an earlier frame's pixels as prefix.
//!
//! The content size is in every zstd frame's header and must be that of the frame table;
//! it is looked at before anything is allocated. zstd's own checksum is off: the frame
//! table has one.

use zstd::zstd_safe::{
    self, CCtx, CParameter, DCtx, ErrorCode, ResetDirective, get_error_name, get_frame_content_size,
};

/// Compression level of frames stored alone; chosen by measurement, see `docs/format.md`.
pub(crate) const LEVEL: i32 = 1;
/// Compression level of frames with a prefix.
pub(crate) const LEVEL_WITH_PREFIX: i32 = 1;
/// The first bytes of a trained dictionary. A prefix that happens to start with them
/// would be taken for one by the call that reuses a context.
const DICTIONARY_MAGIC: [u8; 4] = 0xEC30_A437_u32.to_le_bytes();

/// Compresses frames; holds zstd's working memory.
pub(crate) struct Encoder {
    context: CCtx<'static>,
}

impl Encoder {
    pub(crate) fn new() -> Result<Self, String> {
        let mut context = CCtx::try_create().ok_or("no memory for a zstd context")?;
        context.set_parameter(CParameter::CompressionLevel(LEVEL)).map_err(message)?;
        Ok(Self { context })
    }

    /// Appends `pixels`, compressed alone, to `out`.
    pub(crate) fn encode(&mut self, pixels: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
        compress(&mut self.context, pixels, out)
    }

    /// Appends `pixels`, compressed with `prefix` before them, to `out`.
    pub(crate) fn encode_with_prefix(
        &mut self,
        pixels: &[u8],
        prefix: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        // zstd-safe ties the prefix's lifetime to the context's, so each gets its own.
        let mut context = CCtx::try_create().ok_or("no memory for a zstd context")?;
        // The window must reach over both, or the far part of the prefix is out of sight.
        let window_log = (prefix.len() + pixels.len()).next_power_of_two().trailing_zeros().clamp(10, 27);
        let level = CParameter::CompressionLevel(LEVEL_WITH_PREFIX);
        context.set_parameter(level).map_err(message)?;
        context.set_parameter(CParameter::WindowLog(window_log)).map_err(message)?;
        context.ref_prefix(prefix).map_err(message)?;
        compress(&mut context, pixels, out)
    }
}

fn compress(context: &mut CCtx<'_>, pixels: &[u8], out: &mut Vec<u8>) -> Result<(), String> {
    let start = out.len();
    out.resize(start + zstd_safe::compress_bound(pixels.len()), 0);
    let length = context.compress2(&mut out[start..], pixels).map_err(message)?;
    out.truncate(start + length);
    Ok(())
}

/// Decompresses frames; holds zstd's working memory.
pub(crate) struct Decoder {
    context: DCtx<'static>,
}

impl Decoder {
    pub(crate) fn new() -> Result<Self, String> {
        Ok(Self { context: DCtx::try_create().ok_or("no memory for a zstd context")? })
    }

    /// Decodes a frame that fills `out` exactly.
    pub(crate) fn decode(&mut self, bytes: &[u8], out: &mut [u8]) -> Result<(), String> {
        let expected = out.len();
        let result = self.context.decompress(out, bytes);
        self.finish(result, expected)
    }

    /// Decodes a frame that was compressed with `prefix` before it.
    pub(crate) fn decode_with_prefix(
        &mut self,
        bytes: &[u8],
        prefix: &[u8],
        out: &mut [u8],
    ) -> Result<(), String> {
        let expected = out.len();
        if prefix.starts_with(&DICTIONARY_MAGIC) {
            let mut context = DCtx::try_create().ok_or("no memory for a zstd context")?;
            context.ref_prefix(prefix).map_err(message)?;
            let result = context.decompress(out, bytes);
            return self.finish(result, expected);
        }
        let result = self.context.decompress_using_dict(out, bytes, prefix);
        self.finish(result, expected)
    }

    fn finish(&mut self, result: Result<usize, ErrorCode>, expected: usize) -> Result<(), String> {
        match result {
            Ok(length) if length == expected => Ok(()),
            Ok(length) => Err(format!("{length} bytes of pixels, expected {expected}")),
            Err(code) => {
                // A context that failed half way starts over at its next call; say so.
                self.context.reset(ResetDirective::SessionOnly).map_err(message)?;
                Err(message(code))
            }
        }
    }
}

/// Whether `bytes` say that they hold `expected` bytes of pixels; asked before allocating.
pub(crate) fn check(bytes: &[u8], expected: usize) -> Result<(), String> {
    match get_frame_content_size(bytes) {
        Ok(Some(found)) if found == expected as u64 => Ok(()),
        Ok(Some(found)) => Err(format!("content size is {found}, expected {expected}")),
        Ok(None) => Err(format!("the content size is missing, expected {expected}")),
        Err(_) => Err("this is no zstd frame".into()),
    }
}

fn message(code: ErrorCode) -> String {
    get_error_name(code).into()
}
