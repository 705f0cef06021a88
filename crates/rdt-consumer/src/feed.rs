//! What a loader loads next: the seam between the loader and the places that samples come from.
//!
//! A [`Feed`] hands out *tickets*, one a sample, in the order in which batches hold them, and says where
//! a batch ends. There are two: [`ordered`] goes through an order over a source, [`live`] claims
//! samples of a live buffer. The loader knows neither orders nor claims, a feed neither threads nor
//! memory; what a batch holds is settled by the feed before any thread runs.

pub(crate) mod live;
pub(crate) mod ordered;

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use rdt_buffer::SampleId;
use rdt_buffer::live::Claimed;

use crate::bad_sample::BadSample;
use crate::batch_order::BatchPosition;
use crate::draw::Visit;
use crate::error::ConsumerError;

/// Hands out what is loaded.
pub(crate) trait Feed: fmt::Debug + Send {
    /// Samples of its largest batch.
    fn max_batch(&self) -> usize;

    /// The batch that the next ticket is of.
    fn position(&self) -> BatchPosition;

    /// What comes next. After [`Next::End`] it is asked again only for samples that stand in for
    /// unreadable ones.
    ///
    /// # Errors
    /// It cannot be known.
    fn next(&mut self) -> Result<Next, ConsumerError>;

    /// What is loaded in the place of a sample that cannot be read. After [`Instead::Later`] the next
    /// ticket that [`Feed::next`] takes is for that place.
    ///
    /// # Errors
    /// It cannot be known.
    fn instead(&mut self, of: Ticket, tried: Tried) -> Result<Instead, ConsumerError>;

    /// Whether tickets may be taken before anybody asks for the batch: not if each keeps its sample
    /// from others.
    fn runs_ahead(&self) -> bool;

    /// Notes that somebody waited so long for a batch.
    fn count_waited(&mut self, _waited: Duration) {}

    /// Samples that were consumed and not handed out, since their episodes are held out.
    fn held_out(&self) -> u64 {
        0
    }

    /// Chunks that turned out unreadable since the last call, in the form of samples.
    fn take_unreadable(&mut self) -> Vec<BadSample> {
        Vec::new()
    }
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Next {
    /// A sample.
    Take(Ticket),
    /// The batch is whole.
    CutBatch,
    /// Nothing before so long from now.
    Later(Duration),
    /// Nothing any more.
    End(End),
}

/// What is loaded in the place of an unreadable sample.
#[derive(Debug)]
pub(crate) enum Instead {
    /// Another one.
    Another(Ticket),
    /// There is none now.
    Later,
    /// So many in a row cannot be read: no more are tried.
    GiveUp { tries: u32 },
}

/// Samples that could not be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tried {
    /// In this place of the batch, the last one included.
    pub(crate) in_place: u32,
    /// Since one could be read, in all places.
    pub(crate) in_a_row: u32,
}

/// Why no batch comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As many samples as were asked for are loaded.
    Enough,
    /// Everything in the live buffer is consumed, and no producer works on it.
    Consumed,
    /// Somebody asked to stop.
    Stopped,
}

/// A sample to load.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) place: TicketPlace,
    /// What the draws about it depend on.
    pub(crate) visit: Visit,
    /// What a thread announces to the kernel before it loads this.
    pub(crate) soon: Option<Soon>,
}

/// Where the sample is.
#[derive(Debug)]
pub(crate) enum TicketPlace {
    /// A sample of the loader's source.
    Ordered(SampleId),
    /// A sample of a live buffer, which nobody else has.
    Claimed(Claimed),
}

/// What will be read soon.
#[derive(Debug, Clone)]
pub(crate) struct Soon {
    /// A sample.
    pub(crate) sample: SampleId,
    /// Samples that lie together.
    pub(crate) samples: Option<Range<SampleId>>,
}

impl TicketPlace {
    /// The sample's id.
    pub(crate) fn id(&self) -> SampleId {
        match self {
            Self::Ordered(id) => *id,
            Self::Claimed(claimed) => claimed.id(),
        }
    }
}
