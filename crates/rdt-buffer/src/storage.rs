//! The few things that a buffer asks of the file system when it writes.
//!
//! Everything that must survive a kill or a loss of power goes through [`Storage`], so that
//! tests can put a failing one in place of the disk. Reading is not here: chunks are mapped.

use std::fmt::Debug;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

/// Where a buffer is written.
pub trait Storage: Debug + Send + Sync {
    /// Creates or empties a file.
    ///
    /// # Errors
    /// As [`std::fs::File::create`].
    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>>;

    /// Puts `from` in place of `to`, in one step that readers cannot see half of.
    ///
    /// # Errors
    /// As [`std::fs::rename`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives the file `from` the name `to` as well.
    ///
    /// # Errors
    /// As [`std::fs::hard_link`].
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// As [`std::fs::remove_file`].
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a folder and its parents.
    ///
    /// # Errors
    /// As [`std::fs::create_dir_all`].
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// The folder cannot be opened or synced.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// A file being written.
pub trait StorageFile: Write + Seek + Send + Debug {
    /// Makes its bytes durable.
    ///
    /// # Errors
    /// The device reports that they are not.
    fn sync(&mut self) -> io::Result<()>;
}

/// The file system of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Storage for Disk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn StorageFile>> {
        Ok(Box::new(std::fs::File::create(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir_all(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        std::fs::File::open(path)?.sync_all()
    }
}

impl StorageFile for std::fs::File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// Names of the files in a folder, sorted; none where the folder is absent.
pub(crate) fn file_names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// The folder that a path lies in.
pub(crate) fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}
