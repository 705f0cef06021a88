//! lz4 blocks of pixels, without a size in front: the frame table tells it.

use std::io;

/// A block grows at most this much: each further byte of input makes at most 255 bytes.
const MOST_GROWTH: usize = 255;

/// Appends the block of `pixels` to `out`.
pub(crate) fn encode(pixels: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let start = out.len();
    out.resize(start + lz4_flex::block::get_maximum_output_size(pixels.len()), 0);
    let length = lz4_flex::block::compress_into(pixels, &mut out[start..]).map_err(io::Error::other)?;
    out.truncate(start + length);
    Ok(())
}

/// Whether `bytes` can hold `expected` bytes of pixels at all; asked before allocating.
pub(crate) fn check(bytes: &[u8], expected: usize) -> Result<(), String> {
    if expected / MOST_GROWTH <= bytes.len() {
        Ok(())
    } else {
        Err(format!("{} bytes cannot hold {expected} bytes of pixels", bytes.len()))
    }
}

/// Decodes a block that fills `out` exactly.
pub(crate) fn decode(bytes: &[u8], out: &mut [u8]) -> Result<(), String> {
    match lz4_flex::block::decompress_into(bytes, out) {
        Ok(length) if length == out.len() => Ok(()),
        Ok(length) => Err(format!("{length} bytes of pixels, expected {}", out.len())),
        Err(error) => Err(error.to_string()),
    }
}
