//! `rdt-consume bench`: how fast the loader alone is.
//!
//! What is timed is what training uses: the same loader, order and batches. CPU time is that of
//! the whole process, so nothing hides in a thread. The clock starts after a few batches, when all
//! batch memory has been used once, and stops while further batches are being built, so that the
//! work in flight is the same at both ends.

mod follow;
mod limit;
mod process;
mod report;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::Context;
use rdt_consumer::{
    Batch, BatchPosition, BatchShape, ConsumerError, Delivery, LastBatch, Layout, Loader, LoaderOptions,
    OnBadSample, OrderedOptions, Ranks, Workers,
};
use rdt_data::{Images, Source};
use serde::Serialize;

use crate::consume::follow_flags::FollowFlags;
use crate::consume::image_delivery::ImageDeliveryFlags;
use crate::consume::order_flags::OrderFlags;
use crate::consume::source::{self, SourceFlags, Wanted};
use crate::exit::{Outcome, Usage};
use report::{Quantiles, Queues, Report, StageTimes};

/// What to measure.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[expect(missing_docs, reason = "a comment would become the help of the whole command")]
    #[command(flatten)]
    pub source: SourceFlags,
    /// Sizes of windows [default: the configuration of the buffer; with --load-from-hdf5 the shipped one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How far each sample is taken
    #[arg(long, value_enum, default_value_t = Stage::Pixel)]
    pub stage: Stage,
    /// Threads that fill batches
    #[arg(long, alias = "n-workers", default_value_t = 1)]
    pub workers: usize,
    /// Samples of a batch
    #[arg(long, value_name = "B", default_value_t = 32)]
    pub batch_size: u32,
    /// Samples to load, in whole batches; one epoch if not given, further epochs as needed
    #[arg(long, value_name = "N")]
    pub samples: Option<u64>,
    /// Batches built ahead
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub batches_ahead: usize,
    /// Side of the images of the pixel stage
    #[arg(long, value_name = "PIXELS", default_value_t = 384)]
    pub image_size: usize,
    /// Seed of the order
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    #[expect(missing_docs, reason = "clap would show it as the command's description")]
    #[command(flatten)]
    pub order: OrderFlags,
    /// Where the chunks are before timing: all in the page cache, or dropped from it (source files are
    /// taken as they are)
    #[arg(long, value_enum, default_value_t = Cache::Warm)]
    pub cache: Cache,
    /// The same as --cache warm
    #[arg(long, hide = true, conflicts_with = "cold")]
    pub warm: bool,
    /// The same as --cache cold
    #[arg(long, hide = true)]
    pub cold: bool,
    /// Where the batch stage prepares images: on the CPU, or as tensors (on the CPU here, too)
    #[command(flatten)]
    pub images: ImageDeliveryFlags,
    /// What happens to a sample that cannot be read
    #[arg(long, value_enum, default_value_t = BadSamples::Skip)]
    pub on_bad_sample: BadSamples,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    #[expect(missing_docs, reason = "it would become the help of the whole command")]
    #[command(flatten)]
    pub follow: FollowFlags,
    /// With --follow: append a line of JSON for each delivered sample to this file: chunk, generation,
    /// slot, dataset, source, episode, step
    #[arg(long, value_name = "FILE", requires = "follow")]
    pub ids: Option<PathBuf>,
}

/// What happens to a sample that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum BadSamples {
    /// It is named and counted, and another one is loaded in its place
    Skip,
    /// It is named, and the measurement ends
    Fail,
}

/// Where the chunks are before timing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cache {
    /// In the page cache
    Warm,
    /// Dropped from it, as far as the system does that
    Cold,
}

/// Turns a batch into tensors and gives their bytes; `0` is the side of images.
pub type ToTensors<'a> = dyn FnMut(&Batch, usize) -> anyhow::Result<u64> + 'a;

/// How far a sample is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Vectors, and the stored bytes of frames, checked
    Raw,
    /// Vectors and decoded u8 frames
    Frames,
    /// Vectors and u8 images, padded and resized
    Pixel,
    /// Everything as tensors, images normalised to f32: what the trainer takes
    Batch,
}

/// Loads batches and prints how long that took.
///
/// # Errors
/// The buffer cannot be opened or read, or the options do not fit it.
pub fn run(args: &Args, to_tensors: &mut ToTensors<'_>) -> anyhow::Result<Outcome> {
    if args.follow.follow {
        return follow::run(args);
    }
    let is_cold = args.cold || args.cache == Cache::Cold;
    if args.source.load_from_hdf5 && is_cold {
        return Err(Usage::new(
            "--cache cold (--cold) is given with --load-from-hdf5, expected a buffer, whose chunks can be dropped",
        ));
    }
    let spec = args.source.spec(Wanted {
        default_buffer: Some(Path::new("buffer")),
        is_complete: true,
        config: args.config.clone(),
        known_config: None,
        known_data: None,
    })?;
    let source = source::open(&spec, Arc::default())?;
    let (ordered, batches) = batches(args, &source)?;
    let cache = match &source.buffer {
        Some(buffer) => {
            let chunks = 0..buffer.chunk_count();
            let files = chunks.map(|id| buffer.chunk_path(rdt_buffer::ChunkId::new(id as u32)));
            process::prepare_cache(files, is_cold)?;
            if is_cold { "cold" } else { "warm" }
        }
        None => "as it was",
    };
    let loader = || Loader::ordered(Arc::clone(&source.samples), ordered, options(args, &source));
    let report = measure(args, loader, batches, cache, to_tensors)?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        report::print(&report);
    }
    Ok(if report.replaced > 0 || source.skipped() > 0 { Outcome::Incomplete } else { Outcome::Done })
}

