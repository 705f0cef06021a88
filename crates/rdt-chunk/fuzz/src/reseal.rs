//! Makes the outside of a mutated chunk right again, so that a fuzzer gets past the
//! checksums to the code behind them. Offsets are those of `docs/format.md`.

const HEADER: usize = 128;
const FRAME_RECORD: usize = 28;
const SAMPLE_RECORD: usize = 20;

/// Sets magic, version, lengths, frame offsets and all checksums to what fits the bytes.
/// Counts, tables' other fields, rows, metadata and frames stay as they are.
pub(super) fn reseal(bytes: &mut [u8]) {
    if bytes.len() < HEADER {
        return;
    }
    let payload = bytes.len() - HEADER;
    put(bytes, 0, b"\x89RDTC\r\n\x1a");
    put(bytes, 8, &1u32.to_le_bytes());
    put(bytes, 12, &(HEADER as u32).to_le_bytes());
    let length = bytes.len() as u64;
    put(bytes, 16, &length.to_le_bytes());
    put(bytes, 120, &[0; 4]);

    // Sections take what is left, in the order in which the header lists them.
    let (samples, frames) = (u32_at(bytes, 40), u32_at(bytes, 44));
    let frame_table = (frames as usize).min(payload / FRAME_RECORD) * FRAME_RECORD;
    let sample_table = (samples as usize).min((payload - frame_table) / SAMPLE_RECORD) * SAMPLE_RECORD;
    put(bytes, 44, &((frame_table / FRAME_RECORD) as u32).to_le_bytes());
    put(bytes, 40, &((sample_table / SAMPLE_RECORD) as u32).to_le_bytes());
    let left = payload - frame_table - sample_table;
    let rows = (u64_at(bytes, 88).min(left as u64) as usize) / 4 * 4;
    let metadata = u64_at(bytes, 96).min((left - rows) as u64) as usize;
    let frame_bytes = left - rows - metadata;
    let lengths = [frame_bytes, frame_table, sample_table, rows, metadata];
    for (i, length) in lengths.iter().enumerate() {
        put(bytes, 64 + 8 * i, &(*length as u64).to_le_bytes());
    }

    seal_frames(bytes, HEADER + frame_bytes, frame_table / FRAME_RECORD);
    let mut start = HEADER + frame_bytes;
    for (i, length) in lengths.iter().skip(1).enumerate() {
        let checksum = crc32c::crc32c(&bytes[start..start + length]);
        put(bytes, 104 + 4 * i, &checksum.to_le_bytes());
        start += length;
    }
    let checksum = crc32c::crc32c(&bytes[..124]);
    put(bytes, 124, &checksum.to_le_bytes());
}

/// Lets the frames tile the section: each keeps its length where it can, the last takes
/// what is left.
fn seal_frames(bytes: &mut [u8], end: usize, frames: usize) {
    let mut offset = HEADER;
    for frame in 0..frames {
        let record = end + frame * FRAME_RECORD;
        let stated = u32_at(bytes, record + 8) as usize;
        let left = end - offset;
        let length = if frame + 1 == frames { left } else { stated.min(left) };
        let checksum = crc32c::crc32c(&bytes[offset..offset + length]);
        put(bytes, record, &(offset as u64).to_le_bytes());
        put(bytes, record + 8, &(length as u32).to_le_bytes());
        put(bytes, record + 12, &checksum.to_le_bytes());
        offset += length;
    }
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
