//! Samples straight from source files: [`rdt_producer`]'s plan as a source of the loader.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rdt_buffer::{ChunkId, SampleId, SlotIndex, TextFile};
use rdt_consumer::source::{Take, TellOrigin};
use rdt_consumer::{ConsumerError, Samples};
use rdt_producer::{DirectSamples, Event, Options, ProducerError, StopFlag};
use rdt_schema::{Config, DatasetSchema};

use crate::datasets::DatasetFlags;
use crate::exit::Usage;
use crate::progress::Progress;

/// Samples of scanned source files.
#[derive(Debug)]
pub struct Episodes {
    samples: DirectSamples,
    state_means: Vec<Vec<f64>>,
    digest: String,
}

/// Scans the files of `datasets`, showing progress and naming what is left out as faulty.
///
/// # Errors
/// Wrong usage; data sets without a usable episode; somebody asked to stop.
pub fn scan(
    datasets: &DatasetFlags,
    config: &Config,
    file: TextFile,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<Episodes> {
    let mut options = Options::new(Vec::new(), config.clone(), file.path, file.text);
    let (specs, lists) = datasets.specs(options.config_dir.as_deref())?;
    (options.datasets, options.lists) = (specs, lists);
    let progress = std::sync::OnceLock::new();
    let watch = |event: Event<'_>| match event {
        Event::Scanned { files, total } => {
            progress.get_or_init(|| Progress::new("planning", total, "files")).set(files, "");
        }
        Event::Skipped(omission) => match progress.get() {
            Some(progress) => progress.print(&format!("skipped {omission}")),
            None => eprintln!("skipped {omission}"),
        },
        _ => {}
    };
    let scanned = DirectSamples::scan(&options, &StopFlag::from(stop), &watch);
    if let Some(progress) = progress.into_inner() {
        progress.finish();
    }
    let usage_or_failure =
        |error: ProducerError| if error.is_usage() { Usage::from_error(error) } else { error.into() };
    let samples = scanned.map_err(usage_or_failure)?;
    let plan = samples.plan();
    eprintln!(
        "plan: {} samples of {} episodes straight from their files; {} skipped as faulty, {} filtered out by design",
        plan.samples(),
        plan.episodes(),
        plan.skipped.len(),
        plan.filtered.len()
    );
    let state_means = samples.statistics().map(|of| of.state_mean).collect();
    Ok(Episodes { digest: samples.digest(), state_means, samples })
}

impl Episodes {
    /// Files and episodes left out as faulty.
    pub fn skipped(&self) -> usize {
        self.samples.plan().skipped.len()
    }

    /// Digest of the plan.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

impl Samples for Episodes {
    fn sample_count(&self) -> u64 {
        self.samples.plan().samples()
    }

    fn datasets(&self) -> Vec<&DatasetSchema> {
        self.samples.schemas().iter().collect()
    }

    fn state_means(&self) -> Vec<&[f64]> {
        self.state_means.iter().map(Vec::as_slice).collect()
    }

    fn read(&self, id: SampleId, take: &mut Take<'_>) -> Result<(), ConsumerError> {
        let chunk =
            self.samples.chunk_of(id.get()).map_err(|error| ConsumerError::Source(Box::new(error)))?;
        take(&chunk.sample(0)?)
    }

    /// The frames of a sample lie anywhere in its file: nothing is announced.
    fn will_need(&self, _id: SampleId) {}

    fn place(&self, _id: SampleId) -> Option<(ChunkId, SlotIndex)> {
        None
    }

    fn tell_origin(&self, id: SampleId, tell: &mut TellOrigin<'_>) -> Result<(), ConsumerError> {
        let (dataset, origin, step) =
            self.samples.origin(id.get()).map_err(|error| ConsumerError::Source(Box::new(error)))?;
        tell(dataset, &origin, step);
        Ok(())
    }
}
