//! `metrics.jsonl`: one line an optimiser step, for programs; `samples.jsonl`: one line each
//! time that actions were sampled.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rdt_model::metrics::SampleFigures;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// How long a line may wait in memory: a reader, or a kill, misses no more than that.
const FLUSH_PERIOD: Duration = Duration::from_secs(2);

impl StepRecord {
    /// Its numbers under RDT's names, where RDT has them.
    pub fn scalars(&self) -> [(&'static str, f64); 6] {
        [
            ("loss", self.loss),
            ("lr", self.lr),
            ("grad_norm", self.grad_norm),
            ("samples_per_s", self.samples_per_s),
            ("data_wait", self.data_wait),
            ("peak_memory_mib", self.peak_memory_mib),
        ]
    }
}

/// A line of a log.
pub trait Record: Serialize + DeserializeOwned {
    /// Name of the file in the output folder.
    const FILE_NAME: &str;

    /// Optimiser steps done.
    fn step(&self) -> u64;
}

impl Record for StepRecord {
    const FILE_NAME: &str = "metrics.jsonl";

    fn step(&self) -> u64 {
        self.step
    }
}

/// How far sampled actions were from the recorded ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SampleRecord {
    /// Optimiser steps done.
    pub step: u64,
    /// RDT's figures by RDT's names, and under `unrounded` the same with all decimals.
    #[serde(flatten)]
    pub figures: SampleFigures,
}

impl SampleRecord {
    /// The figures by name.
    pub fn scalars(&self) -> impl Iterator<Item = (&str, f64)> {
        self.figures.rounded.iter().map(|(name, &value)| (name.as_str(), value))
    }
}

impl Record for SampleRecord {
    const FILE_NAME: &str = "samples.jsonl";

    fn step(&self) -> u64 {
        self.step
    }
}

/// What one optimiser step did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Optimiser step, counted from 1: the number of steps done.
    pub step: u64,
    /// Pass over the buffer, from 0.
    pub epoch: u64,
    /// Mean loss of its micro-steps.
    pub loss: f64,
    /// Learning rate.
    pub lr: f64,
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
    /// Samples of the step over its time.
    pub samples_per_s: f64,
    /// Share of the time that went into waiting for batches.
    pub data_wait: f64,
    /// Most memory taken at once so far, MiB, as of [`rdt_model::device::memory::peak`]; 0 where unknown.
    #[serde(default)]
    pub peak_memory_mib: f64,
}

/// The open file.
#[derive(Debug)]
pub struct MetricsLog<R> {
    path: PathBuf,
    file: BufWriter<File>,
    flushed: Instant,
    record: PhantomData<R>,
}

impl<R: Record> MetricsLog<R> {
    /// Opens the log of `folder` for a run that has done `steps` steps, and returns the
    /// records up to there: lines of steps that a killed run took after its last checkpoint
    /// are dropped, since they are taken again. The old file is whole until the new one is.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn open(folder: &Path, steps: u64) -> Result<(Self, Vec<R>), TrainError> {
        let path = folder.join(R::FILE_NAME);
        let text = match fs::read_to_string(&path) {
            Ok(text) if steps > 0 => text,
            Ok(_) => String::new(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(TrainError::file(&path, "read")(error)),
        };
        // A line torn by a kill does not parse, and is one of those taken again.
        let mut records: Vec<R> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        records.retain(|record| record.step() <= steps);
        let temporary = folder.join(format!(".{}.partial", R::FILE_NAME));
        let file = File::create(&temporary).map_err(TrainError::file(&temporary, "write"))?;
        let (file, flushed) = (BufWriter::new(file), Instant::now());
        let mut log = Self { path: temporary.clone(), file, flushed, record: PhantomData };
        for record in &records {
            log.write(record)?;
        }
        log.flush()?;
        // A file stays open under its new name.
        let file = log.file.get_ref();
        file.sync_all()
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(TrainError::file(&path, "write"))?;
        log.path = path;
        Ok((log, records))
    }

    /// Appends a line; now and then hands all of them to the system.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write(&mut self, record: &R) -> Result<(), TrainError> {
        let line = |file: &mut BufWriter<File>| -> std::io::Result<()> {
            serde_json::to_writer(&mut *file, record)?;
            file.write_all(b"\n")
        };
        line(&mut self.file).map_err(TrainError::file(&self.path, "write"))?;
        if self.flushed.elapsed() < FLUSH_PERIOD { Ok(()) } else { self.flush() }
    }

    /// Hands what was written to the system.
    ///
    /// # Errors
    /// The disk is full.
    pub fn flush(&mut self) -> Result<(), TrainError> {
        self.flushed = Instant::now();
        self.file.flush().map_err(TrainError::file(&self.path, "write"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    fn record(step: u64) -> StepRecord {
        StepRecord {
            step,
            epoch: 0,
            loss: 1.0,
            lr: 1.0,
            grad_norm: 1.0,
            samples_per_s: 1.0,
            data_wait: 0.0,
            peak_memory_mib: 0.0,
        }
    }

    #[test]
    fn the_old_log_is_whole_until_the_new_one_takes_its_place() -> TestResult {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join(StepRecord::FILE_NAME);
        let mut log = MetricsLog::open(folder.path(), 0)?.0;
        (1..=3).try_for_each(|step| log.write(&record(step)))?;
        log.flush()?;
        let (old, content) = (folder.path().join("old"), fs::read(&path)?);
        fs::hard_link(&path, &old)?;
        let (mut log, records) = MetricsLog::<StepRecord>::open(folder.path(), 2)?;
        assert_eq!(fs::read(&old)?, content);
        assert_eq!(records.len(), 2);
        log.write(&record(3))?;
        log.flush()?;
        assert_eq!(fs::read(&path)?, content);
        assert_eq!(fs::read_dir(folder.path())?.count(), 2);
        Ok(())
    }

    #[test]
    fn a_line_does_not_wait_long() -> TestResult {
        let folder = tempfile::tempdir()?;
        let mut log = MetricsLog::open(folder.path(), 0)?.0;
        let lines =
            || fs::read_to_string(folder.path().join(StepRecord::FILE_NAME)).map(|x| x.lines().count());
        log.write(&record(1))?;
        assert_eq!(lines()?, 0);
        std::thread::sleep(FLUSH_PERIOD);
        log.write(&record(2))?;
        assert_eq!(lines()?, 2);
        Ok(())
    }
}
