//! Which chunks a consumer opens, when, and what it does about those that it cannot open.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::make::{self, CHUNK_SIZE, Result};
use crate::live::Follower;
use crate::storage::Disk;
use crate::*;

/// Takes the next sample, waiting for what is tried again.
fn take(follower: &mut Follower) -> Result<Option<u32>> {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        if let Some(sample) = follower.claim()? {
            let number = sample.view()?.step();
            sample.deliver();
            return Ok(Some(number));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(None)
}

#[test]
fn a_producer_that_keeps_up_leaves_no_chunk_unread() -> Result {
    let dir = make::folder()?;
    let chunks = 24;
    let writer = make::start(dir.path(), Arc::new(Disk), chunks)?;
    let mut next = 0;
    let mut refill_all = || -> Result {
        while make::refill(&writer, 1.0, &mut next)?.is_some() {}
        Ok(())
    };
    refill_all()?;
    let volume = chunks * CHUNK_SIZE;
    let mut follower = make::follower(dir.path())?;
    let mut missing: BTreeSet<u32> = (0..volume).collect();
    for _ in 0..3 * volume {
        let number = take(&mut follower)?.ok_or("a sample")?;
        missing.remove(&number);
        refill_all()?;
    }
    assert!(missing.is_empty(), "of the first generations nobody has read {missing:?}");
    Ok(())
}

#[test]
fn of_equally_full_chunks_the_oldest_comes_first() -> Result {
    let dir = make::folder()?;
    let writer = make::start(dir.path(), Arc::new(Disk), 5)?;
    let mut next = 0;
    // Chunk 0 has been replaced nine times when the others are first filled.
    make::refill(&writer, 1.0, &mut next)?;
    for _ in 0..9 {
        let mut follower = make::follower(dir.path())?;
        for _ in 0..CHUNK_SIZE {
            take(&mut follower)?.ok_or("a sample")?;
        }
        let lease = writer.lease(false, 1.0).ok_or("a lease")?;
        let (leased, summary) = make::write(lease, &[0, 1, 2, 3])?;
        leased.publish(&summary)?;
    }
    for _ in 1..5 {
        make::refill(&writer, 1.0, &mut next)?;
    }
    let mut follower = make::follower(dir.path())?;
    for number in 0..3 * CHUNK_SIZE {
        let at = follower.claim()?.ok_or("a sample")?;
        assert_ne!(at.generation().chunk.get(), 0, "sample {number}");
        at.deliver();
    }
    Ok(())
}

/// Puts something in a file's place that cannot be opened, and is neither gone nor damaged.
fn obstruct(path: &Path) -> std::io::Result<()> {
    std::fs::rename(path, path.with_extension("aside"))?;
    std::os::unix::fs::symlink(path, path)
}

fn clear(path: &Path) -> std::io::Result<()> {
    std::fs::remove_file(path)?;
    std::fs::rename(path.with_extension("aside"), path)
}

#[test]
fn a_chunk_that_cannot_be_opened_for_a_while_is_read_later() -> Result {
    let dir = make::folder()?;
    let chunks = 4;
    let writer = make::start(dir.path(), Arc::new(Disk), chunks)?;
    let mut next = 0;
    while make::refill(&writer, 1.0, &mut next)?.is_some_and(|_| next < chunks * CHUNK_SIZE) {}
    drop(writer);
    let [first, last] = [0, 3].map(|id| layout::chunk(dir.path(), ChunkId::new(id)));
    // The one when the consumer starts, the other once it knows of it.
    obstruct(&first)?;
    let mut follower = make::follower(dir.path())?;
    obstruct(&last)?;
    let mut numbers = BTreeSet::new();
    for _ in 0..2 * CHUNK_SIZE {
        numbers.extend(take(&mut follower)?);
    }
    assert!(follower.claim()?.is_none());
    assert!(!follower.is_over()?, "samples are unread");
    let named: Vec<u32> = follower.take_unreadable().iter().map(|(id, _)| id.get()).collect();
    assert_eq!(named, [3]);
    clear(&first)?;
    clear(&last)?;
    for _ in 0..2 * CHUNK_SIZE {
        numbers.extend(take(&mut follower)?);
    }
    assert_eq!(numbers.len() as u32, chunks * CHUNK_SIZE);
    assert!(follower.claim()?.is_none() && follower.is_over()?);
    Ok(())
}
