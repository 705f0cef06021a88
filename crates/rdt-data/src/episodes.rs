//! Samples straight from files of episodes, without a buffer.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rdt_producer::{DatasetSpec, DirectSamples, Event, Options, StopFlag};
use rdt_schema::{Config, DataAbout, TextFile};

use crate::error::DataError;
use crate::source::{Scanned, Source, SourceEvent, name};

/// Data sets of files.
#[derive(Debug, Clone)]
pub struct Episodes {
    /// The data sets, in the order in which they are laid out.
    pub datasets: Vec<DatasetSpec>,
    /// RDT's lists that were read for them, verbatim.
    pub lists: Vec<TextFile>,
    /// The data that a network was trained on, whose extremes go before those of the files: other units
    /// than in training would be silent.
    pub known: Option<DataAbout>,
}

impl Episodes {
    pub(crate) fn scan(
        &self,
        config: Config,
        file: TextFile,
        stop: Arc<AtomicBool>,
        watch: &(dyn Fn(SourceEvent<'_>) + Sync),
    ) -> Result<Source, DataError> {
        let mut options = Options::new(self.datasets.clone(), config.clone(), file.path, file.text);
        options.lists.clone_from(&self.lists);
        let samples =
            DirectSamples::scan(
                &options,
                self.known.as_ref(),
                &StopFlag::from(stop),
                &|event| match event {
                    Event::Scanned { files, total } => watch(SourceEvent::Scanned { files, total }),
                    Event::Skipped(omission) => watch(SourceEvent::Skipped(omission)),
                    _ => {}
                },
            )?;
        let plan = samples.plan();
        let scanned = Scanned {
            samples: plan.samples(),
            episodes: plan.episodes(),
            skipped: plan.skipped.len(),
            filtered: plan.filtered.len(),
        };
        let about = samples.about();
        let name = name(plan.samples(), &samples.digest());
        Ok(Source { samples: Arc::new(samples), config, name, about, buffer: None, scanned: Some(scanned) })
    }
}
