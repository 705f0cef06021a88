//! A file system whose n-th change fails, for good or once.

use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::storage::{Disk, Storage, StorageFile};

/// Passes everything on to the disk until `left` changes are made; all that follow fail.
#[derive(Debug, Clone)]
pub(crate) struct Faulty {
    left: Arc<AtomicU64>,
    kind: io::ErrorKind,
}

impl Faulty {
    pub(crate) fn after(changes: u64, kind: io::ErrorKind) -> Self {
        Self { left: Arc::new(AtomicU64::new(changes)), kind }
    }

    fn spend(&self) -> io::Result<()> {
        self.left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
            .map(|_| ())
            .map_err(|_| self.kind.into())
    }
}

#[derive(Debug)]
struct FaultyFile(Faulty, Box<dyn StorageFile>);

impl Storage for Faulty {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        self.spend()?;
        Ok(Box::new(FaultyFile(self.clone(), Disk.create(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.spend()?;
        Disk.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.spend()?;
        Disk.link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.spend()?;
        Disk.remove(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.spend()?;
        Disk.create_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.spend()?;
        Disk.sync_folder(path)
    }
}

impl Write for FaultyFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A device that is full takes a part first.
        let part = self.0.spend().map_err(|e| (self.1.write(&bytes[..bytes.len() / 2]), e).1);
        part.and_then(|()| self.1.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.1.flush()
    }
}

impl Seek for FaultyFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.1.seek(to)
    }
}

impl StorageFile for FaultyFile {
    fn sync(&mut self) -> io::Result<()> {
        self.0.spend()?;
        self.1.sync()
    }
}
