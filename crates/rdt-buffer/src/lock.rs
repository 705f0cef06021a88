//! The producer lock: one process at a time changes a buffer, or one its shard of a live one.
//!
//! The lock is the kernel's, on the open file, so it ends with its holder however that dies. The
//! pid written into the file is for people only.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::BufferError;
use crate::layout;
use crate::live::Shard;
use crate::storage::file_names;

/// How long a lock that others hold is tried again: others take it for a moment to see whether
/// somebody does.
const LOOKS_OF_OTHERS: Duration = Duration::from_millis(100);

/// Held while a process changes a buffer; released when dropped or when the process ends.
#[derive(Debug)]
pub struct ProducerLock {
    file: File,
    path: PathBuf,
    dir: PathBuf,
    shard: Shard,
    /// The folder was made for this lock; it is removed again where nothing came of it.
    made_folder: bool,
}

impl ProducerLock {
    /// Locks the buffer at `dir`; makes the folder where there is none.
    ///
    /// # Errors
    /// Another process holds the lock (its pid is named); `dir` holds something that is not a
    /// buffer; it cannot be made or written.
    pub fn acquire(dir: &Path) -> Result<Self, BufferError> {
        Self::acquire_shard(dir, Shard::WHOLE)
    }

    /// Locks one shard of the chunks of the buffer at `dir`.
    ///
    /// Each producer locks its own file and then looks whether one that has chunks in common with
    /// it is locked. Of two that start at the same moment both may find the other; never do both
    /// go on.
    ///
    /// # Errors
    /// As [`ProducerLock::acquire`]; another process holds a shard with chunks of this one.
    pub fn acquire_shard(dir: &Path, shard: Shard) -> Result<Self, BufferError> {
        let made_folder = !dir.exists();
        if made_folder {
            std::fs::create_dir_all(dir).map_err(|e| BufferError::io("create", dir, e))?;
        }
        refuse_foreign_folder(dir)?;
        let path = layout::shard_lock(dir, shard.index(), shard.count());
        let began = Instant::now();
        loop {
            match lock_file(&path)? {
                Attempt::Taken(file) => {
                    let lock = Self { file, path, dir: dir.to_owned(), shard, made_folder };
                    lock.refuse_overlap()?;
                    return Ok(lock);
                }
                // Consumers that look whether there is a producer lock it for a moment.
                Attempt::HeldBy(_) if began.elapsed() < LOOKS_OF_OTHERS => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Attempt::HeldBy(holder) => return Err(BufferError::Locked { dir: dir.to_owned(), holder }),
            }
        }
    }

    /// Errors where another process holds a shard that has chunks in common with this one.
    fn refuse_overlap(&self) -> Result<(), BufferError> {
        let others = crate::live::producer_locks(&self.dir)?;
        for (shard, path) in others.into_iter().filter(|(shard, _)| *shard != self.shard) {
            if shard.overlaps(self.shard)
                && let Some(holder) = holder_of(&path)
            {
                return Err(BufferError::Locked { dir: self.dir.clone(), holder });
            }
        }
        Ok(())
    }

    /// Which part of the chunks is locked.
    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// The locked buffer.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for ProducerLock {
    fn drop(&mut self) {
        let mut made_nothing = false;
        if self.made_folder && !layout::manifest(&self.dir).exists() {
            // Nothing came of it: leave no trace. A folder that is not empty stays.
            let _ = std::fs::remove_file(&self.path);
            made_nothing = std::fs::remove_dir(&self.dir).is_ok();
        }
        if !made_nothing {
            // An empty file says that nobody holds the lock.
            let _ = self.file.set_len(0);
        }
    }
}

/// What came of trying to lock a file.
pub(crate) enum Attempt {
    /// It is ours, until the file is closed.
    Taken(File),
    /// Another process has it: its pid, or what is known of it.
    HeldBy(String),
}

/// Locks the file at `path`, which is made where there is none, and writes the pid into it.
pub(crate) fn lock_file(path: &Path) -> Result<Attempt, BufferError> {
    loop {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(|e| BufferError::io("open", path, e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Attempt::HeldBy(holder(&mut file))),
            Err(TryLockError::Error(e)) => return Err(BufferError::io("lock", path, e)),
        }
        // The file may have been removed between open and lock (see `drop`): such a lock
        // keeps nobody out.
        if !is_same_file(&file, path) {
            continue;
        }
        write_pid(&mut file).map_err(|e| BufferError::io("write", path, e))?;
        return Ok(Attempt::Taken(file));
    }
}

/// Errors where `dir` is neither a buffer nor empty.
pub(crate) fn refuse_foreign_folder(dir: &Path) -> Result<(), BufferError> {
    if layout::manifest(dir).exists() {
        return Ok(());
    }
    let names = file_names(dir).map_err(|e| BufferError::io("list", dir, e))?;
    match names.iter().find(|name| !layout::is_harmless(name)) {
        None => Ok(()),
        Some(name) => Err(BufferError::NotABuffer {
            dir: dir.to_owned(),
            found: format!("it holds {name} and no manifest"),
            remedy: "give an empty or a new directory",
        }),
    }
}

/// Who holds the lock file at `path`; `None` where nobody does.
pub(crate) fn holder_of(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Some(holder(&mut file)),
        _ => None,
    }
}

fn holder(file: &mut File) -> String {
    let mut pid = String::new();
    match file.read_to_string(&mut pid) {
        Ok(_) if !pid.trim().is_empty() => pid.trim().to_owned(),
        _ => "(unknown pid)".to_owned(),
    }
}

fn write_pid(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn is_same_file(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(named)) => (ours.dev(), ours.ino()) == (named.dev(), named.ino()),
        _ => false,
    }
}
