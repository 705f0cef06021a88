//! The endless stream of samples: steps of drawn episodes, dealt out in runs so that neighbours in
//! time go to different chunks.
//!
//! The stream is cut into groups of `spread x chunk_size` samples. In a group, runs of consecutive
//! steps of each episode are dealt to `spread` hands, about a chunk each; the stream is then one hand
//! after the other. Position p of the stream is a function of the plan, the settings and p.

use std::collections::VecDeque;

use rdt_schema::draw;

use crate::follow::draws::Draws;
use crate::plan::Plan;
use crate::spread::{self, Spread};

/// Stream of random numbers that the steps of long episodes are drawn from.
const STEP_STREAM: u64 = 1 << 16;
/// Streams of random numbers that the dealing of shard s is drawn from.
const DEAL_STREAM: u64 = 1 << 17;

/// How a stream is dealt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dealing {
    pub(crate) chunk_size: u32,
    /// Hands of a group, and steps that stay together.
    pub(crate) spread: Spread,
    /// Of longer episodes, that many steps are drawn each pass.
    pub(crate) most_steps: u32,
    /// This stream has the draws of shard `shard` of `shards`.
    pub(crate) shard: u32,
    pub(crate) shards: u32,
    pub(crate) seed: u64,
}

/// Consecutive samples of the stream that are steps of one episode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Run {
    /// Position of the first in the stream.
    pub(crate) at: u64,
    /// The episode's place in the plan.
    pub(crate) episode: usize,
    pub(crate) steps: Vec<u32>,
}

/// The stream from some position on.
#[derive(Debug)]
pub(crate) struct Stream {
    dealing: Dealing,
    draws: Draws,
    /// Steps of the last drawn episode that are beyond the group.
    rest: Option<(usize, Vec<u32>)>,
    /// What is dealt and not taken.
    dealt: VecDeque<Run>,
    /// Position behind what is dealt.
    end: u64,
}

impl Stream {
    /// The stream of `plan` from position `start` on.
    pub(crate) fn at(plan: &Plan, weights: &[f64], dealing: Dealing, start: u64) -> Self {
        let draws = Draws::new(plan, weights, dealing.seed, (dealing.shard, dealing.shards));
        let mut stream = Self { dealing, draws, rest: None, dealt: VecDeque::new(), end: 0 };
        stream.pass_groups(plan, start / stream.group());
        while stream.position() < start {
            stream.take(plan, start - stream.position());
        }
        stream
    }

    /// Position of the next sample.
    pub(crate) fn position(&self) -> u64 {
        self.dealt.front().map_or(self.end, |run| run.at)
    }

    /// The next samples, at least one and at most `most`, all of one episode.
    pub(crate) fn take(&mut self, plan: &Plan, most: u64) -> Run {
        loop {
            if let Some(front) = self.dealt.front_mut() {
                let most = usize::try_from(most.max(1)).unwrap_or(usize::MAX);
                if front.steps.len() > most {
                    let steps = front.steps.drain(..most).collect();
                    let run = Run { at: front.at, episode: front.episode, steps };
                    front.at += most as u64;
                    return run;
                }
            }
            match self.dealt.pop_front() {
                Some(run) => return run,
                None => self.deal(plan),
            }
        }
    }

    fn group(&self) -> u64 {
        u64::from(self.dealing.chunk_size) * u64::from(self.dealing.spread.chunks.get())
    }

    /// Passes over whole groups without dealing them.
    fn pass_groups(&mut self, plan: &Plan, groups: u64) {
        let mut left = groups * self.group();
        self.end = left;
        while left > 0 {
            let (episode, steps) = self.rest.take().unwrap_or_else(|| self.next_episode(plan));
            let count = steps.len() as u64;
            if count > left {
                self.rest = Some((episode, steps[left as usize..].to_vec()));
            }
            left = left.saturating_sub(count);
        }
    }

    /// Deals a group.
    fn deal(&mut self, plan: &Plan) {
        let spread = self.dealing.spread;
        // The order in which hands get runs differs from group to group and from shard to shard.
        let key = draw::bits(self.dealing.seed, DEAL_STREAM + u64::from(self.dealing.shard), self.end);
        let mut dealer = spread::Dealing::new(key, spread.chunks);
        let mut hands: Vec<Vec<Run>> = vec![Vec::new(); spread.chunks.get() as usize];
        let (mut left, mut dealt) = (self.group(), 0);
        while left > 0 {
            let (episode, mut steps) = self.rest.take().unwrap_or_else(|| self.next_episode(plan));
            if steps.len() as u64 > left {
                self.rest = Some((episode, steps.split_off(left as usize)));
            }
            left -= steps.len() as u64;
            for places in spread.runs(0..steps.len() as u32) {
                let hand = &mut hands[dealer.chunk_of(dealt) as usize];
                dealt += 1;
                let steps = steps[places.start as usize..places.end as usize].to_vec();
                hand.push(Run { at: 0, episode, steps });
            }
        }
        for mut run in hands.into_iter().flatten() {
            run.at = self.end;
            self.end += run.steps.len() as u64;
            self.dealt.push_back(run);
        }
    }

    /// The next drawn episode of this shard, and its steps.
    fn next_episode(&mut self, plan: &Plan) -> (usize, Vec<u32>) {
        let draw = self.draws.next();
        let (first, count) = plan.steps_of(draw.episode);
        let most = self.dealing.most_steps;
        let steps = if count > most {
            some_steps(count, most, self.dealing.seed, draw.number).map(|step| first + step).collect()
        } else {
            (first..first + count).collect()
        };
        (draw.episode, steps)
    }
}

/// `most` of the steps `0..count`, in order, each set of them equally likely (Knuth's selection
/// sampling).
fn some_steps(count: u32, most: u32, seed: u64, draw: u64) -> impl Iterator<Item = u32> {
    let mut needed = most;
    (0..count).filter(move |&step| {
        let number =
            draw::below(draw::bits(seed, STEP_STREAM, draw << 32 | u64::from(step)), u64::from(count - step));
        let is_chosen = number < u64::from(needed);
        needed -= u32::from(is_chosen);
        is_chosen
    })
}
