//! Samples that cannot be read: how they are named and what happens to their place.

use std::error::Error;
use std::fmt;

use rdt_buffer::live::Claimed;
use rdt_buffer::{ChunkId, SampleId, Samples, SlotIndex};
use rdt_schema::{Origin, in_full};
use serde::{Deserialize, Serialize};

use crate::feed::TicketPlace;

/// What a loader does with a sample that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBadSample {
    /// Names and counts it and delivers another one in its place: the sample half an epoch
    /// later in the order (around its end), or the first good one behind it. A function of the
    /// position, so all thread and rank counts agree on it.
    #[default]
    Skip,
    /// Ends the sequence with an error that names it.
    Fail,
}

/// A sample that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSample {
    /// Its id.
    pub sample: SampleId,
    /// The chunk that holds it and its slot there; none where it was read from a source file.
    pub place: Option<(ChunkId, SlotIndex)>,
    /// The filling of the chunk, of a live buffer: its next one has other samples under the same ids.
    pub generation: Option<u64>,
    /// Source file and episode; none where the chunk itself cannot be opened.
    pub origin: Option<Origin>,
    /// Original step; none where the chunk itself cannot be opened.
    pub step: Option<u32>,
    /// Why, with all causes.
    pub reason: String,
}

impl BadSample {
    /// Names the sample at `place`, of `source` if it is not claimed, which cannot be read because of
    /// `error`.
    pub(crate) fn of(place: &TicketPlace, source: &dyn Samples, error: &dyn Error) -> Self {
        match place {
            TicketPlace::Ordered(id) => Self::of_source(*id, source, error),
            TicketPlace::Claimed(claimed) => Self::of_claimed(claimed, error),
        }
    }

    fn of_source(sample: SampleId, source: &dyn Samples, error: &dyn Error) -> Self {
        let (mut origin, mut step) = (None, None);
        // What cannot be known is left out.
        let _ =
            source.tell_origin(sample, &mut |_, known, at| (origin, step) = (Some(known.clone()), Some(at)));
        let place = source.place(sample);
        Self { sample, place, generation: None, origin, step, reason: in_full(error) }
    }

    fn of_claimed(claimed: &Claimed, error: &dyn Error) -> Self {
        let named = claimed.view().ok().map(|view| (view.episode().origin.clone(), view.step()));
        let (origin, step) = named.unzip();
        let at = claimed.generation();
        Self {
            sample: claimed.id(),
            place: Some((at.chunk, claimed.slot())),
            generation: Some(at.generation),
            origin,
            step,
            reason: in_full(error),
        }
    }

    /// Names a chunk of a live buffer that cannot be opened, as its first sample.
    pub(crate) fn of_chunk(chunk: ChunkId, error: &dyn Error) -> Self {
        let place = Some((chunk, SlotIndex::new(0)));
        Self {
            sample: SampleId::new(0),
            place,
            generation: None,
            origin: None,
            step: None,
            reason: in_full(error),
        }
    }
}

impl fmt::Display for BadSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sample {}", self.sample)?;
        let from = self.origin.as_ref().zip(self.step);
        match (self.place, from) {
            (Some((chunk, slot)), Some((origin, step))) => {
                write!(f, " (chunk {chunk}, slot {slot}, from {origin} step {step})")?;
            }
            (Some((chunk, slot)), None) => write!(f, " (chunk {chunk}, slot {slot})")?,
            (None, Some((origin, step))) => write!(f, " ({origin} step {step})")?,
            (None, None) => {}
        }
        write!(f, " cannot be read: {}", self.reason)
    }
}
