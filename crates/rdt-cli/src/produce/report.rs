//! Reports on standard output, for people or as JSON.

use std::path::Path;

use rdt_producer::{DatasetReport, FillReport, Prediction};
use serde::Serialize;

/// A fill's report with what it cost.
#[derive(Serialize)]
pub(super) struct Filled<'a> {
    /// Always `false`; a dry run says `true`.
    pub dry_run: bool,
    /// Where the buffer is.
    pub buffer: &'a Path,
    /// What was made.
    #[serde(flatten)]
    pub report: &'a FillReport,
    /// User and system milliseconds of the whole process a sample that it wrote; null where
    /// nothing was written or the system does not tell.
    pub cpu_ms_per_sample: Option<f64>,
}

/// A dry run's report.
#[derive(Serialize)]
pub(super) struct Predicted<'a> {
    /// Always `true`.
    pub dry_run: bool,
    /// What is expected.
    #[serde(flatten)]
    pub prediction: &'a Prediction,
}

/// A dry run's report of a live buffer.
#[derive(Serialize)]
pub(super) struct PredictedLive<'a> {
    /// Always `true`.
    pub dry_run: bool,
    /// What the buffer will hold.
    pub live: LiveSize,
    /// A pass over the data.
    #[serde(flatten)]
    pub prediction: &'a Prediction,
}

/// What a live buffer holds when it is full.
#[derive(Serialize)]
pub(super) struct LiveSize {
    /// Chunks.
    pub chunks: u64,
    /// Samples of one.
    pub chunk_size: u32,
    /// Samples of all.
    pub samples: u64,
}

/// The text of a fill's report.
pub(super) fn filled(filled: &Filled<'_>) -> String {
    let report = filled.report;
    let buffer = filled.buffer.display();
    let mut text = match report.already_complete {
        true => format!("{buffer} is already complete\n"),
        false if report.written_chunks == 0 => format!("{buffer} is complete again\n"),
        false => format!("filled {buffer}\n"),
    };
    let FillReport { chunks, chunk_size, samples, episodes, .. } = report;
    text += &format!("  {samples} samples of {episodes} episodes in {chunks} chunks of {chunk_size}\n");
    text += &datasets(&report.datasets);
    text +=
        &format!("  {:.1} MB, {:.0} bytes a sample\n", report.bytes as f64 / 1e6, report.bytes_per_sample);
    if report.written_samples > 0 {
        text += &format!(
            "  {} samples written in {:.1} s ({:.0} samples/s)",
            report.written_samples,
            report.seconds,
            report.written_samples as f64 / report.seconds
        );
        if let Some(cpu) = filled.cpu_ms_per_sample {
            text += &format!(", {cpu:.3} ms CPU a sample");
        }
        text += &format!(", {:.1} s waiting for the device, all threads together\n", report.sync_seconds);
    }
    text + &omissions(report.skipped.len(), report.filtered.len())
}

/// The text of a dry run's report.
pub(super) fn predicted(prediction: &Prediction) -> String {
    let Prediction { chunks, chunk_size, samples, episodes, .. } = prediction;
    let mut text = String::from("dry run, nothing was written\n");
    text += &format!("  {samples} samples of {episodes} episodes in {chunks} chunks of {chunk_size}\n");
    text += &datasets(&prediction.datasets);
    text += &format!(
        "  about {:.1} MB ({:.0} bytes a sample) and {:.1} s, from {} samples that were tried\n",
        prediction.bytes as f64 / 1e6,
        prediction.bytes_per_sample,
        prediction.seconds,
        prediction.samples_tried
    );
    text + &omissions(prediction.skipped.len(), prediction.filtered.len())
}

fn datasets(datasets: &[DatasetReport]) -> String {
    let line = |dataset: &DatasetReport| {
        let DatasetReport { name, episodes, steps, samples } = dataset;
        format!("  {name}: {episodes} episodes, {steps} steps, {samples} samples\n")
    };
    datasets.iter().map(line).collect()
}

fn omissions(skipped: usize, filtered: usize) -> String {
    format!("  {skipped} skipped as faulty, {filtered} filtered out by design\n")
}
