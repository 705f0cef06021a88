//! The feed of a live buffer: each sample is claimed, so that no other consumer gets it.
//!
//! Claims are made when they are asked for, by the thread that takes batches. A claimed sample is a
//! value that travels with its ticket, then with the batch's receipt: whatever ends the loader in
//! order gives back what was not delivered, and a kill loses what was in flight.

use std::path::Path;
use std::time::{Duration, Instant};

use rdt_buffer::live::{Claimed, Follower, FollowerOptions};

use crate::bad_sample::BadSample;
use crate::batch_order::BatchPosition;
use crate::draw::Visit;
use crate::error::ConsumerError;
use crate::feed::{End, Feed, Instead, Next, Ticket, TicketPlace, Tried};
use crate::holdout::Holdout;

/// Between two looks for samples while there are none: doubled from the one to the other, and longer
/// where a look itself takes long.
const SHORTEST_LOOK: Duration = Duration::from_millis(1);
const LONGEST_LOOK: Duration = Duration::from_millis(16);
/// Between two looks whether a producer is there.
const PRODUCER_LOOK: Duration = Duration::from_millis(200);
/// Unreadable samples in a row after which it is given up.
const MOST_BAD: u32 = 64;

/// How a live buffer is consumed.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveOptions {
    /// Seed of the wordings drawn and of disturbance, and of the choice of chunks.
    pub seed: u64,
    /// Samples of a batch.
    pub batch: u32,
    /// Number of the first batch: a run that goes on counts on.
    pub first_batch: u64,
    /// Samples to deliver; endless if none. The last batch may be smaller.
    pub samples: Option<u64>,
    /// Whether to wait on where everything is consumed and no producer works on the buffer.
    pub wait: bool,
    /// Chunks that a batch is mixed from.
    pub window: usize,
    /// Share of the episodes that is held out, as [`Holdout`] chooses them: their samples are consumed
    /// and not delivered. 0: none.
    pub holdout: f64,
}

/// Claims samples.
#[derive(Debug)]
pub(crate) struct LiveFeed {
    follower: Follower,
    options: LiveOptions,
    /// Batches handed out.
    batches: u64,
    /// Samples of the batch that is being handed out.
    in_batch: u32,
    /// Samples claimed and not given up.
    claimed: u64,
    /// Samples of held-out episodes, consumed and not delivered.
    held_out: u64,
    /// Places of unreadable samples that wait for another.
    owed: u64,
    /// Between two looks for samples.
    look: Duration,
    /// There were no samples; the next look is not before this.
    next_look: Instant,
    next_producer_look: Instant,
    /// Nothing more will come.
    is_over: bool,
}

impl LiveFeed {
    /// Registers as a consumer of the buffer at `dir`; of chunks with `stored_images` only, if that is asked.
    ///
    /// # Errors
    /// A batch of no samples, a share out of range; it is no buffer, is being filled, or cannot be
    /// written.
    pub(crate) fn open(dir: &Path, options: LiveOptions, stored_images: bool) -> Result<Self, ConsumerError> {
        if options.batch == 0 {
            return Err(ConsumerError::EmptyBatch);
        }
        if options.holdout != 0.0 {
            Holdout::check_share(options.holdout)?;
        }
        let follower = Follower::new(
            dir,
            FollowerOptions { window: options.window, seed: options.seed, stored_images },
        )?;
        let now = Instant::now();
        Ok(Self {
            follower,
            options,
            batches: 0,
            in_batch: 0,
            claimed: 0,
            held_out: 0,
            owed: 0,
            look: SHORTEST_LOOK,
            next_look: now,
            next_producer_look: now,
            is_over: false,
        })
    }

    fn is_enough(&self) -> bool {
        self.options.samples.is_some_and(|samples| self.claimed >= samples)
    }

    /// One more sample, if there is one now.
    fn claim(&mut self) -> Result<Option<Ticket>, ConsumerError> {
        if Instant::now() < self.next_look {
            return Ok(None);
        }
        loop {
            let Some(claimed) = self.follower.claim()? else {
                self.next_look = Instant::now() + self.look.max(self.follower.search_pause());
                self.look = (self.look * 2).min(LONGEST_LOOK);
                return Ok(None);
            };
            self.look = SHORTEST_LOOK;
            if self.is_held_out(&claimed) {
                claimed.deliver();
                self.held_out += 1;
                continue;
            }
            self.claimed += 1;
            // A sample of a generation is visited once, so its place is what draws depend on.
            let (epoch, at) = (claimed.generation().generation, claimed.id().get());
            let visit = Visit { seed: self.options.seed, epoch, at };
            return Ok(Some(Ticket { place: TicketPlace::Claimed(claimed), visit, soon: None }));
        }
    }

    /// Whether the sample's episode is held out. One that cannot be read is not: whoever loads it says so.
    fn is_held_out(&self, claimed: &Claimed) -> bool {
        let share = self.options.holdout;
        share > 0.0
            && claimed
                .view()
                .is_ok_and(|view| Holdout::holds_out(share, &view.dataset().name, &view.episode().origin))
    }

    /// Whether everything is consumed and nobody makes more, if it is time to look.
    fn looks_over(&mut self) -> Result<bool, ConsumerError> {
        let now = Instant::now();
        if self.options.wait || now < self.next_producer_look {
            return Ok(false);
        }
        self.next_producer_look = now + PRODUCER_LOOK;
        Ok(self.follower.is_over()?)
    }

    fn cut(&mut self) -> Next {
        self.batches += 1;
        self.in_batch = 0;
        Next::CutBatch
    }
}

impl Feed for LiveFeed {
    fn max_batch(&self) -> usize {
        self.options.batch as usize
    }

    fn position(&self) -> BatchPosition {
        BatchPosition { epoch: 0, batch: self.options.first_batch + self.batches }
    }

    fn next(&mut self) -> Result<Next, ConsumerError> {
        if self.in_batch == self.options.batch {
            return Ok(self.cut());
        }
        let is_enough = self.is_enough();
        if !is_enough && !self.is_over {
            if let Some(ticket) = self.claim()? {
                match self.owed.checked_sub(1) {
                    Some(owed) => self.owed = owed,
                    None => self.in_batch += 1,
                }
                return Ok(Next::Take(ticket));
            }
            self.is_over = self.looks_over()?;
        }
        Ok(match (is_enough || self.is_over, self.in_batch) {
            (false, _) => Next::Later(self.next_look.saturating_duration_since(Instant::now())),
            (true, 0) if is_enough => Next::End(End::Enough),
            (true, 0) => Next::End(End::Consumed),
            // The last batch is as full as it gets.
            (true, _) => self.cut(),
        })
    }

    fn instead(&mut self, of: Ticket, tried: Tried) -> Result<Instead, ConsumerError> {
        if tried.in_a_row >= MOST_BAD {
            return Ok(Instead::GiveUp { tries: tried.in_a_row });
        }
        if let TicketPlace::Claimed(claimed) = of.place {
            claimed.give_up();
            self.claimed -= 1;
        }
        Ok(match self.claim()? {
            Some(ticket) => Instead::Another(ticket),
            None => {
                self.owed += 1;
                Instead::Later
            }
        })
    }

    fn runs_ahead(&self) -> bool {
        false
    }

    fn count_waited(&mut self, waited: Duration) {
        self.follower.count_waited(waited);
    }

    fn held_out(&self) -> u64 {
        self.held_out
    }

    fn take_unreadable(&mut self) -> Vec<BadSample> {
        let chunks = self.follower.take_unreadable();
        chunks.into_iter().map(|(chunk, error)| BadSample::of_chunk(chunk, &error)).collect()
    }
}
