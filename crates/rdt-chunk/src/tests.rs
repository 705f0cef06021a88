//! Tests of the crate as a whole, by promise.

/// Every flipped bit, every truncation, every other byte string.
mod damage;
/// `docs/format.md` against the constants and the golden chunks.
mod format;
/// The golden chunks: built anew, and read.
mod golden;
/// Invalid chunks under fitting checksums.
mod hostile;
/// Maps of files.
mod mapped;
/// Rows and frames are stored once a chunk.
mod once;
/// Frames stored padded and resized.
mod prepared;
/// What a writer refuses, and what it leaves behind.
mod refused;
/// What is written is what is read, for any windows, steps and codecs.
mod roundtrip;

/// Made-up episodes for all of these.
mod toy;

/// The fuzz targets' way to make lengths and checksums fit.
#[path = "../fuzz/src/reseal.rs"]
mod reseal;
