//! `rdt-consume bench --follow`: drains a live buffer without training, and can write down each
//! delivered sample.
//!
//! A sample counts as delivered once its line ends in the file: lines of a whole batch are written
//! by one call, then the samples are marked. So after a kill every whole line is of a sample that
//! nobody else gets; samples of the last lines may be counted as lost all the same.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use rdt_buffer::Manifest;
use rdt_consumer::{Batch, BatchShape, Delivery, End, Layout, LiveOptions, Loader, LoaderOptions, Workers};
use rdt_schema::Config;
use serde::Serialize;

use super::{Args, Stage, process};
use crate::exit::{Outcome, Usage};
use crate::{print, signals};

/// The figures.
#[derive(Debug, Serialize)]
struct Report {
    stage: Stage,
    workers: usize,
    batch_size: u32,
    samples: u64,
    seconds: f64,
    samples_per_s: f64,
    cpu_ms_per_sample: f64,
    /// Seconds that this consumer waited for samples.
    waited_s: f64,
    /// The longest time between two batches.
    longest_gap_s: f64,
    /// Why it ended: `enough`, `consumed` or `stopped`.
    end: &'static str,
    bad_samples: u64,
}

/// Drains and prints how long that took.
///
/// # Errors
/// The buffer cannot be followed; the file of lines cannot be written; stopped by a signal before
/// it was done.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    if args.batch_size == 0 {
        return Err(Usage::new("--batch-size is 0, expected at least 1"));
    }
    if args.source.load_from_hdf5 {
        return Err(Usage::new(
            "--follow is given with --load-from-hdf5, expected a buffer: episodes are not consumed",
        ));
    }
    let dir = args.source.buffer.as_deref().unwrap_or(Path::new("buffer"));
    let manifest = Manifest::read(dir)?;
    let common = Config::from_text(&manifest.config.text, &manifest.config.path)?.common;
    let delivery = match args.stage {
        Stage::Raw => Delivery::Stored,
        Stage::Frames => Delivery::Frames,
        Stage::Pixel => Delivery::Pixel { size: args.image_size },
        Stage::Batch => {
            return Err(Usage::new(
                "--stage is batch, expected raw, frames or pixel with --follow: what becomes of a batch does not \
                 depend on where it is from",
            ));
        }
    };
    let live = LiveOptions {
        seed: args.seed,
        batch: args.batch_size,
        first_batch: 0,
        samples: args.samples,
        wait: args.follow.wait,
        window: args.follow.follow_window as usize,
        holdout: 0.0,
    };
    let options = LoaderOptions {
        layout: Layout { shape: BatchShape::of(&common), delivery },
        workers: Workers { threads: args.workers, batches_ahead: args.batches_ahead },
        disturbance: Default::default(),
        on_bad_sample: args.on_bad_sample.into(),
    };
    let mut ids = args.ids.as_deref().map(Ids::open).transpose()?;
    let stop = signals::stop_flag("what is not delivered is given back")?;
    let mut loader = Loader::live(dir, live, options)?;
    let (cpu, started) = (process::cpu_time(), Instant::now());
    let (mut samples, mut bad_samples) = (0, 0);
    let (mut last, mut longest_gap) = (started, Duration::ZERO);
    let end = loop {
        let batch = loader.next(&stop)?;
        for bad in loader.take_bad_samples() {
            eprintln!("warning: {bad}");
            bad_samples += 1;
        }
        let Some(batch) = batch else { break loader.end().unwrap_or(End::Stopped) };
        if let Some(ids) = &mut ids {
            ids.write(&batch)?;
        }
        samples += batch.len() as u64;
        batch.into_receipt().deliver();
        let now = Instant::now();
        longest_gap = longest_gap.max(now - last);
        last = now;
    };
    let (cpu, elapsed) = (process::cpu_time().saturating_sub(cpu), started.elapsed());
    let waited = loader.statistics().waited;
    drop(loader);
    let report = Report {
        stage: args.stage,
        workers: args.workers.max(1),
        batch_size: args.batch_size,
        samples,
        seconds: elapsed.as_secs_f64(),
        samples_per_s: samples as f64 / elapsed.as_secs_f64(),
        cpu_ms_per_sample: super::ms(cpu) / samples.max(1) as f64,
        waited_s: waited.as_secs_f64(),
        longest_gap_s: longest_gap.as_secs_f64(),
        end: match end {
            End::Enough => "enough",
            End::Consumed => "consumed",
            End::Stopped => "stopped",
        },
        bad_samples,
    };
    match args.json {
        true => print::json(&report)?,
        false => print::text(&text(&report))?,
    }
    if end == End::Consumed {
        eprintln!("everything is consumed and no producer works on {}", dir.display());
    }
    Ok(if bad_samples > 0 { Outcome::Incomplete } else { Outcome::Done })
}

fn text(report: &Report) -> String {
    let Report { samples, samples_per_s, cpu_ms_per_sample, waited_s, longest_gap_s, end, .. } = report;
    format!(
        "samples            {samples}\nsamples/s          {samples_per_s:.1}\n\
         CPU ms a sample    {cpu_ms_per_sample:.3}\nseconds waited     {waited_s:.2}\n\
         longest gap s      {longest_gap_s:.3}\nend                {end}\n"
    )
}

/// The file of lines.
struct Ids {
    file: File,
    lines: Vec<u8>,
}

impl Ids {
    /// Opens a file to append to; the rest of a line that a killed consumer left is cut off.
    fn open(path: &Path) -> anyhow::Result<Self> {
        let context = || format!("cannot append to {}", path.display());
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).open(path).with_context(context)?;
        let end = file.seek(SeekFrom::End(0)).with_context(context)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Usage::new(format!(
                    "--ids is {}, which another consumer writes; expected a file of its own for each",
                    path.display()
                )));
            }
            // A file system without locks.
            Err(TryLockError::Error(_)) => {}
        }
        // No line is longer than this: paths have at most 4096 bytes.
        let from = end.saturating_sub(1 << 16);
        file.seek(SeekFrom::Start(from)).with_context(context)?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail).with_context(context)?;
        let whole = tail.iter().rposition(|&byte| byte == b'\n').map_or(from, |at| from + at as u64 + 1);
        if whole < end {
            file.set_len(whole).with_context(context)?;
        }
        Ok(Self { file, lines: Vec::new() })
    }

    fn write(&mut self, batch: &Batch) -> anyhow::Result<()> {
        self.lines.clear();
        for claimed in batch.receipt().claimed() {
            serde_json::to_writer(&mut self.lines, &claimed.origin()?)?;
            self.lines.push(b'\n');
        }
        let length = self.file.metadata().context("cannot look at the file of ids")?.len();
        let written = self.file.write_all(&self.lines);
        if written.is_err() {
            // The samples are given back, and another consumer writes their lines.
            self.file.set_len(length).context("cannot take back what was written of the ids")?;
        }
        written.context("cannot write the ids")
    }
}
