//! Undoing HDF5's filters on one chunk, outside the library's lock.
//!
//! Owns gzip, LZF, shuffle and Fletcher-32, in any order with at most one of the two
//! compressors. Other filters are the library's, where it has them.

use std::cell::RefCell;

use hdf5::filters::Filter;

use super::lzf;

const LZF_ID: i32 = 32000;
const CHECKSUM_BYTES: usize = 4;
/// A thread's buffers above this are given back after use.
const KEPT_SCRATCH_BYTES: usize = 16 << 20;

/// A filter that this module undoes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Shuffle { element_bytes: usize },
    Deflate,
    Lzf,
    Fletcher32,
}

/// The filters of a data set, in the order in which they were applied.
#[derive(Debug, Clone, Default)]
pub(super) struct Pipeline(Vec<Step>);

/// Buffers and inflater of one thread.
pub(super) struct Scratch {
    inflater: libdeflater::Decompressor,
    /// The stored bytes before, the chunk's bytes after [`Pipeline::decode`].
    pub(super) bytes: Vec<u8>,
    spare: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch {
        inflater: libdeflater::Decompressor::new(),
        bytes: Vec::new(),
        spare: Vec::new(),
    });
}

/// Lends this thread's buffers.
pub(super) fn with_scratch<T>(work: impl FnOnce(&mut Scratch) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        let done = work(scratch);
        if scratch.bytes.capacity() + scratch.spare.capacity() > KEPT_SCRATCH_BYTES {
            scratch.bytes = Vec::new();
            scratch.spare = Vec::new();
        }
        done
    })
}

/// The name a user knows a filter by.
pub(super) fn name(filter: &Filter) -> String {
    let known = match filter.id() {
        1 => "gzip",
        2 => "shuffle",
        3 => "fletcher32",
        4 => "szip",
        5 => "n-bit",
        6 => "scale-offset",
        LZF_ID => "lzf",
        32001 => "blosc",
        32004 => "lz4",
        32008 => "bitshuffle",
        32013 => "zfp",
        32015 => "zstd",
        32026 => "blosc2",
        id => return format!("number {id}"),
    };
    format!("{known} (number {})", filter.id())
}

impl Pipeline {
    /// The pipeline, where this module can undo all of it.
    pub(super) fn of(filters: &[Filter], element_bytes: usize) -> Option<Self> {
        let steps: Vec<Step> = filters
            .iter()
            .map(|filter| match filter {
                Filter::Shuffle => Some(Step::Shuffle { element_bytes }),
                Filter::Deflate(_) => Some(Step::Deflate),
                Filter::Fletcher32 => Some(Step::Fletcher32),
                other if other.id() == LZF_ID => Some(Step::Lzf),
                _ => None,
            })
            .collect::<Option<_>>()?;
        // Between two compressors the length is not known beforehand; nobody stacks them.
        let compressors = steps.iter().filter(|s| matches!(s, Step::Deflate | Step::Lzf)).count();
        (compressors <= 1).then_some(Self(steps))
    }

    /// Whether a chunk's bytes are stored as they are.
    pub(super) fn is_plain(&self, mask: u32) -> bool {
        (0..self.0.len()).all(|position| masked(mask, position))
    }

