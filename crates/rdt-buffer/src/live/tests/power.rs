//! Loss of power at every change: a storage that keeps only what was synced.
//!
//! A file keeps the bytes of its last sync. A folder keeps the names of its last sync, or, since a
//! device may also write more than it was told to, all names. Both images must be a buffer that a
//! producer goes on with.

use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::make::{self, Result};
use crate::storage::{Disk, Storage, StorageFile};
use crate::*;

type FileNumber = usize;

#[derive(Debug, Default)]
struct Device {
    /// Bytes of each file at its last sync.
    synced: Vec<Vec<u8>>,
    names: BTreeMap<PathBuf, FileNumber>,
    synced_names: BTreeMap<PathBuf, FileNumber>,
    /// Folders, and whether the folder they are in was synced since.
    folders: BTreeMap<PathBuf, bool>,
    left: u64,
}

/// Does everything on the disk as well, until the power goes.
#[derive(Debug, Clone)]
struct PowerLoss(Arc<Mutex<Device>>);

impl PowerLoss {
    fn after(changes: u64) -> Self {
        Self(Arc::new(Mutex::new(Device { left: changes, ..Device::default() })))
    }

    fn change(&self) -> io::Result<std::sync::MutexGuard<'_, Device>> {
        let mut device = self.0.lock().map_err(|_| io::Error::other("poisoned"))?;
        device.left = device.left.checked_sub(1).ok_or_else(|| io::Error::other("the power is gone"))?;
        Ok(device)
    }

    /// Folders that a loss of power may take, and what is in them.
    fn unsynced_folders(&self) -> Result<Vec<PathBuf>> {
        let device = self.0.lock().map_err(|_| "poisoned")?;
        Ok(device.folders.iter().filter(|(_, synced)| !**synced).map(|(path, _)| path.clone()).collect())
    }

    /// Writes what is left into the empty folder `to`, for the buffer that was at `from`.
    fn image(&self, from: &Path, to: &Path, all_names: bool) -> Result {
        let device = self.0.lock().map_err(|_| "poisoned")?;
        let names = if all_names { &device.names } else { &device.synced_names };
        for (name, &file) in names {
            let path = to.join(name.strip_prefix(from)?);
            std::fs::create_dir_all(path.parent().ok_or("no folder")?)?;
            std::fs::write(path, &device.synced[file])?;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct PowerFile {
    storage: PowerLoss,
    number: FileNumber,
    path: PathBuf,
    file: Box<dyn StorageFile>,
}

impl Storage for PowerLoss {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        let mut device = self.change()?;
        let file = Disk.create(path)?;
        device.synced.push(Vec::new());
        let number = device.synced.len() - 1;
        device.names.insert(path.to_owned(), number);
        Ok(Box::new(PowerFile { storage: self.clone(), number, path: path.to_owned(), file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut device = self.change()?;
        Disk.rename(from, to)?;
        if let Some(number) = device.names.remove(from) {
            device.names.insert(to.to_owned(), number);
        }
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut device = self.change()?;
        Disk.link(from, to)?;
        if let Some(&number) = device.names.get(from) {
            device.names.insert(to.to_owned(), number);
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut device = self.change()?;
        Disk.remove(path)?;
        device.names.remove(path);
        Ok(())
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.change()?.folders.entry(path.to_owned()).or_insert(false);
        Disk.create_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut device = self.change()?;
        let is_inside = |name: &Path| name.parent() == Some(path);
        let inside: Vec<(PathBuf, FileNumber)> = device
            .names
            .iter()
            .filter(|(name, _)| is_inside(name))
            .map(|(name, at)| (name.clone(), *at))
            .collect();
        device.folders.iter_mut().filter(|(name, _)| is_inside(name)).for_each(|(_, synced)| *synced = true);
        device.synced_names.retain(|name, _| !is_inside(name));
        device.synced_names.extend(inside);
        Ok(())
    }
}

impl Write for PowerFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        drop(self.storage.change()?);
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for PowerFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl StorageFile for PowerFile {
    fn sync(&mut self) -> io::Result<()> {
        let mut device = self.storage.change()?;
        let number = self.number;
        device.synced[number] = std::fs::read(&self.path)?;
        Ok(())
    }
}

/// Fills two chunks, has them consumed and refilled, one with a sample out.
fn work(dir: &Path, storage: Arc<dyn Storage>) -> Result {
    let writer = make::start(dir, storage, 2)?;
    writer.die_at_errors();
    let mut next = 0;
    for _ in 0..3 {
        while make::refill(&writer, 0.5, &mut next)?.is_some() {}
        let mut follower = make::follower(dir)?;
        let out = follower.claim()?;
        for _ in 0..5 {
            if let Some(sample) = follower.claim()? {
                sample.deliver();
            }
        }
        while make::refill(&writer, 0.5, &mut next)?.is_some() {}
        drop(out);
        writer.settle()?;
    }
    Ok(())
}

#[test]
fn after_a_loss_of_power_at_any_time_every_chunk_is_whole_and_work_goes_on() -> Result {
    for changes in 0.. {
        let dir = make::folder()?;
        let storage = PowerLoss::after(changes);
        let failed = work(dir.path(), Arc::new(storage.clone())).is_err();
        for all_names in [false, true] {
            let image = make::folder()?;
            storage.image(dir.path(), image.path(), all_names)?;
            let context = format!("change {changes}, all names {all_names}");
            if let Ok(buffer) = Buffer::open(image.path()) {
                for id in buffer.published_chunks()? {
                    // Bits are in memory until the system writes them: after a loss of power they
                    // may say less than was consumed, but they are there.
                    buffer.bits_of(id).map_err(|e| format!("{context}: {e}"))?;
                    buffer.map(id)?.verify().map_err(|e| format!("{context}: {e}"))?;
                }
            }
            work(image.path(), Arc::new(Disk)).map_err(|e| format!("{context}: {e}"))?;
            make::assert_settles(image.path(), 2, &mut 0).map_err(|e| format!("{context}: {e}"))?;
            let buffer = Buffer::open(image.path())?;
            assert_eq!(buffer.published_chunks()?.len(), 2, "{context}");
            assert_eq!(std::fs::read_dir(image.path().join(layout::TMP))?.count(), 0, "{context}");
        }
        if !failed {
            assert_eq!(storage.unsynced_folders()?, [] as [PathBuf; 0]);
            assert!(changes > 60, "only {changes} changes");
            break;
        }
    }
    Ok(())
}
