//! The table of `docs/storage-forms.md`: what each form of storing frames costs, on given data.
//!
//! `cargo run --release -p rdt-benches --bin storage_forms -- NAME[:CARD]=PATH...` fills a buffer of each data
//! set in each form, loads it, and prints a table for each. CPU time is that of the whole
//! process: one thread fills, one loads, and what the system does for them counts.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rdt_benches::{config, config_path, loader};
use rdt_buffer::{Buffer, ChunkId};
use rdt_chunk::{FrameStorage, ImageCodec};
use rdt_consumer::Delivery;
use rdt_producer::{DatasetSpec, Options, StopFlag, fill};

/// What the encoder takes.
const SIZE: u32 = 384;

/// Times that each figure is taken; the middle one is shown.
const TIMES: usize = 3;

/// Samples loaded for a figure, at least.
const SAMPLES: u64 = 512;

type AnyError = Box<dyn std::error::Error>;

fn main() -> Result<(), AnyError> {
    let specs: Vec<String> = std::env::args().skip(1).collect();
    if specs.is_empty() {
        return Err("no data set is given, expected NAME[:CARD]=PATH...".into());
    }
    let forms = || {
        let codecs = ["auto", "raw", "lz4", "zstd", "zstd-ref", "jpeg:95", "jpeg:90"];
        let codecs = codecs.map(|codec| codec.parse::<ImageCodec>());
        [None, Some(SIZE)].into_iter().flat_map(move |size| codecs_of(&codecs, size))
    };
    for spec in &specs {
        println!("\n`{spec}`\n");
        println!(
            "| `--image-codec` | `--frame-size` | stored as | bytes a sample | produce | load to frames | load to `pixel` |"
        );
        println!("|---|---|---|---:|---:|---:|---:|");
        for storage in forms() {
            println!("{}", row(spec, storage)?);
        }
    }
    Ok(())
}

fn codecs_of<E>(codecs: &[Result<ImageCodec, E>], size: Option<u32>) -> Vec<FrameStorage> {
    codecs.iter().flatten().map(|&codec| FrameStorage { codec, size }).collect()
}

/// One form's line.
fn row(spec: &str, storage: FrameStorage) -> Result<String, AnyError> {
    let dir = tempfile::tempdir()?;
    let mut produce = Vec::new();
    for time in 0..TIMES {
        let dir = dir.path().join(time.to_string());
        let options = options(spec, storage)?;
        let before = cpu_time();
        let report = fill(&options, &dir, &StopFlag::default(), &|_| {})?;
        produce.push(ms(cpu_time() - before) / report.samples as f64);
        if time > 0 {
            std::fs::remove_dir_all(&dir)?;
        }
    }
    let buffer = Arc::new(Buffer::open_complete(&dir.path().join("0"))?);
    let bytes: u64 = (0..buffer.chunk_count())
        .map(|id| std::fs::metadata(buffer.chunk_path(ChunkId::new(id as u32))).map(|file| file.len()))
        .sum::<Result<_, _>>()?;
    let frames = load(&buffer, Delivery::Frames)?;
    let pixel = load(&buffer, Delivery::Pixel { size: SIZE as usize })?;
    let stored = stored_as(&buffer)?;
    Ok(format!(
        "| {} | {} | {stored} | {} | {:.3} | {frames:.3} | {pixel:.3} |",
        storage.codec,
        storage.size.map_or("-".into(), |size| size.to_string()),
        grouped(bytes / buffer.sample_count()),
        middle(produce),
    ))
}

fn options(spec: &str, frames: FrameStorage) -> Result<Options, AnyError> {
    let mut config = config();
    // Short recordings count here.
    config.dataset.epsd_len_thresh_low = 1;
    let text = std::fs::read_to_string(config_path())?;
    let specs = vec![DatasetSpec::parse(spec)?];
    Ok(Options {
        frames,
        workers: std::num::NonZeroUsize::MIN,
        ..Options::new(specs, config, config_path(), text)
    })
}

/// Codec and size of a frame in the middle of an episode.
fn stored_as(buffer: &Buffer) -> Result<String, AnyError> {
    let chunk = buffer.chunk(ChunkId::new(0))?;
    let sample = chunk.sample(chunk.header().samples / 2)?;
    let frame = sample.frames().last().ok_or("a sample without frames")?;
    Ok(format!("{} {} x {}", frame.codec.name(), frame.form.height, frame.form.width))
}

/// CPU milliseconds a sample, one worker.
fn load(buffer: &Arc<Buffer>, delivery: Delivery) -> Result<f64, AnyError> {
    let batch = buffer.sample_count().min(16) as u32;
    let (mut loader, never) = (loader(buffer, batch, delivery)?, AtomicBool::new(false));
    let mut next = || loader.next(&never)?.ok_or_else(|| AnyError::from("the loader ended early"));
    // All batch memory has been used once, and chunks are open.
    for _ in 0..4 {
        next()?;
    }
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let (before, mut samples) = (cpu_time(), 0);
        while samples < SAMPLES.min(8 * buffer.sample_count()) {
            samples += next()?.len() as u64;
        }
        times.push(ms(cpu_time() - before) / samples as f64);
    }
    Ok(middle(times))
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let parts: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|part| std::str::from_utf8(part).ok()).collect();
    parts.join(",")
}
