//! Hands the stream out to workers, so that each sample of it is published once: what a worker
//! could not publish comes back and goes to the next one.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::follow::mark::Mark;
use crate::follow::stream::{Dealing, Run, Stream};
use crate::plan::Plan;

/// Where workers get their samples from.
#[derive(Debug)]
pub(crate) struct Dispenser {
    plan: Arc<Plan>,
    dealing: Dealing,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stream: Stream,
    /// First positions of what workers have, by a number of their own.
    in_hand: BTreeMap<u64, u64>,
    next_number: u64,
    /// What came back.
    returned: Vec<Run>,
    /// Episodes that cannot be read.
    bad: HashSet<usize>,
    /// Positions that were published before this start.
    published: BTreeSet<(u64, u64)>,
    /// Samples passed over in a row because their episodes are bad.
    passed_over: u64,
}

/// Samples of the stream for one chunk. Dropped, they go back.
#[derive(Debug)]
pub(crate) struct Portion {
    dispenser: Arc<Dispenser>,
    number: u64,
    runs: Vec<Run>,
}

/// Every episode is bad.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NothingLeft;

impl Dispenser {
    /// The stream of `plan`, from where the published chunks with these marks say that it stood.
    pub(crate) fn new(plan: Arc<Plan>, weights: &[f64], dealing: Dealing, marks: &[Mark]) -> Arc<Self> {
        let ours =
            |mark: &&Mark| (u32::from(mark.shard), u32::from(mark.shards)) == (dealing.shard, dealing.shards);
        let low = marks.iter().filter(ours).map(|mark| mark.low).max().unwrap_or(0);
        let range = |mark: &Mark| (mark.start, mark.start + u64::from(mark.count));
        let published = marks.iter().filter(ours).map(range).filter(|(_, end)| *end > low).collect();
        let state = State {
            stream: Stream::at(&plan, weights, dealing, low),
            in_hand: BTreeMap::new(),
            next_number: 0,
            returned: Vec::new(),
            bad: HashSet::new(),
            published,
            passed_over: 0,
        };
        Arc::new(Self { plan, dealing, state: Mutex::new(state) })
    }

    /// The next `count` samples.
    pub(crate) fn take(self: &Arc<Self>, count: u32) -> Result<Portion, NothingLeft> {
        let mut state = self.lock();
        let number = state.next_number;
        state.next_number += 1;
        drop(state);
        let mut portion = Portion { dispenser: Arc::clone(self), number, runs: Vec::new() };
        portion.add(count)?;
        Ok(portion)
    }

    /// Whether an episode is left out.
    pub(crate) fn leaves_out(&self, episode: usize) -> bool {
        self.lock().bad.contains(&episode)
    }

    /// Leaves an episode out from now on; says whether it was in.
    pub(crate) fn leave_out(&self, episode: usize) -> bool {
        self.lock().bad.insert(episode)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The next good samples of the stream, at most `most`.
    fn next(&mut self, plan: &Plan, most: u64) -> Result<Run, NothingLeft> {
        loop {
            let run = match self.returned.pop() {
                Some(mut run) if run.steps.len() as u64 > most => {
                    let rest = run.steps.split_off(most as usize);
                    self.returned.push(Run { at: run.at + most, episode: run.episode, steps: rest });
                    run
                }
                Some(run) => run,
                None => self.stream.take(plan, most),
            };
            if self.bad.contains(&run.episode) {
                self.passed_over += run.steps.len() as u64;
                // More than a pass over everything, and nothing was good.
                if self.passed_over > 2 * plan.samples() + u64::from(u16::MAX) {
                    return Err(NothingLeft);
                }
                continue;
            }
            self.passed_over = 0;
            match self.unpublished(run) {
                Some(run) => return Ok(run),
                None => continue,
            }
        }
    }

    /// What of a run had not been published when this producer began. Ranges are those of chunks:
    /// a run lies in one, beside one, or begins in front of one.
    fn unpublished(&mut self, mut run: Run) -> Option<Run> {
        let end = run.at + run.steps.len() as u64;
        // They do not overlap, so both their ends are in order.
        let before_end = self.published.range(..(end, 0)).rev();
        let mut covering: Vec<Range<u64>> =
            before_end.take_while(|(_, to)| *to > run.at).map(|&(from, to)| from..to).collect();
        covering.reverse();
        for range in covering {
            let (from, to) = (range.start.max(run.at), range.end.min(end));
            if from > run.at {
                // What is behind the range comes back on its own.
                let behind = run.steps.split_off((from - run.at) as usize);
                let keep = behind[(to - from) as usize..].to_vec();
                if !keep.is_empty() {
                    self.returned.push(Run { at: to, episode: run.episode, steps: keep });
                }
                return Some(run);
            }
            run.steps.drain(..(to - from) as usize);
            run.at = to;
        }
        (!run.steps.is_empty()).then_some(run)
    }

    fn low(&self, without: u64) -> u64 {
        let in_hand = self.in_hand.iter().filter(|(number, _)| **number != without).map(|(_, at)| *at);
        let returned = self.returned.iter().map(|run| run.at);
        in_hand.chain(returned).min().unwrap_or(u64::MAX).min(self.stream.position())
    }
}

impl Portion {
    /// Adds `count` samples.
    pub(crate) fn add(&mut self, count: u32) -> Result<(), NothingLeft> {
        let dispenser = Arc::clone(&self.dispenser);
        let mut state = dispenser.lock();
        let mut left = u64::from(count);
        while left > 0 {
            let run = state.next(&dispenser.plan, left)?;
            left -= run.steps.len() as u64;
            let first = state.in_hand.entry(self.number).or_insert(run.at);
            *first = run.at.min(*first);
            self.runs.push(run);
        }
        Ok(())
    }

    pub(crate) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The mark of a chunk that holds this portion.
    pub(crate) fn mark(&self) -> Mark {
        let dealing = self.dispenser.dealing;
        let low = self.dispenser.lock().low(self.number);
        let first = self.runs.iter().map(|run| run.at).min().unwrap_or(low).max(low);
        // Where the portion is of several pieces of the stream, the mark names the first one: the
        // others may come again after a kill.
        let mut end = first;
        let mut runs: Vec<(u64, u64)> =
            self.runs.iter().map(|run| (run.at, run.at + run.steps.len() as u64)).collect();
        runs.sort_unstable();
        for (from, to) in runs {
            if from <= end {
                end = end.max(to);
            }
        }
        Mark {
            low,
            start: first,
            count: u32::try_from(end - first).unwrap_or(u32::MAX),
            shard: dealing.shard as u16,
            shards: dealing.shards as u16,
        }
    }

    /// The chunk with these samples is published.
    pub(crate) fn finish(mut self) {
        self.runs.clear();
    }
}

impl Drop for Portion {
    fn drop(&mut self) {
        let mut state = self.dispenser.lock();
        state.in_hand.remove(&self.number);
        let mut runs = std::mem::take(&mut self.runs);
        runs.reverse();
        state.returned.append(&mut runs);
    }
}
