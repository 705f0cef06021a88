//! What a measurement is held against: copying as many bytes as a batch has, from memory to memory.

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::report::Quantiles;
use super::{ms, process};

/// Memory that is read from, at least: more than caches hold, so that it comes from where chunks do.
const SOURCE_BYTES: usize = 128 << 20;
/// Batches in turn, as a loader has them.
const TARGETS: usize = 3;
/// How long each is measured.
const TIME: Duration = Duration::from_millis(300);
/// Bytes copied at a time, so that checksum and copy read memory once.
const BLOCK: usize = 4096;

/// The figures, one thread.
#[derive(Debug, Serialize)]
pub(super) struct Limit {
    /// Copying.
    pub(super) memcpy: Figures,
    /// Copying with a crc32c of the bytes.
    pub(super) memcpy_and_checksum: Figures,
}

/// As of the loader.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    samples_per_s: f64,
    bytes_per_s: f64,
    pub(super) cpu_ms_per_sample: f64,
    first_batch_ms: f64,
    batch_ms: Quantiles,
}

/// For batches of `bytes` and `samples`.
pub(super) fn measure(bytes: u64, samples: u64) -> Limit {
    let bytes = bytes as usize;
    let source = vec![0x5a; SOURCE_BYTES.max(bytes)];
    let mut targets = vec![vec![0u8; bytes]; TARGETS];
    let mut memcpy = |from: &[u8], to: &mut [u8]| to.copy_from_slice(from);
    let mut checked = |from: &[u8], to: &mut [u8]| {
        let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
        for (from, to) in from.chunks(BLOCK).zip(to.chunks_mut(BLOCK)) {
            digest.update(from);
            to.copy_from_slice(from);
        }
        black_box(digest.finalize());
    };
    Limit {
        memcpy: figures(&source, &mut targets, samples, &mut memcpy),
        memcpy_and_checksum: figures(&source, &mut targets, samples, &mut checked),
    }
}

fn figures(
    source: &[u8],
    targets: &mut [Vec<u8>],
    samples: u64,
    copy: &mut dyn FnMut(&[u8], &mut [u8]),
) -> Figures {
    // Memory is touched first, as a loader's has been after a few batches.
    let asked = Instant::now();
    let mut first = Duration::ZERO;
    for (number, target) in targets.iter_mut().enumerate() {
        copy(&source[..target.len()], target);
        if number == 0 {
            first = asked.elapsed();
        }
    }
    let (cpu, started) = (process::cpu_time(), Instant::now());
    let (mut times, mut last, mut from) = (Vec::new(), started, 0);
    while last.duration_since(started) < TIME {
        let place = times.len() % TARGETS;
        let target = &mut targets[place];
        if from + target.len() > source.len() {
            from = 0;
        }
        copy(&source[from..from + target.len()], target);
        black_box(target.as_mut_slice());
        from += target.len();
        let now = Instant::now();
        times.push(now.duration_since(last));
        last = now;
    }
    let cpu = process::cpu_time().saturating_sub(cpu);
    let seconds = last.duration_since(started).as_secs_f64();
    let copied = (times.len() as u64 * samples) as f64;
    Figures {
        samples_per_s: copied / seconds,
        bytes_per_s: (times.len() * targets[0].len()) as f64 / seconds,
        cpu_ms_per_sample: ms(cpu) / copied,
        first_batch_ms: ms(first),
        batch_ms: Quantiles::of(times),
    }
}
