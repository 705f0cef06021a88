//! Random steps of producers, consumers and crashes, held against a model that is a few sets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::make::{self, Result};
use crate::live::{Claimed, Follower, LiveWriter, totals};
use crate::storage::Disk;

const CHUNKS: u32 = 3;

/// What happens.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// A chunk is refilled, if one is ready.
    Refill,
    /// A lease is taken and given back.
    Waver,
    /// The producer dies with a lease and a half-written chunk, and another starts.
    ProducerDies,
    /// A consumer claims.
    Claim(usize),
    /// A consumer delivers its oldest sample.
    Deliver(usize),
    /// A consumer gives its oldest sample back.
    GiveBack(usize),
    /// A consumer dies with what it has, and another starts.
    ConsumerDies(usize),
    /// Replaced chunks are looked after.
    Settle,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Refill),
        1 => Just(Step::Waver),
        1 => Just(Step::ProducerDies),
        12 => (0..2usize).prop_map(Step::Claim),
        8 => (0..2usize).prop_map(Step::Deliver),
        1 => (0..2usize).prop_map(Step::GiveBack),
        1 => (0..2usize).prop_map(Step::ConsumerDies),
        1 => Just(Step::Settle),
    ]
}

/// Samples by number.
#[derive(Default)]
struct Model {
    unread: BTreeSet<u32>,
    in_flight: BTreeMap<u32, usize>,
    delivered: BTreeSet<u32>,
    lost: BTreeSet<u32>,
}

struct World {
    dir: tempfile::TempDir,
    writer: Option<Arc<LiveWriter>>,
    consumers: Vec<(Follower, Vec<Claimed>)>,
    refill_at: f64,
    next: u32,
    model: Model,
}

impl World {
    fn new(refill_at: f64) -> Result<Self> {
        let dir = make::folder()?;
        let writer = make::start(dir.path(), Arc::new(Disk), CHUNKS)?;
        let consumers =
            (0..2).map(|_| Ok((make::follower(dir.path())?, Vec::new()))).collect::<Result<Vec<_>>>()?;
        Ok(Self { dir, writer: Some(writer), consumers, refill_at, next: 0, model: Model::default() })
    }

    fn step(&mut self, step: Step) -> Result {
        let writer = self.writer.clone().ok_or("no producer")?;
        match step {
            Step::Refill => {
                let new = make::refill(&writer, self.refill_at, &mut self.next)?;
                self.model.unread.extend(new.into_iter().flatten());
            }
            Step::Waver => drop(writer.lease(true, self.refill_at)),
            Step::ProducerDies => {
                if let Some(lease) = writer.lease(true, self.refill_at) {
                    let numbers: Vec<u32> = (0..make::CHUNK_SIZE).collect();
                    let (leased, _) = make::write(lease, &numbers)?;
                    leased.die();
                }
                drop((writer, self.writer.take()));
                self.writer = Some(make::start(self.dir.path(), Arc::new(Disk), CHUNKS)?);
            }
            Step::Claim(at) => {
                let (follower, claimed) = &mut self.consumers[at];
                match follower.claim()? {
                    Some(sample) => {
                        let number = sample.view()?.step();
                        assert!(
                            self.model.unread.remove(&number),
                            "sample {number} was not there to be claimed"
                        );
                        self.model.in_flight.insert(number, at);
                        claimed.push(sample);
                    }
                    None => assert!(self.model.unread.is_empty(), "not found: {:?}", self.model.unread),
                }
            }
            Step::Deliver(at) => {
                let claimed = &mut self.consumers[at].1;
                if !claimed.is_empty() {
                    let sample = claimed.remove(0);
                    let number = sample.view()?.step();
                    sample.deliver();
                    assert_eq!(self.model.in_flight.remove(&number), Some(at));
                    assert!(self.model.delivered.insert(number), "sample {number} was delivered twice");
                }
            }
            Step::GiveBack(at) => {
                let claimed = &mut self.consumers[at].1;
                if !claimed.is_empty() {
                    let number = claimed.remove(0).view()?.step();
                    assert_eq!(self.model.in_flight.remove(&number), Some(at));
                    self.model.unread.insert(number);
                }
            }
            Step::ConsumerDies(at) => {
                let new = make::follower(self.dir.path())?;
                let (follower, claimed) = std::mem::replace(&mut self.consumers[at], (new, Vec::new()));
                for sample in claimed {
                    let number = sample.view()?.step();
                    sample.die();
                    self.model.in_flight.remove(&number);
                    self.model.lost.insert(number);
                }
                drop(follower);
            }
            Step::Settle => drop(writer.settle()?),
        }
        Ok(())
    }

    fn check(&self) -> Result {
        let totals = totals(self.dir.path())?;
        let Model { unread, in_flight, delivered, lost } = &self.model;
        let counted = (totals.unread, totals.delivered, totals.in_flight + totals.lost, totals.produced);
        let modelled = (
            unread.len() as u64,
            delivered.len() as u64,
            (in_flight.len() + lost.len()) as u64,
            u64::from(self.next),
        );
        assert_eq!(counted, modelled, "unread, delivered, in flight or lost, produced: {totals:?}");
        Ok(())
    }

    /// Everything is consumed, then everything is told apart.
    fn finish(mut self) -> Result {
        while let Some(sample) = self.consumers[0].0.claim()? {
            let number = sample.view()?.step();
            sample.deliver();
            assert!(self.model.unread.remove(&number), "sample {number}");
            assert!(self.model.delivered.insert(number), "sample {number} was delivered twice");
        }
        assert!(self.model.unread.is_empty(), "never found: {:?}", self.model.unread);
        for at in 0..2 {
            while !self.consumers[at].1.is_empty() {
                self.step(Step::Deliver(at))?;
            }
        }
        self.consumers.clear();
        self.check()?;
        let totals = totals(self.dir.path())?;
        assert_eq!(totals.lost, self.model.lost.len() as u64);
        let all: BTreeSet<u32> = self.model.delivered.union(&self.model.lost).copied().collect();
        assert_eq!(all, (0..self.next).collect::<BTreeSet<u32>>());
        let writer = self.writer.ok_or("no producer")?;
        assert_eq!(writer.settle()?, 0, "replaced chunks are left");
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_each_sample_is_delivered_once_or_lost_with_who_had_it(
        refill_at in prop_oneof![Just(1.0), Just(0.5), Just(0.75)],
        steps in proptest::collection::vec(step(), 1..160),
    ) {
        let run = || -> Result {
            let mut world = World::new(refill_at)?;
            for &step in &steps {
                world.step(step)?;
                world.check()?;
            }
            world.finish()
        };
        if let Err(error) = run() {
            return Err(TestCaseError::fail(error.to_string()));
        }
    }
}
