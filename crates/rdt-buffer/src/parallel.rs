//! Looking at many chunks with all cores.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::id::ChunkId;

/// Calls `work` for each chunk, on as many threads as the machine has cores, and returns
/// the results in the order of `chunks`. `done` is told how many are finished, by any of the threads.
pub fn over_chunks<T: Send>(
    chunks: &[ChunkId],
    done: Option<&(dyn Fn(u64) + Sync)>,
    work: impl Fn(ChunkId) -> T + Sync,
) -> Vec<T> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(chunks.len());
    let (next, finished) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Mutex<Vec<(usize, T)>> = Mutex::new(Vec::with_capacity(chunks.len()));
    let run = || {
        while let Some((at, &chunk)) = {
            let at = next.fetch_add(1, Ordering::Relaxed);
            chunks.get(at).map(|chunk| (at, chunk))
        } {
            let result = work(chunk);
            // A panic in another thread ends the scope below; the list stays whole.
            results.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
            let finished = finished.fetch_add(1, Ordering::Relaxed) as u64 + 1;
            if let Some(done) = done {
                done(finished);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(run);
        }
        run();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_the_chunks() {
        let chunks: Vec<ChunkId> = (0..100).map(ChunkId::new).collect();
        let doubled = over_chunks(&chunks, None, |chunk| chunk.get() * 2);
        assert_eq!(doubled, (0..100).map(|chunk| chunk * 2).collect::<Vec<_>>());
        assert!(over_chunks(&[], None, |chunk| chunk).is_empty());
    }
}
