//! Training on a live buffer: each sample once, then it is replaced.
//!
//! The batches of an optimiser step count as delivered once it is taken: when the loop asks for the
//! next one, or ends. Those of a step that is broken off are given back. What a resumed run sees is not
//! what an unbroken one would have seen: the buffer has moved on. Its checkpoints say so by what they
//! name as their data.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

use rdt_buffer::Buffer;
use rdt_cli::exit::Usage;
use rdt_consumer::{
    Batch, ConsumerError, End, FollowLoader, FollowLoaderOptions, LoaderOptions, Position, SampleSource,
    Undelivered,
};

use super::bad_samples::Watched;
use super::flags::Args;

/// Refuses what has no meaning in a live buffer.
pub(super) fn check(args: &Args) -> anyhow::Result<()> {
    if !args.follow.follow {
        return Ok(());
    }
    let wrong = |found: &str, expected: &str| {
        Err(Usage::new(format!("--follow is given {found}, expected {expected}")))
    };
    if args.source.load_from_hdf5 {
        return wrong("with --load-from-hdf5", "a buffer: episodes are not consumed");
    }
    if args.holdout.holdout > 0.0 {
        return wrong("with --holdout", "one of the two: what a live buffer holds is consumed by training");
    }
    if args.max_train_steps.is_none() {
        return wrong("without --max-train-steps", "both: a live buffer has no epochs");
    }
    Ok(())
}

/// What a checkpoint names as its data.
pub(super) fn data(samples: &SampleSource) -> String {
    let names: Vec<_> = samples.datasets().into_iter().map(|dataset| dataset.name.clone()).collect();
    format!("a live buffer of {}: a resumed run sees other samples than an unbroken one", names.join(", "))
}

/// Batches in the static order or of a live buffer.
pub(super) enum Batches<'a> {
    Static(Box<Watched<'a>>),
    Live(Box<Reporting<'a>>),
}

impl Iterator for Batches<'_> {
    type Item = Result<Batch, ConsumerError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Static(batches) => batches.next(),
            Self::Live(batches) => batches.next(),
        }
    }
}

/// The batches of a live buffer.
pub(super) struct Followed {
    /// What the optimiser step in work has taken; given back before the loader ends.
    in_step: Vec<Undelivered>,
    /// Batches of an optimiser step.
    step: usize,
    loader: FollowLoader,
    stop: Arc<AtomicBool>,
}

/// The same, with what cannot be read reported.
pub(super) struct Reporting<'a> {
    followed: Followed,
    report: mpsc::Sender<String>,
    replaced: &'a AtomicU64,
}

impl Followed {
    /// Follows `buffer` for so many micro-steps, counting batches on from `start`.
    pub(super) fn new(
        args: &Args,
        buffer: &Buffer,
        options: &LoaderOptions,
        (start, micro_steps): (Position, u64),
        stop: Arc<AtomicBool>,
    ) -> Result<Self, ConsumerError> {
        let options = FollowLoaderOptions {
            seed: options.seed,
            batch: options.global_batch,
            first_batch: start.batch,
            samples: Some(micro_steps.saturating_mul(u64::from(options.global_batch))),
            wait: args.follow.wait,
            window: args.follow.follow_window as usize,
            shape: options.shape,
            delivery: options.delivery,
            conditioning: options.conditioning.clone(),
            workers: options.workers,
            batches_ahead: options.batches_ahead,
            on_bad_sample: options.on_bad_sample,
        };
        let step = usize::try_from(args.gradient_accumulation_steps).unwrap_or(usize::MAX);
        Ok(Self { in_step: Vec::new(), step, loader: FollowLoader::new(buffer.dir(), options)?, stop })
    }

    /// Marks the batches of a step as delivered, if all of them were taken.
    fn deliver_step(&mut self) {
        if self.in_step.len() == self.step {
            self.in_step.drain(..).for_each(Undelivered::deliver);
        }
    }

    pub(super) fn reporting(self, report: mpsc::Sender<String>, replaced: &AtomicU64) -> Reporting<'_> {
        Reporting { followed: self, report, replaced }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.deliver_step();
    }
}

impl Iterator for Reporting<'_> {
    type Item = Result<Batch, ConsumerError>;

    fn next(&mut self) -> Option<Self::Item> {
        // Asked for the first batch of a step, the loop has taken the one before.
        self.followed.deliver_step();
        let Followed { in_step, loader, stop, .. } = &mut self.followed;
        let batch = loader.next_batch(stop);
        for bad in loader.take_bad_samples() {
            self.replaced.fetch_add(1, Ordering::Relaxed);
            // Nobody listens once the run has ended.
            let _ = self.report.send(bad.to_string());
        }
        match batch {
            Ok(Some(batch)) => {
                let (batch, undelivered) = batch.split();
                in_step.push(undelivered);
                Some(Ok(batch))
            }
            Ok(None) => {
                if loader.end() == Some(End::Consumed) {
                    let line = "everything is consumed and no producer works on the buffer: ending";
                    let _ = self.report.send(line.into());
                }
                // The loop ends with a checkpoint at its last whole step.
                stop.store(true, Ordering::Relaxed);
                None
            }
            Err(error) => Some(Err(error)),
        }
    }
}
