//! Registration of consumers: who is alive, and which generations it may have samples of.
//!
//! Each consumer has a file of words in `consumers/`, which it keeps locked: the kernel releases
//! the lock however it dies. Words `HOLDS..` name the generations that it may have claimed samples
//! of; one is set before the first claim in a generation and cleared when none is left. So a
//! claimed slot of a generation that no living consumer names is a lost one.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::BufferError;
use crate::id::ChunkId;
use crate::layout;
use crate::live::words::SharedWords;
use crate::storage::file_names;

/// The first word of a registration.
const MAGIC: u64 = u64::from_le_bytes(*b"\x89RDTF\r\n\x01");
/// Words before the holds.
const HOLDS: usize = 8;
/// Generations that a consumer may hold at once.
const MOST_HOLDS: usize = 8192;
/// Places of the words before the holds.
const PID: usize = 1;
const STARTED: usize = 2;
const DELIVERED: usize = 3;
const BAD: usize = 4;
const WAITED: usize = 5;

/// This process's entry in the list of consumers; removed when dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    words: SharedWords,
    path: PathBuf,
    /// Keeps the locks.
    _file: File,
    _all: File,
}

/// That this consumer may have samples of a generation claimed; cleared when dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    registration: Arc<Registration>,
    place: usize,
}

/// A consumer that is running.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ConsumerInfo {
    /// Its process.
    pub pid: u64,
    /// When it began, milliseconds since 1970.
    pub started_unix_ms: u64,
    /// Samples that it has delivered.
    pub delivered: u64,
    /// Samples that it could not read.
    pub bad: u64,
    /// Milliseconds that it has waited for samples.
    pub waited_ms: u64,
}

impl Registration {
    /// Registers this process with the buffer at `dir`.
    pub(crate) fn new(dir: &Path) -> Result<Arc<Self>, BufferError> {
        let lock_path = dir.join(layout::CONSUMERS_LOCK);
        let all = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&lock_path)
            .map_err(|source| BufferError::CannotFollow { dir: dir.to_owned(), source })?;
        // Waits while somebody resets the bits.
        all.lock_shared().map_err(|e| BufferError::io("lock", &lock_path, e))?;
        let folder = dir.join(layout::CONSUMERS);
        std::fs::create_dir_all(&folder).map_err(|e| BufferError::io("create", &folder, e))?;
        remove_dead(&folder)?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let pid = u64::from(std::process::id());
        let mut bytes = Vec::with_capacity(8 * (HOLDS + MOST_HOLDS));
        for word in [MAGIC, pid, since.as_millis() as u64] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.resize(8 * (HOLDS + MOST_HOLDS), 0);
        for attempt in 0u32.. {
            let path = folder.join(format!("{pid}-{}-{attempt}", since.as_nanos()));
            let mut options = OpenOptions::new();
            let mut file = match options.read(true).write(true).create_new(true).open(&path) {
                Ok(file) => file,
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(BufferError::io("create", path, e)),
            };
            // Whoever removes dead entries may have taken this one for dead before it is locked.
            file.lock_shared().map_err(|e| BufferError::io("lock", &path, e))?;
            file.write_all(&bytes).map_err(|e| BufferError::io("write", &path, e))?;
            if path.exists() {
                let words = SharedWords::of(&file, &path, 0, HOLDS + MOST_HOLDS)?;
                return Ok(Arc::new(Self { words, path, _file: file, _all: all }));
            }
        }
        unreachable!("the loop ends by returning")
    }

    /// Says that samples of a generation may be claimed from now on; `None` where all places are
    /// taken.
    pub(crate) fn hold(self: &Arc<Self>, id: ChunkId, generation: u64) -> Option<Hold> {
        let key = key(id, generation).to_le();
        (HOLDS..HOLDS + MOST_HOLDS).find_map(|place| {
            let word = self.words.get(place)?;
            word.compare_exchange(0, key, Ordering::SeqCst, Ordering::Relaxed).ok()?;
            Some(Hold { registration: Arc::clone(self), place })
        })
    }

    pub(crate) fn count_delivered(&self) {
        self.add(DELIVERED, 1);
    }

    pub(crate) fn count_bad(&self) {
        self.add(BAD, 1);
    }

    pub(crate) fn count_waited_ms(&self, more: u64) {
        self.add(WAITED, more);
    }

    pub(crate) fn delivered(&self) -> u64 {
        get(&self.words, DELIVERED)
    }

    pub(crate) fn waited_ms(&self) -> u64 {
        get(&self.words, WAITED)
    }

    fn add(&self, place: usize, more: u64) {
        if let Some(word) = self.words.get(place) {
            let plus = |now: u64| Some((u64::from_le(now) + more).to_le());
            // Never refused.
            let _ = word.fetch_update(Ordering::Relaxed, Ordering::Relaxed, plus);
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // What stays is removed by the next consumer.
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(word) = self.registration.words.get(self.place) {
            word.store(0, Ordering::SeqCst);
        }
    }
}

