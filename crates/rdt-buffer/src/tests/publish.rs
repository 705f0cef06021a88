//! One producer at a time; chunks appear whole and with their bits, whatever fails.

use std::fs;
use std::io::{ErrorKind, Write};
use std::sync::Arc;

use super::faulty::Faulty;
use super::make::{self, Result};
use crate::*;

#[test]
fn a_second_producer_is_refused_with_the_holders_pid() -> Result {
    let dir = tempfile::tempdir()?;
    let buffer = dir.path().join("buffer");
    let first = make::start(&buffer, 6)?;
    let error = ProducerLock::acquire(&buffer).unwrap_err().to_string();
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    drop(first);
    ProducerLock::acquire(&buffer)?;
    Ok(())
}

#[test]
fn a_lock_that_nothing_came_of_leaves_nothing() -> Result {
    let dir = tempfile::tempdir()?;
    let buffer = dir.path().join("a/buffer");
    drop(ProducerLock::acquire(&buffer)?);
    assert!(!buffer.exists());
    fs::create_dir_all(&buffer)?;
    drop(ProducerLock::acquire(&buffer)?);
    assert!(buffer.exists(), "a folder that was there stays");
    Ok(())
}

#[test]
fn foreign_folders_are_refused_and_a_repositorys_are_not() -> Result {
    let dir = tempfile::tempdir()?;
    for harmless in [".gitignore", "README.md"] {
        fs::write(dir.path().join(harmless), "")?;
    }
    fs::create_dir(dir.path().join("lost+found"))?;
    drop(ProducerLock::acquire(dir.path())?);
    fs::write(dir.path().join("thesis.txt"), "")?;
    let error = ProducerLock::acquire(dir.path()).unwrap_err().to_string();
    assert!(error.contains("thesis.txt"), "{error}");
    fs::write(dir.path().join("file"), "")?;
    assert!(ProducerLock::acquire(&dir.path().join("file")).is_err());
    assert!(ProducerLock::acquire(&dir.path().join("file/below")).is_err());
    Ok(())
}

#[test]
fn a_start_cleans_what_a_killed_producer_left() -> Result {
    let dir = tempfile::tempdir()?;
    let writer = make::start(dir.path(), 12)?;
    make::publish(&writer, 0)?;
    make::publish(&writer, 2)?;
    drop(writer);
    // Killed while chunk 1 was written, after its bits; and between the rename of a refill of
    // chunk 2 and the removal of the former bits.
    fs::write(dir.path().join("tmp/00000001.chunk"), "half")?;
    fs::write(dir.path().join("tmp/manifest.json"), "half")?;
    let bits_0 = dir.path().join("bits/00000000-1.bits");
    fs::copy(&bits_0, dir.path().join("bits/00000001-1.bits"))?;
    fs::copy(&bits_0, dir.path().join("bits/00000002-0.bits"))?;
    let writer = make::start(dir.path(), 12)?;
    let expected = Recovered { temporary_files: 2, orphan_bits: 2, chunks_without_bits: 0 };
    assert_eq!(writer.recovered(), expected);
    let ids = [0, 2].map(ChunkId::new);
    assert_eq!(writer.published_chunks()?, ids);
    assert_eq!(Buffer::open(dir.path())?.bits()?.slots, 8);
    assert_eq!(fs::read_dir(dir.path().join("bits"))?.count(), 2);
    drop(writer);
    // A file system that lost the bits: the chunk is written again.
    fs::remove_file(bits_0)?;
    let writer = make::start(dir.path(), 12)?;
    assert_eq!(writer.recovered().chunks_without_bits, 1);
    assert_eq!(writer.published_chunks()?, ids[1..]);
    Ok(())
}

#[test]
fn a_dropped_chunk_leaves_no_file() -> Result {
    let dir = tempfile::tempdir()?;
    let writer = make::start(dir.path(), 6)?;
    let mut new = writer.begin(ChunkId::new(0), 1)?;
    new.write_all(&[1; 1000])?;
    drop(new);
    assert_eq!(fs::read_dir(dir.path().join("tmp"))?.count(), 0);
    Ok(())
}

#[test]
fn withdrawn_chunks_go_with_their_bits_and_only_while_filling() -> Result {
    let dir = tempfile::tempdir()?;
    let mut writer = make::start(dir.path(), 8)?;
    make::publish(&writer, 0)?;
    make::publish(&writer, 1)?;
    writer.withdraw(ChunkId::new(0))?;
    assert_eq!(writer.published_chunks()?, [ChunkId::new(1)]);
    assert_eq!(fs::read_dir(dir.path().join("bits"))?.count(), 1);
    writer.write_manifest(make::manifest(8, BufferState::Complete))?;
    assert!(matches!(writer.withdraw(ChunkId::new(1)), Err(BufferError::WithdrawFromComplete { .. })));
    Ok(())
}

/// Fails every single change in turn: no chunk is ever visible that is not whole or has no bits,
/// and the next start goes on to the same result.
#[test]
fn whatever_write_fails_nothing_half_done_is_visible() -> Result {
    let whole = tempfile::tempdir()?;
    make::whole(whole.path())?;
    let fill = |dir: &std::path::Path, storage: Faulty| -> Result {
        let mut writer = make::start_on(Arc::new(storage), dir, 6)?;
        for id in 0..2 {
            if writer.published(ChunkId::new(id))?.is_none() {
                make::publish(&writer, id)?;
            }
        }
        Ok(writer.write_manifest(make::manifest(6, BufferState::Complete))?)
    };
    for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
        for changes in 0.. {
            let dir = tempfile::tempdir()?;
            let failed = fill(dir.path(), Faulty::after(changes, kind));
            if let Ok(buffer) = Buffer::open(dir.path()) {
                for id in buffer.published_chunks()? {
                    buffer.bits_of(id).map_err(|e| format!("change {changes}: {e}"))?;
                    buffer.chunk(id)?.verify()?;
                }
            }
            let Err(error) = failed else {
                assert!(changes > 20, "only {changes} changes");
                break;
            };
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                text += &format!("; {error}");
                cause = error.source();
            }
            assert!(text.contains(&dir.path().display().to_string()), "no path in: {text}");
            if kind == ErrorKind::StorageFull {
                assert!(text.contains("make room"), "no remedy in: {text}");
            }
            fill(dir.path(), Faulty::after(u64::MAX, kind))?;
            for id in [0, 1].map(ChunkId::new) {
                let [ours, expected] = [dir.path(), whole.path()].map(|d| fs::read(layout::chunk(d, id)));
                assert_eq!(ours?, expected?);
            }
            assert_eq!(fs::read_dir(dir.path().join("tmp"))?.count(), 0, "change {changes}");
            assert_eq!(fs::read_dir(dir.path().join("bits"))?.count(), 2, "change {changes}");
        }
    }
    Ok(())
}