/// Which batches, and how many of them to time.
fn batches(args: &Args, source: &Source) -> anyhow::Result<(OrderedOptions, u64)> {
    if args.batch_size == 0 {
        return Err(Usage::new("--batch-size is 0, expected at least 1"));
    }
    let batch = u64::from(args.batch_size);
    let samples = source.samples.sample_count();
    // Incomplete batches are left out: all batches do the same work. A buffer smaller than a
    // batch has no other.
    let last = if samples < batch { LastBatch::Keep } else { LastBatch::Drop };
    let per_epoch = (samples / batch).max(1);
    let measured = args.samples.map_or(per_epoch, |wanted| wanted.div_ceil(batch.min(samples.max(1))).max(1));
    let batches = warm_up(args) + measured + args.batches_ahead.max(1) as u64;
    let ordered = OrderedOptions {
        seed: args.seed,
        global_batch: args.batch_size,
        ranks: Ranks::ONE,
        last,
        order: args.order.of_chunks(source.buffer.as_ref().map(|buffer| buffer.manifest().chunk_size))?,
        selection: None,
        start: BatchPosition::default(),
        end: Some(BatchPosition { epoch: batches / per_epoch, batch: batches % per_epoch }),
    };
    Ok((ordered, measured))
}

/// How they are loaded.
fn options(args: &Args, source: &Source) -> LoaderOptions {
    let delivery = match args.stage {
        Stage::Raw => Delivery::Stored,
        Stage::Frames => Delivery::Frames,
        Stage::Pixel => Delivery::Pixel { size: args.image_size },
        Stage::Batch => match args.images.images(false, args.image_size) {
            Images::Frames => Delivery::Frames,
            _ => Delivery::Pixel { size: args.image_size },
        },
    };
    LoaderOptions {
        layout: Layout { shape: BatchShape::of(&source.config.common), delivery },
        workers: Workers { threads: args.workers, batches_ahead: args.batches_ahead },
        disturbance: Default::default(),
        on_bad_sample: args.on_bad_sample.into(),
    }
}

impl From<BadSamples> for OnBadSample {
    fn from(flag: BadSamples) -> Self {
        match flag {
            BadSamples::Skip => Self::Skip,
            BadSamples::Fail => Self::Fail,
        }
    }
}

/// Batches before the clock starts.
fn warm_up(args: &Args) -> u64 {
    args.batches_ahead.max(1) as u64 + 1
}

fn measure(
    args: &Args,
    loader: impl FnOnce() -> Result<Loader, ConsumerError>,
    batches: u64,
    cache: &'static str,
    to_tensors: &mut ToTensors<'_>,
) -> anyhow::Result<Report> {
    let started = Instant::now();
    let mut loader = loader()?;
    let never = AtomicBool::new(false);
    let mut next = || loader.next(&never)?.context("the loader ended early");
    let mut take = |batch: &Batch| match args.stage {
        Stage::Batch => to_tensors(batch, args.image_size),
        _ => Ok(batch.bytes()),
    };
    // Batches are dropped at once: what is measured is the loader without a trainer.
    take(&next()?)?;
    let first = started.elapsed();
    for _ in 1..warm_up(args) {
        take(&next()?)?;
    }
    let (cpu, started) = (process::cpu_time(), Instant::now());
    let (mut last, mut batch_times) = (started, Vec::new());
    let (mut samples, mut bytes) = (0, 0);
    for _ in 0..batches {
        let batch = next()?;
        samples += batch.len() as u64;
        bytes += take(&batch)?;
        drop(batch);
        let now = Instant::now();
        batch_times.push(now.duration_since(last));
        last = now;
    }
    let cpu = process::cpu_time().saturating_sub(cpu);
    let elapsed = last.duration_since(started);
    let statistics = loader.statistics();
    let mut bad_samples = 0;
    for bad in loader.take_bad_samples() {
        eprintln!("warning: {bad}");
        bad_samples += 1;
    }
    drop(loader);
    let count = samples as f64;
    Ok(Report {
        stage: args.stage,
        workers: args.workers.max(1),
        batch_size: args.batch_size,
        cache,
        samples,
        samples_per_s: count / elapsed.as_secs_f64(),
        cpu_ms_per_sample: ms(cpu) / count,
        bytes_per_s: bytes as f64 / elapsed.as_secs_f64(),
        bytes_per_sample: bytes as f64 / count,
        first_batch_ms: ms(first),
        batch_ms: Quantiles::of(batch_times),
        // Before the limit is measured, which takes memory of its own.
        peak_rss_bytes: process::peak_rss_bytes(),
        stage_ms_per_sample: StageTimes::of(&statistics),
        queues: Queues::of(&statistics, args.batches_ahead),
        limit: limit::measure(bytes / batches.max(1), (samples / batches.max(1)).max(1)),
        replaced: statistics.replaced,
        bad_samples,
    })
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
