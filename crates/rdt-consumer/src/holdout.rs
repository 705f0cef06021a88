//! Which episodes are held out of training, and the samples of either side.
//!
//! An episode is held out by a hash of where it comes from (data set, file, key), so the choice
//! is the same for every seed, every fill and every order of the samples, and an episode stays
//! on its side when others are added. A [`Selection`] numbers the samples of one side without
//! gaps, so that an order can permute them; it takes memory by runs of neighbouring samples (on
//! a fill in order: episodes), not by samples.

use std::sync::Arc;

use rdt_buffer::{SampleId, Samples};
use rdt_schema::Origin;

use crate::draw;
use crate::error::ConsumerError;

/// Samples of a source, numbered from 0 without gaps, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    runs: Vec<Run>,
    samples: u64,
    episodes: u64,
}

/// Neighbouring samples: number `first + i` is sample `id + i`, up to the next run's `first`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u64,
    id: u64,
}

impl Selection {
    /// Samples in it.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Episodes that they are of.
    pub fn episodes(&self) -> u64 {
        self.episodes
    }

    /// The sample of a number; past the end, of the last run and on.
    pub fn sample(&self, number: u64) -> SampleId {
        let at = self.runs.partition_point(|run| run.first <= number).saturating_sub(1);
        SampleId::new(self.runs.get(at).map_or(number, |run| run.id + (number - run.first)))
    }

    /// The number of a sample, if it is in the selection.
    pub fn number(&self, sample: SampleId) -> Option<u64> {
        let at = self.runs.partition_point(|run| run.id <= sample.get()).checked_sub(1)?;
        let end = self.runs.get(at + 1).map_or(self.samples, |next| next.first);
        let number = self.runs[at].first + (sample.get() - self.runs[at].id);
        (number < end).then_some(number)
    }

    fn push(&mut self, id: u64) {
        let continued = self.runs.last().is_some_and(|run| run.id + (self.samples - run.first) == id);
        if !continued {
            self.runs.push(Run { first: self.samples, id });
        }
        self.samples += 1;
    }
}

/// Number of the side that is trained on.
const TRAINING: usize = 0;

/// The two sides of a source.
#[derive(Debug, Clone, PartialEq)]
pub struct Holdout {
    /// What is trained on.
    pub training: Arc<Selection>,
    /// What is held out of training, to evaluate on.
    pub held_out: Arc<Selection>,
    /// Samples whose episode cannot be read. They are among those that are trained on, where they are
    /// named and replaced, though their episode may be held out.
    pub unknown: u64,
}

impl Holdout {
    /// Divides the samples of `source`: about `share` of its episodes are held out.
    ///
    /// Looks at each sample once, at its episode only.
    ///
    /// # Errors
    /// A share outside of (0, 1), or one that leaves a side without samples.
    pub fn new(source: &dyn Samples, share: f64) -> Result<Self, ConsumerError> {
        Self::check_share(share)?;
        let mut sides = [Selection::default(), Selection::default()];
        // Episodes change rarely from one sample to the next; each is counted where it first
        // comes up.
        let mut seen = std::collections::HashSet::new();
        let mut before: Option<(u16, Origin, usize)> = None;
        let mut unknown = 0;
        let names: Vec<String> = source.datasets().iter().map(|dataset| dataset.name.clone()).collect();
        for id in 0..source.sample_count() {
            // What cannot be read is named and replaced where it is trained on.
            let mut told = TRAINING;
            let known = source.tell_origin(SampleId::new(id), &mut |dataset, origin, _| {
                told = match &before {
                    Some((d, o, side)) if *d == dataset && o == origin => *side,
                    _ => {
                        let name = names.get(usize::from(dataset)).map_or("", String::as_str);
                        let hash = hash(name, origin);
                        let side = usize::from(is_chosen(hash, share));
                        sides[side].episodes += u64::from(seen.insert(hash));
                        before = Some((dataset, origin.clone(), side));
                        side
                    }
                };
            });
            unknown += u64::from(known.is_err());
            sides[known.map_or(TRAINING, |()| told)].push(id);
        }
        let [training, held_out] = sides;
        if training.samples == 0 || held_out.samples == 0 {
            return Err(ConsumerError::HoldoutSide {
                share,
                episodes: training.episodes + held_out.episodes,
                side: if training.samples == 0 { "to train on" } else { "held out" },
            });
        }
        Ok(Self { training: Arc::new(training), held_out: Arc::new(held_out), unknown })
    }

    /// Whether the episode `origin` of data set `dataset` is held out, at a share of `share`.
    pub fn holds_out(share: f64, dataset: &str, origin: &Origin) -> bool {
        is_chosen(hash(dataset, origin), share)
    }

    /// Refuses a share outside of (0, 1).
    ///
    /// # Errors
    /// It is.
    pub(crate) fn check_share(share: f64) -> Result<(), ConsumerError> {
        if share > 0.0 && share < 1.0 { Ok(()) } else { Err(ConsumerError::HoldoutShare { share }) }
    }

    /// What the log says.
    pub fn describe(&self) -> String {
        let (training, held_out) = (&self.training, &self.held_out);
        let unknown = match self.unknown {
            0 => String::new(),
            count => format!("; {count} samples count as trained on because their episode cannot be read"),
        };
        format!(
            "held out of training: {} of {} episodes, {} of {} samples{unknown}",
            held_out.episodes,
            held_out.episodes + training.episodes,
            held_out.samples,
            held_out.samples + training.samples
        )
    }

    /// What a checkpoint says of it beside the data. A sample that changes its side, since it could
    /// not be read before or cannot now, changes the numbering; then a resumed run is refused.
    pub fn note(&self) -> String {
        format!(", {} samples trained on and {} held out", self.training.samples, self.held_out.samples)
    }
}

fn is_chosen(hash: u64, share: f64) -> bool {
    draw::unit(hash) < share
}

/// Where an episode comes from, as one number. It decides which episodes runs hold out, so a
/// test holds its values.
fn hash(dataset: &str, origin: &Origin) -> u64 {
    [dataset, &origin.source, &origin.key].iter().fold(0, |key, text| {
        // The length first, so that no two triples run together alike.
        let key = draw::absorb(key, text.len() as u64);
        text.bytes().fold(key, |key, byte| draw::absorb(key, u64::from(byte)))
    })
}

#[cfg(test)]
mod tests;
