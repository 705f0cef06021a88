//! Resetting the dirty bits of a buffer: every sample counts as unread again.

use std::fs::{OpenOptions, TryLockError};

use crate::bits::{self, BitsHeader};
use crate::error::BufferError;
use crate::layout;
use crate::live::consumers::alive_consumers;
use crate::live::generations::{listed, newest};
use crate::lock::ProducerLock;
use crate::manifest::Manifest;
use crate::storage::Storage;

/// Gives every chunk of the buffer that `lock` holds clean bits; returns how many samples are
/// unread again. Nobody may be using them: whoever has mapped the former bits would go on with
/// those.
///
/// # Errors
/// A consumer is running (its pid is named); a file cannot be read or written.
pub fn clean_dirty(lock: &ProducerLock, storage: &dyn Storage) -> Result<u64, BufferError> {
    let dir = lock.dir();
    // There must be a buffer.
    Manifest::read(dir)?;
    let path = dir.join(layout::CONSUMERS_LOCK);
    let consumers = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .open(&path)
        .map_err(|e| BufferError::io("write", &path, e))?;
    match consumers.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = match alive_consumers(dir)?.first() {
                Some(consumer) => format!("the consumer of process {}", consumer.pid),
                None => "a consumer".into(),
            };
            return Err(BufferError::BitsInUse { dir: dir.to_owned(), holder });
        }
        Err(TryLockError::Error(e)) => return Err(BufferError::io("lock", &path, e)),
    }
    let tmp = dir.join(layout::TMP);
    storage.create_folder(&tmp).map_err(|e| BufferError::io("create", &tmp, e))?;
    let mut samples = 0;
    for at in listed(dir)? {
        // What was replaced is not delivered again.
        if newest(dir, at.chunk)? != Some(at.generation) {
            continue;
        }
        let path = layout::bits(dir, at.chunk, at.generation);
        let header = BitsHeader::read(&path, at.chunk, at.generation)?;
        let counts = bits::count(&path, at.chunk, at.generation, header.slots)?;
        samples += counts.dirty();
        let temporary = layout::temporary_bits(dir, at.chunk);
        bits::create(storage, &temporary, header)?;
        storage
            .rename(&temporary, &path)
            .map_err(|e| BufferError::io("rename a temporary file to", &path, e))?;
    }
    let folder = dir.join(layout::BITS);
    storage.sync_folder(&folder).map_err(|e| BufferError::io("sync", folder, e))?;
    Ok(samples)
}
