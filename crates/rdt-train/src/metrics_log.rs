//! `metrics.jsonl`: one line an optimiser step, for programs; `samples.jsonl`: one line each
//! time that actions were sampled.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::metrics::Figures;

impl StepRecord {
    /// Its numbers under RDT's names, where RDT has them.
    pub fn scalars(&self) -> [(&'static str, f64); 5] {
        [
            ("loss", self.loss),
            ("lr", self.lr),
            ("grad_norm", self.grad_norm),
            ("samples_per_s", self.samples_per_s),
            ("data_wait", self.data_wait),
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
    /// RDT's figures by RDT's names.
    #[serde(flatten)]
    pub figures: Figures,
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
}

/// The open file.
#[derive(Debug)]
pub struct MetricsLog<R> {
    path: PathBuf,
    file: BufWriter<File>,
    record: PhantomData<R>,
}

impl<R: Record> MetricsLog<R> {
    /// Opens the log of `folder` for a run that has done `steps` steps, and returns the
    /// records up to there: lines of steps that a killed run took after its last checkpoint
    /// are dropped, since they are taken again.
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
        let file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(&path)
            .map_err(TrainError::file(&path, "write"))?;
        let mut log = Self { path, file: BufWriter::new(file), record: PhantomData };
        for record in &records {
            log.write(record)?;
        }
        log.flush()?;
        Ok((log, records))
    }

    /// Appends a line.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write(&mut self, record: &R) -> Result<(), TrainError> {
        let line = |file: &mut BufWriter<File>| -> std::io::Result<()> {
            serde_json::to_writer(&mut *file, record)?;
            file.write_all(b"\n")
        };
        line(&mut self.file).map_err(TrainError::file(&self.path, "write"))
    }

    /// Hands what was written to the system.
    ///
    /// # Errors
    /// The disk is full.
    pub fn flush(&mut self) -> Result<(), TrainError> {
        self.file.flush().map_err(TrainError::file(&self.path, "write"))
    }
}
