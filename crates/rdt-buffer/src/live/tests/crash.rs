//! Every single change fails in turn, and the producer dies with it or goes on.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::make::{self, Result};
use crate::live::totals;
use crate::storage::Disk;
use crate::tests::faulty::Faulty;
use crate::*;

const CHUNKS: u32 = 2;

/// Fills, consumes half, refills twice; `dies` as a kill would have it.
fn work(dir: &Path, storage: Faulty, dies: bool, next: &mut u32, delivered: &mut Vec<u32>) -> Result {
    let writer = make::start(dir, Arc::new(storage), CHUNKS)?;
    if dies {
        writer.die_at_errors();
    }
    for _ in 0..4 {
        while make::refill(&writer, 0.5, next)?.is_some() {}
        let mut follower = make::follower(dir)?;
        // One is out while the chunk is replaced, and given back afterwards.
        let out = follower.claim()?;
        for _ in 0..CHUNKS * make::CHUNK_SIZE / 2 {
            if let Some(sample) = follower.claim()? {
                delivered.push(sample.view()?.step());
                sample.deliver();
            }
        }
        while make::refill(&writer, 0.5, next)?.is_some() {}
        drop(out);
        writer.settle()?;
    }
    Ok(())
}

#[test]
fn whatever_write_fails_nothing_is_lost_or_repeated() -> Result {
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        for dies in [true, false] {
            let mut changes = 0;
            loop {
                let dir = make::folder()?;
                let (mut next, mut delivered) = (0, Vec::new());
                let failed =
                    work(dir.path(), Faulty::after(changes, kind), dies, &mut next, &mut delivered).is_err();
                let context = format!("change {changes}, {kind:?}, dies {dies}");
                // Readers find whole chunks and their bits only.
                if let Ok(buffer) = Buffer::open(dir.path()) {
                    for id in buffer.published_chunks()? {
                        buffer.bits_of(id).map_err(|e| format!("{context}: {e}"))?;
                        buffer.map(id)?.verify()?;
                    }
                }
                // The next producer goes on: numbers that were not published are made again.
                let published = match layout::manifest(dir.path()).exists() {
                    true => totals(dir.path()).map_err(|e| format!("{context}: {e}"))?.produced as u32,
                    false => 0,
                };
                assert!(published >= next, "{context}: published chunks are gone");
                next = next.max(published);
                work(dir.path(), Faulty::after(u64::MAX, kind), false, &mut next, &mut delivered)
                    .map_err(|e| format!("{context}: {e}"))?;
                let mut follower = make::follower(dir.path())?;
                while let Some(sample) = follower.claim()? {
                    delivered.push(sample.view()?.step());
                    sample.deliver();
                }
                drop(follower);
                let totals = totals(dir.path())?;
                assert_eq!(
                    (totals.unread, totals.in_flight, totals.lost),
                    (0, 0, 0),
                    "{context}: {totals:?}"
                );
                assert_eq!(totals.delivered, totals.produced, "{context}");
                assert_eq!(delivered.len() as u64, totals.produced, "{context}");
                delivered.sort_unstable();
                let count = delivered.len();
                delivered.dedup();
                assert_eq!(delivered.len(), count, "{context}: delivered twice");
                make::assert_settles(dir.path(), CHUNKS, &mut next).map_err(|e| format!("{context}: {e}"))?;
                let writer = make::start(dir.path(), Arc::new(Disk), CHUNKS)?;
                writer.settle()?;
                for folder in [layout::TMP, layout::RETIRED, layout::CONSUMERS] {
                    let left = std::fs::read_dir(dir.path().join(folder))?.count();
                    assert_eq!(left, 0, "{context}: left in {folder}");
                }
                if !failed {
                    assert!(changes > 40, "only {changes} changes");
                    break;
                }
                changes += 1;
            }
        }
    }
    Ok(())
}
