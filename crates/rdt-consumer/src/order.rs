//! The order of an epoch: a keyed bijection between positions and samples.
//!
//! Nothing is stored but a few keys, so half a billion samples cost what ten do, and any
//! position can be asked for directly: that is what makes resuming, any number of ranks and
//! read-ahead simple. By default the order is uniform over the whole buffer; the windowed one
//! has few chunks open at a time (see `docs/mixing.md` for what each mixes).
//!
//! The numbers are part of what a resumed run depends on: changing a constant here or in the
//! modules below changes the order of every run, and a test holds some of its values.

mod interleave;
mod permutation;
mod windowed;

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;

use rdt_buffer::SampleId;

use crate::draw::{self, Purpose};
use crate::error::ConsumerError;
use crate::holdout::Selection;
use permutation::Permutation;
use windowed::Windowed;

/// Most samples that can be permuted: halves stay within 31 bits.
const MOST_SAMPLES: u64 = 1 << 62;

/// How an epoch goes through a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OrderKind {
    /// Any sample may follow any other.
    #[default]
    Uniform,
    /// So many chunks are open at a time.
    Windowed {
        /// How many; all, if the buffer has fewer.
        window: NonZeroU32,
        /// Samples of a chunk.
        chunk_size: u32,
    },
}

/// The orders of all epochs under one seed.
///
/// ```
/// use rdt_consumer::Order;
/// let order = Order::new(500_000_000, 42)?;
/// let first = order.epoch(3).sample(0);
/// assert_eq!(order.epoch(3).position(first), 0);
/// let windowed = order.windowed(1024, 64.try_into().unwrap());
/// assert_eq!(windowed.epoch(3).position(windowed.sample(3, 7)), 7);
/// # Ok::<(), rdt_consumer::ConsumerError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    samples: u64,
    seed: u64,
    /// Chunk size and chunks open at a time, in numbers as [`Order::selection`] has them.
    window: Option<(u32, NonZeroU32)>,
    /// What the positions' numbers stand for; the samples themselves, if none.
    selection: Option<Arc<Selection>>,
}

impl Order {
    /// Uniform orders of `samples` samples.
    ///
    /// # Errors
    /// No samples, or more than 2^62.
    pub fn new(samples: u64, seed: u64) -> Result<Self, ConsumerError> {
        match samples {
            0 => Err(ConsumerError::NoSamples),
            1..=MOST_SAMPLES => Ok(Self { samples, seed, window: None, selection: None }),
            _ => Err(ConsumerError::TooManySamples { samples, most: MOST_SAMPLES }),
        }
    }

    /// Uniform orders of the samples of `selection` alone.
    ///
    /// # Errors
    /// As of [`Order::new`].
    pub fn of(selection: Arc<Selection>, seed: u64) -> Result<Self, ConsumerError> {
        let order = Self::new(selection.samples(), seed)?;
        Ok(Self { selection: Some(selection), ..order })
    }

    /// Windowed orders of the same samples, `window` chunks of `chunk_size` samples open at a
    /// time. Of a selection, `chunk_size` of the selected samples count as a chunk.
    #[must_use]
    pub fn windowed(self, chunk_size: u32, window: NonZeroU32) -> Self {
        Self { window: Some((chunk_size, window)), ..self }
    }

    /// Orders of the same samples of the kind asked for.
    #[must_use]
    pub fn of_kind(self, kind: OrderKind) -> Self {
        match kind {
            OrderKind::Uniform => Self { window: None, ..self },
            OrderKind::Windowed { window, chunk_size } => self.windowed(chunk_size, window),
        }
    }

    /// Samples of an epoch.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The order of one epoch.
    pub fn epoch(&self, epoch: u64) -> EpochOrder {
        let shuffle = match self.window {
            None => {
                Shuffle::Uniform(Permutation::new(self.samples, draw::key(self.seed, Purpose::Order, epoch)))
            }
            Some((chunk_size, window)) => {
                let key = draw::key(self.seed, Purpose::WindowedOrder, epoch);
                Shuffle::Windowed(Windowed::new(self.samples, chunk_size.into(), window.get().into(), key))
            }
        };
        EpochOrder { samples: self.samples, shuffle, selection: self.selection.clone() }
    }

    /// The sample at a position of an epoch; shorthand for `epoch(epoch).sample(position)`.
    pub fn sample(&self, epoch: u64, position: u64) -> SampleId {
        self.epoch(epoch).sample(position)
    }
}

/// The order of one epoch.
#[derive(Debug, Clone)]
pub struct EpochOrder {
    samples: u64,
    shuffle: Shuffle,
    selection: Option<Arc<Selection>>,
}

#[derive(Debug, Clone)]
enum Shuffle {
    Uniform(Permutation),
    Windowed(Windowed),
}

impl EpochOrder {
    /// The sample at `position`.
    ///
    /// # Panics
    /// If `position` is not below the number of samples.
    pub fn sample(&self, position: u64) -> SampleId {
        assert!(position < self.samples, "position {position} of {} samples", self.samples);
        self.selected(match &self.shuffle {
            Shuffle::Uniform(order) => order.value(position),
            Shuffle::Windowed(order) => order.value(position),
        })
    }

    /// The position at which `sample` is delivered: the inverse of [`EpochOrder::sample`].
    ///
    /// # Panics
    /// If there is no such sample, or it was not selected.
    pub fn position(&self, sample: SampleId) -> u64 {
        let number = match &self.selection {
            Some(selection) => selection.number(sample).unwrap_or(u64::MAX),
            None => sample.get(),
        };
        assert!(number < self.samples, "sample {sample} of {} samples", self.samples);
        match &self.shuffle {
            Shuffle::Uniform(order) => order.place(number),
            Shuffle::Windowed(order) => order.place(number),
        }
    }

    /// The samples, from the first to the one after the last, that whoever comes to `position`
    /// does well to have read as a whole soon: a chunk that the windowed order turns to next. Each
    /// chunk is named once or, where two lanes share it, twice an epoch.
    pub fn soon(&self, position: u64) -> Option<Range<SampleId>> {
        let Shuffle::Windowed(order) = &self.shuffle else { return None };
        let chunk = order.soon(position)?;
        let last = self.selected(chunk.end - 1);
        Some(self.selected(chunk.start)..SampleId::new(last.get() + 1))
    }

    fn selected(&self, number: u64) -> SampleId {
        self.selection.as_ref().map_or(SampleId::new(number), |selection| selection.sample(number))
    }
}

#[cfg(test)]
mod tests;
