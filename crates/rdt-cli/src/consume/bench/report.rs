//! The figures of a measurement, and how they are printed.

use std::time::Duration;

use rdt_consumer::LoaderStatistics;
use serde::Serialize;

use super::limit::Limit;
use super::{Stage, ms};

/// The figures. Times in milliseconds; `bytes` are those of the arrays, frames or tensors delivered.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) stage: Stage,
    pub(super) workers: usize,
    pub(super) batch_size: u32,
    pub(super) cache: &'static str,
    pub(super) samples: u64,
    pub(super) samples_per_s: f64,
    pub(super) cpu_ms_per_sample: f64,
    pub(super) bytes_per_s: f64,
    pub(super) bytes_per_sample: f64,
    pub(super) first_batch_ms: f64,
    pub(super) batch_ms: Quantiles,
    pub(super) peak_rss_bytes: Option<u64>,
    /// Thread time by stage since the loader's start, milliseconds a sample; waiting for a core
    /// included.
    pub(super) stage_ms_per_sample: StageTimes,
    /// How full the queues between the stages were.
    pub(super) queues: Queues,
    /// The same for copying as many bytes, in one thread: what no loader is faster than.
    pub(super) limit: Limit,
    /// Times that a sample was replaced because it could not be read, over all epochs loaded.
    pub(super) replaced: u64,
    /// Samples that could not be read, each counted once.
    pub(super) bad_samples: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct Quantiles {
    p50: f64,
    p95: f64,
    p99: f64,
}

impl Quantiles {
    /// Of at least one time.
    pub(super) fn of(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        let last = times.len().saturating_sub(1) as f64;
        let quantile = |share: f64| times.get((last * share).round() as usize).map_or(0.0, |&time| ms(time));
        Self { p50: quantile(0.50), p95: quantile(0.95), p99: quantile(0.99) }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct StageTimes {
    idle: f64,
    find: f64,
    rows: f64,
    decode: f64,
    augment: f64,
    preprocess: f64,
}

impl StageTimes {
    pub(super) fn of(statistics: &LoaderStatistics) -> Self {
        let each = |time: Duration| ms(time) / statistics.samples.max(1) as f64;
        Self {
            idle: each(statistics.idle),
            find: each(statistics.find),
            rows: each(statistics.rows),
            decode: each(statistics.decode),
            augment: each(statistics.augment),
            preprocess: each(statistics.preprocess),
        }
    }
}

/// Means over all batches, taken when a batch was asked for.
#[derive(Debug, Serialize)]
pub(super) struct Queues {
    /// Most batches in work.
    batches_ahead: usize,
    /// Whole batches that were waiting for their taker: near `batches_ahead` where the taker is the
    /// slow one, near 0 where the loader is.
    batches_ready: f64,
    /// Samples that no thread had begun: near 0 with an idle loader, many where there are too
    /// few threads.
    samples_waiting: f64,
    /// Milliseconds that the taker waited for a batch.
    taker_waited_ms: f64,
}

impl Queues {
    pub(super) fn of(statistics: &LoaderStatistics, batches_ahead: usize) -> Self {
        let each = |sum: f64| sum / statistics.batches.max(1) as f64;
        Self {
            batches_ahead: batches_ahead.max(1),
            batches_ready: each(statistics.ready as f64),
            samples_waiting: each(statistics.queued as f64),
            taker_waited_ms: each(ms(statistics.waited)),
        }
    }
}

pub(super) fn print(report: &Report) {
    let Report { samples, samples_per_s, cpu_ms_per_sample, batch_ms, queues, limit, .. } = report;
    println!("samples            {samples}");
    println!("samples/s          {samples_per_s:.1}");
    println!("CPU ms a sample    {cpu_ms_per_sample:.3}");
    println!("MB/s delivered     {:.1}", report.bytes_per_s / 1e6);
    println!("first batch ms     {:.1}", report.first_batch_ms);
    println!("batch ms           p50 {:.2}, p95 {:.2}, p99 {:.2}", batch_ms.p50, batch_ms.p95, batch_ms.p99);
    if let Some(bytes) = report.peak_rss_bytes {
        println!("peak memory MB     {:.1}", bytes as f64 / 1e6);
    }
    let StageTimes { idle, find, rows, decode, augment, preprocess } = report.stage_ms_per_sample;
    println!(
        "thread ms a sample idle {idle:.3}, find {find:.3}, rows {rows:.3}, decode {decode:.3}, augment {augment:.3}, \
         preprocess {preprocess:.3}"
    );
    println!(
        "queues             {:.1} of {} batches ready, {:.1} samples waiting, taker waited {:.2} ms a batch",
        queues.batches_ready, queues.batches_ahead, queues.samples_waiting, queues.taker_waited_ms
    );
    println!(
        "the same bytes     CPU ms a sample: memcpy {:.3}, with checksum {:.3}",
        limit.memcpy.cpu_ms_per_sample, limit.memcpy_and_checksum.cpu_ms_per_sample
    );
}
