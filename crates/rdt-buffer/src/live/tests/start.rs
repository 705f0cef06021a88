//! What a producer's start makes of files that are damaged, and of files that only cannot be read
//! now; and what the totals say meanwhile.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::make::{self, Result};
use crate::live::totals;
use crate::storage::Disk;
use crate::*;

/// A buffer of one chunk, with one of its samples delivered.
fn buffer() -> Result<tempfile::TempDir> {
    let dir = make::folder()?;
    let writer = make::start(dir.path(), Arc::new(Disk), 1)?;
    make::refill(&writer, 1.0, &mut 0)?;
    make::follower(dir.path())?.claim()?.ok_or("a sample")?.deliver();
    Ok(dir)
}

fn change(path: &Path, at: usize, to: u8) -> Result {
    let mut bytes = std::fs::read(path)?;
    bytes[at] = to;
    // Another file, as damage found after a restart is.
    std::fs::remove_file(path)?;
    Ok(std::fs::write(path, bytes)?)
}

/// A start is refused and names `path`; nothing is changed by it.
fn assert_refused(dir: &Path, path: &Path) -> Result {
    let error = make::start(dir, Arc::new(Disk), 1).err().ok_or("the start is not refused")?;
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(": {error}");
        source = error.source();
    }
    assert!(text.contains(&path.display().to_string()), "{text}");
    Ok(())
}

#[test]
fn a_file_that_cannot_be_opened_ends_the_start_and_is_not_taken_for_damaged() -> Result {
    let dir = buffer()?;
    let chunk = layout::chunk(dir.path(), ChunkId::new(0));
    let bits = layout::bits(dir.path(), ChunkId::new(0), 1);
    for path in [&chunk, &bits] {
        let aside = PathBuf::from(format!("{}.aside", path.display()));
        std::fs::rename(path, &aside)?;
        // Whoever runs the tests, this cannot be opened.
        std::os::unix::fs::symlink(path, path)?;
        assert_refused(dir.path(), path)?;
        std::fs::rename(&aside, path)?;
    }
    // Of a newer program.
    for (path, checked) in [(&chunk, None), (&bits, Some(crate::bits::HEADER_LENGTH - 4))] {
        let whole = std::fs::read(path)?;
        let mut newer = whole.clone();
        newer[8] += 1;
        if let Some(end) = checked {
            let checksum = crc32c::crc32c(&newer[..end]).to_le_bytes();
            newer[end..end + 4].copy_from_slice(&checksum);
        }
        std::fs::write(path, newer)?;
        assert_refused(dir.path(), path)?;
        std::fs::write(path, whole)?;
    }
    let writer = make::start(dir.path(), Arc::new(Disk), 1)?;
    assert!(writer.lease(true, 1.0).is_none(), "a chunk with unread samples is leased");
    assert_eq!(totals(dir.path())?.unread, 3);
    Ok(())
}

#[test]
fn a_damaged_chunk_is_replaced_and_its_samples_stay_counted() -> Result {
    let dir = buffer()?;
    let path = layout::chunk(dir.path(), ChunkId::new(0));
    change(&path, 20, 0xff)?;
    let mut next = 4;
    let writer = make::start(dir.path(), Arc::new(Disk), 1)?;
    make::refill(&writer, 1.0, &mut next)?.ok_or("the damaged chunk is not replaced")?;
    let now = totals(dir.path())?;
    assert_eq!((now.produced, now.delivered, now.lost, now.unread), (8, 1, 3, 4), "{now:?}");
    drop(writer);
    make::assert_settles(dir.path(), 1, &mut next)?;
    let now = totals(dir.path())?;
    assert_eq!((now.produced, now.delivered, now.lost), (12, 9, 3), "{now:?}");
    assert_eq!(std::fs::read_dir(dir.path().join(layout::BITS))?.count(), 1);
    Ok(())
}

#[test]
fn bits_that_come_back_clean_after_their_payload_was_removed_do_not_stay_unread() -> Result {
    let dir = make::folder()?;
    let mut next = 0;
    let writer = make::start(dir.path(), Arc::new(Disk), 1)?;
    make::refill(&writer, 1.0, &mut next)?;
    let mut follower = make::follower(dir.path())?;
    let out: Vec<_> = (0..4).map(|_| follower.claim()).collect::<std::result::Result<_, _>>()?;
    let bits = layout::bits(dir.path(), ChunkId::new(0), 1);
    make::refill(&writer, 1.0, &mut next)?.ok_or("a refill")?;
    out.into_iter().flatten().for_each(|sample| sample.deliver());
    drop(follower);
    assert_eq!(writer.settle()?, 0);
    drop(writer);
    // The power goes: what was changed in the words was never synced.
    let header = crate::bits::BitsHeader::read(&bits, ChunkId::new(0), 1)?;
    crate::bits::create(&Disk, &bits, header)?;
    let now = totals(dir.path())?;
    assert_eq!((now.unread, now.lost, now.produced), (4, 4, 8), "{now:?}");
    make::assert_settles(dir.path(), 1, &mut next)?;
    assert_eq!(std::fs::read_dir(dir.path().join(layout::BITS))?.count(), 1);
    Ok(())
}

#[test]
fn what_a_living_consumer_has_is_never_counted_as_lost() -> Result {
    let dir = make::folder()?;
    let writer = make::start(dir.path(), Arc::new(Disk), 2)?;
    let mut follower = make::follower(dir.path())?;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| -> Result {
        let counter = scope.spawn(|| {
            let mut looks = 0;
            while !is_over.load(Ordering::Relaxed) {
                // A chunk may be replaced at every look, with chunks this small.
                if let Ok(now) = totals(dir.path()) {
                    assert_eq!(now.lost, 0, "{now:?}");
                    looks += 1;
                }
            }
            looks
        });
        let mut next = 0;
        let worked = (0..1500).try_for_each(|_| -> Result {
            // Steps are small numbers here.
            next %= 64;
            make::refill(&writer, 1.0, &mut next)?;
            while let Some(sample) = follower.claim()? {
                sample.deliver();
            }
            Ok(())
        });
        is_over.store(true, Ordering::Relaxed);
        let looks = counter.join().map_err(|_| "a sample was counted as lost")?;
        worked?;
        assert!(looks > 10, "{looks} looks");
        Ok(())
    })
}
