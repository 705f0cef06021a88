//! How often a producer looks for consumed chunks.
//!
//! A look costs time in proportion to the chunks, and there are several workers. They share their
//! looks, so that all together take at most 1 % of a core, however large the buffer is.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::follow::lock_whole;

/// Looks that find nothing take at most this share of the time.
const LOOK_SHARE: u32 = 100;

/// The looks of all workers.
#[derive(Debug)]
pub(crate) struct Looks(Mutex<State>);

#[derive(Debug)]
struct State {
    /// What the last two looks took that found nothing.
    took: [Duration; 2],
    next: Instant,
}

impl Looks {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(State { took: [Duration::ZERO; 2], next: Instant::now() }))
    }

    /// Looks, unless somebody has found nothing too short a time ago.
    pub(crate) fn look<T>(&self, look: impl FnOnce() -> Option<T>) -> Option<T> {
        let mut state = lock_whole(&self.0);
        let began = Instant::now();
        if began < state.next {
            return None;
        }
        let found = look();
        if found.is_none() {
            let now = Instant::now();
            state.took = [state.took[1], now - began];
            // The longer one may have been interrupted.
            state.next = now + LOOK_SHARE * state.took[0].min(state.took[1]);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_of_all_workers_together_take_one_percent_of_the_time() {
        let looks = Looks::new();
        let (began, mut count) = (Instant::now(), 0);
        while began.elapsed() < Duration::from_millis(500) {
            looks.look(|| {
                count += 1;
                std::thread::sleep(Duration::from_millis(1));
                None::<()>
            });
            std::thread::sleep(Duration::from_millis(1));
        }
        // The first is not known to be slow yet.
        assert!((2..=7).contains(&count), "{count} looks of 1 ms in 500 ms");
        // One that finds something is followed by the next at once.
        let looks = Looks::new();
        assert!((0..10).all(|_| looks.look(|| Some(())).is_some()));
    }
}