/// The generations that living consumers may have samples of.
#[derive(Debug, Default)]
pub(crate) struct Holds(Vec<u64>);

impl Holds {
    /// Of all living consumers of the buffer at `dir`. Taken after a look at claimed slots: who has
    /// one of them has named its generation before.
    pub(crate) fn of(dir: &Path) -> Result<Self, BufferError> {
        let mut keys = Vec::new();
        for words in alive(dir)? {
            let holds = (HOLDS..HOLDS + MOST_HOLDS).filter_map(|place| words.get(place));
            keys.extend(holds.map(|word| u64::from_le(word.load(Ordering::SeqCst))).filter(|&key| key != 0));
        }
        keys.sort_unstable();
        Ok(Self(keys))
    }

    pub(crate) fn contain(&self, id: ChunkId, generation: u64) -> bool {
        self.0.binary_search(&key(id, generation)).is_ok()
    }
}

/// The consumers of the buffer at `dir` that are running.
///
/// # Errors
/// The folder cannot be listed.
pub fn alive_consumers(dir: &Path) -> Result<Vec<ConsumerInfo>, BufferError> {
    let info = |words: SharedWords| ConsumerInfo {
        pid: get(&words, PID),
        started_unix_ms: get(&words, STARTED),
        delivered: get(&words, DELIVERED),
        bad: get(&words, BAD),
        waited_ms: get(&words, WAITED),
    };
    Ok(alive(dir)?.into_iter().map(info).collect())
}

/// Chunk and generation in one word, never 0: generations count from 1. Of the generation 32 bits
/// do: nobody holds one while four thousand million follow it.
fn key(id: ChunkId, generation: u64) -> u64 {
    u64::from(id.get()) << 32 | (generation & 0xffff_ffff)
}

fn get(words: &SharedWords, place: usize) -> u64 {
    words.get(place).map_or(0, |word| u64::from_le(AtomicU64::load(word, Ordering::Relaxed)))
}

/// The registrations that are locked.
fn alive(dir: &Path) -> Result<Vec<SharedWords>, BufferError> {
    let folder = dir.join(layout::CONSUMERS);
    let mut alive = Vec::new();
    for name in file_names(&folder).map_err(|e| BufferError::io("list", &folder, e))? {
        let path = folder.join(name);
        // Only one that is not there, or not locked, is a dead one's: whoever cannot be looked at
        // may live and have samples.
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(BufferError::io("open", path, e)),
        };
        if !is_locked(&file).map_err(|e| BufferError::io("lock", &path, e))? {
            continue;
        }
        match SharedWords::of(&file, &path, 0, HOLDS + MOST_HOLDS) {
            Ok(words) if get(&words, 0) == MAGIC => alive.push(words),
            // One that is just being made has no holds yet.
            Ok(_) | Err(BufferError::DamagedBits { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(alive)
}

/// Whether a process holds the file. Holders have it shared, so that nobody who only looks can
/// keep them from it; who looks asks for it alone.
fn is_locked(file: &File) -> std::io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn remove_dead(folder: &Path) -> Result<(), BufferError> {
    for name in file_names(folder).map_err(|e| BufferError::io("list", folder, e))? {
        let path = folder.join(name);
        let Ok(file) = File::open(&path) else { continue };
        // Removed under its lock, so that who makes one of this name notices.
        if file.try_lock().is_ok() {
            let _ = std::fs::remove_file(&path);
        }
    }
    Ok(())
}
