//! Every interleaving of claims, closes and what follows them, by a model checker that also tries
//! what the memory orderings allow.

use super::*;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

impl Word for AtomicU64 {
    fn load(&self) -> u64 {
        AtomicU64::load(self, Ordering::Acquire)
    }

    fn exchange(&self, from: u64, to: u64) -> Result<(), u64> {
        self.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).map(drop)
    }

    fn set(&self, bits: u64) {
        self.fetch_or(bits, Ordering::AcqRel);
    }

    fn clear(&self, bits: u64) {
        self.fetch_and(!bits, Ordering::AcqRel);
    }
}

/// Two slots.
const USED: SlotMask = 0b101;

#[test]
fn of_two_consumers_and_a_producer_one_gets_each_slot() {
    loom::model(|| {
        let word = Arc::new(AtomicU64::new(0));
        let consumer = |start| {
            let word = Arc::clone(&word);
            thread::spawn(move || claim(&*word, USED, start))
        };
        let consumers = [consumer(0), consumer(0)];
        let closed = close(&*word, USED);
        let claimed: Vec<u32> = consumers.into_iter().filter_map(|thread| thread.join().unwrap()).collect();
        let mut owners = [0; 2];
        claimed.iter().for_each(|&slot| owners[slot as usize] += 1);
        (0..2).filter(|slot| closed >> (2 * slot) & 1 == 1).for_each(|slot| owners[slot] += 1);
        assert_eq!(owners, [1, 1], "claimed {claimed:?}, closed {closed:b}");
    });
}

#[test]
fn who_closes_sees_the_hold_of_who_claimed_before() {
    loom::model(|| {
        let (word, hold) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (their_word, their_hold) = (Arc::clone(&word), Arc::clone(&hold));
        let consumer = thread::spawn(move || {
            their_hold.store(7, Ordering::Release);
            claim(&*their_word, 1, 0).is_some()
        });
        let closed = close(&*word, 1);
        let held = hold.load(Ordering::Acquire);
        assert!(closed == 1 || held == 7, "a claimed slot of a consumer that nobody knows of");
        assert_eq!(consumer.join().unwrap(), closed == 0);
    });
}

/// While no consumer dies, none of their samples is taken for lost: the producer counts, looks who
/// holds the generation, and counts again.
#[test]
fn a_living_consumers_sample_is_not_taken_for_lost() {
    loom::model(|| {
        let (word, hold) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (their_word, their_hold) = (Arc::clone(&word), Arc::clone(&hold));
        let consumer = thread::spawn(move || {
            their_hold.store(1, Ordering::SeqCst);
            if let Some(slot) = claim(&*their_word, 1, 0) {
                deliver(&*their_word, slot);
            }
            their_hold.store(0, Ordering::SeqCst);
        });
        let before = Word::load(&*word);
        let is_held = hold.load(Ordering::SeqCst) != 0;
        let after = Word::load(&*word);
        let is_lost = before == after && claimed(after) == 1 && !is_held;
        assert!(!is_lost, "{before:b}");
        consumer.join().unwrap();
    });
}

#[test]
fn a_slot_given_back_is_claimed_once_or_closed() {
    loom::model(|| {
        let word = Arc::new(AtomicU64::new(1));
        let (theirs, others) = (Arc::clone(&word), Arc::clone(&word));
        let giver = thread::spawn(move || give_back(&*theirs, 0));
        let taker = thread::spawn(move || claim(&*others, 1, 0));
        let closed_now = close(&*word, 1);
        giver.join().unwrap();
        let taken = taker.join().unwrap().is_some();
        let now = Word::load(&*word);
        let states = [clean(now), claimed(now), closed(now)].map(|mask| mask & 1);
        assert_eq!(states.iter().sum::<u64>(), 1, "{now:b}");
        assert_eq!(taken, states[1] == 1, "{now:b}");
        assert_eq!(closed_now, states[2], "{now:b}");
    });
}

#[test]
fn reopening_gives_back_what_was_closed_and_nothing_else() {
    // Slots: clean, claimed, delivered, closed.
    let word = std::sync::atomic::AtomicU64::new(0b10_11_01_00);
    assert_eq!(close(&word, used(4, 0)), 0b01_00_00_01);
    reopen(&word);
    assert_eq!(Word::load(&word), 0b00_11_01_00);
    // A slot that does not exist is never claimed.
    assert_eq!((used(4, 0), used(33, 1), used(32, 1)), (0b0101_0101, 1, 0));
    assert_eq!(claim(&word, used(1, 0), 5), Some(0));
    assert_eq!(claim(&word, used(1, 0), 5), None);
}
