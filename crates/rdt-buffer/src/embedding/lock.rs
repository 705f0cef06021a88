//! One process at a time writes embeddings into a buffer, beside a producer and any readers.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::BufferError;
use crate::layout;
use crate::lock::{Attempt, lock_file};
use crate::storage::{Storage, file_names};

/// Held while a process writes embeddings; released when dropped or when the process ends.
#[derive(Debug)]
pub struct EmbedderLock {
    file: File,
    dir: PathBuf,
}

impl EmbedderLock {
    /// Locks the embeddings of the buffer at `dir`, and removes what a killed process left
    /// unfinished.
    ///
    /// # Errors
    /// Another process holds the lock (its pid is named), or the folder cannot be written.
    pub fn acquire(dir: &Path, storage: &dyn Storage) -> Result<Self, BufferError> {
        let folder = layout::embeddings(dir);
        storage.create_folder(&folder).map_err(|e| BufferError::io("create", &folder, e))?;
        let file = match lock_file(&folder.join(layout::EMBEDDER_LOCK))? {
            Attempt::Taken(file) => file,
            Attempt::HeldBy(holder) => {
                return Err(BufferError::EmbedderLocked { dir: dir.to_owned(), holder });
            }
        };
        let lock = Self { file, dir: dir.to_owned() };
        let tmp = layout::embeddings_tmp(dir);
        for name in file_names(&tmp).map_err(|e| BufferError::io("list", &tmp, e))? {
            let path = tmp.join(name);
            storage.remove(&path).map_err(|e| BufferError::io("remove", path, e))?;
        }
        Ok(lock)
    }

    /// The buffer.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for EmbedderLock {
    fn drop(&mut self) {
        // An empty file says that nobody holds the lock.
        let _ = self.file.set_len(0);
    }
}
