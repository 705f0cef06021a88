//! The feed of an order: every epoch's samples, cut into batches, one rank's piece of each.
//!
//! What it hands out is a function of the order and the position alone, replacements included, so
//! threads, ranks and interruptions do not show.

use std::ops::Range;
use std::sync::Arc;

use crate::batch_order::{BatchOrder, BatchPosition, LastBatch, Ranks};
use crate::draw::Visit;
use crate::error::ConsumerError;
use crate::feed::{End, Feed, Instead, Next, Soon, Ticket, TicketPlace, Tried};
use crate::holdout::Selection;
use crate::order::{EpochOrder, Order, OrderKind};

/// Replacements that are tried before the loader gives up: a buffer that bad is not trained on.
const MOST_TRIES: u32 = 64;

/// Which batches of an order are loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderedOptions {
    /// Seed of the order, of the wordings drawn and of disturbance.
    pub seed: u64,
    /// Samples of a batch over all ranks.
    pub global_batch: u32,
    /// Whose piece of each batch.
    pub ranks: Ranks,
    /// What happens to an epoch's incomplete batch.
    pub last: LastBatch,
    /// How an epoch goes through the samples.
    pub order: OrderKind,
    /// The samples that are delivered; all of them, if none.
    pub selection: Option<Arc<Selection>>,
    /// The first batch to deliver.
    pub start: BatchPosition,
    /// The first batch not to deliver any more; endless over epochs if none.
    pub end: Option<BatchPosition>,
}

impl OrderedOptions {
    /// The batches of a source of `samples` samples.
    ///
    /// # Errors
    /// No samples, or options out of range: see [`BatchOrder::new`].
    pub(crate) fn batches(&self, samples: u64) -> Result<BatchOrder, ConsumerError> {
        let order = match &self.selection {
            Some(selection) => Order::of(Arc::clone(selection), self.seed)?,
            None => Order::new(samples, self.seed)?,
        };
        BatchOrder::new(order.of_kind(self.order), self.global_batch, self.ranks, self.last)
    }
}

/// Goes through an order.
#[derive(Debug)]
pub(crate) struct OrderedFeed {
    batches: BatchOrder,
    end: Option<BatchPosition>,
    /// The batch that is being handed out.
    at: BatchPosition,
    epoch: EpochOrder,
    /// What is left of it, as places in the epoch's order.
    places: Range<u64>,
    /// Batches between a sample and its announcement to the kernel; none are announced without.
    announced: Option<u64>,
    /// The places that are announced with what is left of the batch.
    soon: Option<(EpochOrder, Range<u64>)>,
}

impl OrderedFeed {
    /// Batches from `start` to before `end`; each sample is announced `announced` batches ahead.
    ///
    /// # Errors
    /// A start beyond the end of its epoch.
    pub(crate) fn new(
        batches: BatchOrder,
        (start, end): (BatchPosition, Option<BatchPosition>),
        announced: Option<u64>,
    ) -> Result<Self, ConsumerError> {
        let start = batches.normalised(start)?;
        let epoch = batches.order().epoch(start.epoch);
        let mut feed = Self { batches, end, at: start, epoch, places: 0..0, announced, soon: None };
        feed.turn_to(start);
        Ok(feed)
    }

    fn is_past_end(&self, at: BatchPosition) -> bool {
        self.end.is_some_and(|end| at >= end)
    }

    fn turn_to(&mut self, at: BatchPosition) {
        if at.epoch != self.at.epoch {
            self.epoch = self.batches.order().epoch(at.epoch);
        }
        self.at = at;
        self.places = self.batches.positions(at.batch);
        self.soon = self.announced.and_then(|ahead| {
            let later = (0..ahead).fold(at, |at, _| self.batches.next(at));
            let places = self.batches.positions(later.batch);
            (!self.is_past_end(later)).then(|| (self.batches.order().epoch(later.epoch), places))
        });
    }

    /// The same place of a later batch.
    fn next_soon(&mut self) -> Option<Soon> {
        let (order, places) = self.soon.as_mut()?;
        let at = places.next()?;
        Some(Soon { sample: order.sample(at), samples: order.soon(at) })
    }
}

impl Feed for OrderedFeed {
    fn max_batch(&self) -> usize {
        self.batches.max_local_batch()
    }

    fn position(&self) -> BatchPosition {
        self.at
    }

    fn next(&mut self) -> Result<Next, ConsumerError> {
        if self.is_past_end(self.at) {
            return Ok(Next::End(End::Enough));
        }
        let Some(at) = self.places.next() else {
            self.turn_to(self.batches.next(self.at));
            return Ok(Next::CutBatch);
        };
        let visit = Visit { seed: self.batches.order().seed(), epoch: self.at.epoch, at };
        let place = TicketPlace::Ordered(self.epoch.sample(at));
        Ok(Next::Take(Ticket { place, visit, soon: self.next_soon() }))
    }

    fn instead(&mut self, of: Ticket, tried: Tried) -> Result<Instead, ConsumerError> {
        if tried.in_place > MOST_TRIES {
            return Ok(Instead::GiveUp { tries: MOST_TRIES });
        }
        let order = self.batches.order();
        let at = replacement(of.visit.at, tried.in_place, order.samples());
        let place = TicketPlace::Ordered(order.sample(of.visit.epoch, at));
        Ok(Instead::Another(Ticket { place, visit: of.visit, soon: None }))
    }

    fn runs_ahead(&self) -> bool {
        true
    }
}

/// The place whose sample is delivered at place `at` if `tried` choices could not be read: half an
/// epoch later, so that no batch holds a sample twice, and on from there.
fn replacement(at: u64, tried: u32, samples: u64) -> u64 {
    match tried {
        0 => at,
        _ => (at + samples / 2 + u64::from(tried - 1)) % samples,
    }
}