    /// Turns the stored bytes in `scratch.bytes` into the chunk's `chunk_bytes` bytes there.
    /// `mask` has a bit for each filter that was left out when the chunk was written.
    /// The error says (found, expected).
    pub(super) fn decode(
        &self,
        mask: u32,
        chunk_bytes: usize,
        scratch: &mut Scratch,
    ) -> Result<(), (String, String)> {
        for (position, step) in self.0.iter().enumerate().rev() {
            if masked(mask, position) {
                continue;
            }
            let before = self.0[..position].iter().enumerate();
            let checksums = before.filter(|&(p, &s)| s == Step::Fletcher32 && !masked(mask, p)).count();
            let unpacked = chunk_bytes + checksums * CHECKSUM_BYTES;
            match *step {
                Step::Fletcher32 => verify_fletcher32(&mut scratch.bytes)?,
                Step::Shuffle { element_bytes } => {
                    if element_bytes > 1 {
                        unshuffle(&scratch.bytes, element_bytes, &mut scratch.spare);
                        std::mem::swap(&mut scratch.bytes, &mut scratch.spare);
                    }
                }
                Step::Deflate => {
                    scratch.spare.resize(unpacked, 0);
                    match scratch.inflater.zlib_decompress(&scratch.bytes, &mut scratch.spare) {
                        Ok(n) if n == unpacked => std::mem::swap(&mut scratch.bytes, &mut scratch.spare),
                        Ok(n) => return Err(wrong_length(n, unpacked)),
                        Err(error) => {
                            return Err((
                                format!("gzip data that does not inflate ({error:?})"),
                                format!("{unpacked} bytes"),
                            ));
                        }
                    }
                }
                Step::Lzf => {
                    scratch.spare.resize(unpacked, 0);
                    if lzf::decompress(&scratch.bytes, &mut scratch.spare).is_none() {
                        return Err(("malformed lzf data".into(), format!("{unpacked} bytes")));
                    }
                    std::mem::swap(&mut scratch.bytes, &mut scratch.spare);
                }
            }
        }
        if scratch.bytes.len() == chunk_bytes {
            Ok(())
        } else {
            Err(wrong_length(scratch.bytes.len(), chunk_bytes))
        }
    }
}

fn masked(mask: u32, position: usize) -> bool {
    position < 32 && mask & (1 << position) != 0
}

fn wrong_length(found: usize, expected: usize) -> (String, String) {
    (format!("a chunk of {found} bytes"), format!("{expected} bytes"))
}

/// Undoes HDF5's shuffle: first bytes of all elements, second bytes of all, ..., then what is left.
fn unshuffle(input: &[u8], element_bytes: usize, output: &mut Vec<u8>) {
    output.resize(input.len(), 0);
    let elements = input.len() / element_bytes;
    let whole = elements * element_bytes;
    for (byte, plane) in input[..whole].chunks_exact(elements.max(1)).enumerate() {
        for (target, &value) in output[byte..whole].iter_mut().step_by(element_bytes).zip(plane) {
            *target = value;
        }
    }
    output[whole..].copy_from_slice(&input[whole..]);
}

/// Compares and cuts off the checksum behind the data.
fn verify_fletcher32(bytes: &mut Vec<u8>) -> Result<(), (String, String)> {
    let Some((data, stored)) = bytes.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err((format!("a chunk of {} bytes", bytes.len()), "a fletcher32 checksum at its end".into()));
    };
    let (stored, computed) = (u32::from_le_bytes(*stored), fletcher32(data));
    // HDF5 1.6.2 and before wrote it with the bytes of each half swapped; readers accept both.
    let swapped = (computed & 0x00ff_00ff) << 8 | (computed >> 8) & 0x00ff_00ff;
    if stored != computed && stored != swapped {
        return Err((format!("fletcher32 checksum {computed:#010x}"), format!("{stored:#010x}")));
    }
    let left = data.len();
    bytes.truncate(left);
    Ok(())
}

/// HDF5's Fletcher-32: over 16-bit big-endian words, an odd last byte padded behind.
fn fletcher32(data: &[u8]) -> u32 {
    /// Words that can be added before the sums could overflow 32 bits.
    const RUN_WORDS: usize = 360;
    let fold = |sum: u32| (sum & 0xffff) + (sum >> 16);
    let (mut low, mut high) = (0_u32, 0_u32);
    for run in data.chunks(RUN_WORDS * 2) {
        let words = run.chunks_exact(2);
        let odd = words.remainder().first().map(|&byte| [byte, 0]);
        for word in words.map(|w| [w[0], w[1]]).chain(odd) {
            low += u32::from(u16::from_be_bytes(word));
            high += low;
        }
        (low, high) = (fold(low), fold(high));
    }
    (low, high) = (fold(low), fold(high));
    high << 16 | low
}
