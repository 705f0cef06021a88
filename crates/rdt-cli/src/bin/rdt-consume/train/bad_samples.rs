//! What becomes of samples that cannot be read: each is named once and counted once, whether
//! training or its sampling of actions meets it.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use rdt_buffer::SampleId;
use rdt_consumer::{BadSample, Loader};

/// Where they are told.
pub(super) struct BadSamples<'a> {
    report: mpsc::Sender<String>,
    reported: RefCell<HashSet<SampleId>>,
    replaced: &'a AtomicU64,
}

impl<'a> BadSamples<'a> {
    pub(super) fn new(report: mpsc::Sender<String>, replaced: &'a AtomicU64) -> Self {
        Self { report, reported: RefCell::default(), replaced }
    }

    /// Names and counts those that were not told yet.
    pub(super) fn tell<'b>(&self, bad_samples: impl Iterator<Item = &'b BadSample>) {
        for bad in bad_samples {
            if self.reported.borrow_mut().insert(bad.sample) {
                self.replaced.fetch_add(1, Ordering::Relaxed);
                // Nobody listens once the run has ended.
                let _ = self.report.send(bad.to_string());
            }
        }
    }
}

/// A loader that names each unreadable sample as soon as the batch that met it is out.
pub(super) struct Watched<'a> {
    pub(super) loader: Loader,
    pub(super) bad: &'a BadSamples<'a>,
}

impl Iterator for Watched<'_> {
    type Item = <Loader as Iterator>::Item;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.loader.next();
        self.bad.tell(self.loader.bad_samples());
        batch
    }
}
