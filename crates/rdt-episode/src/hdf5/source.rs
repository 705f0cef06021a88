//! One open file: the library's handle for metadata, and a descriptor for bytes.
//!
//! Owns opening (and why it can fail), locking and positioned reads. Knows nothing of arrays.
//!
//! Locks: HDF5 writers hold an exclusive `flock`, so a shared one tells a file that is still being
//! written. Where locks do not exist (read-only media, NFS) reading goes on without one.
//! `HDF5_USE_FILE_LOCKING=FALSE` switches it off, as it does in the library.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::library::{Message, library};
use crate::EpisodeError;

const SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";
/// HDF5 puts its signature at 0, 512, 1024, 2048, ...: whatever is before it is a user block.
const FIRST_USER_BLOCK_BYTES: u64 = 512;

/// An open HDF5 file.
#[derive(Debug)]
pub(super) struct SourceFile {
    path: PathBuf,
    /// The library's handle. Metadata only.
    pub(super) library: hdf5::File,
    bytes: File,
    len: u64,
    user_block_bytes: u64,
}

impl SourceFile {
    pub(super) fn open(path: &Path) -> Result<Self, EpisodeError> {
        // Asked before opening: to open a pipe would wait for its other end.
        let kind = std::fs::metadata(path).map_err(|error| cannot_open(path, error))?;
        if kind.is_dir() {
            return Err(EpisodeError::open(
                path,
                "this is a directory",
                "an HDF5 file",
                "name the file itself, or give the directory to the data set's path",
            ));
        }
        if !kind.is_file() {
            return Err(EpisodeError::open(path, "not a regular file", "an HDF5 file", "check the path"));
        }
        let bytes = File::open(path).map_err(|error| cannot_open(path, error))?;
        let len = bytes.metadata().map_err(|error| cannot_open(path, error))?.len();
        lock(path, &bytes)?;
        let user_block_bytes = find_signature(path, &bytes, len)?;
        // The lock above stands for the library's own, which fails where locks do not exist.
        let library = library(|| hdf5::File::with_options().with_fapl(|p| p.file_locking(false)).open(path))
            .map_err(|message| refused(path, message))?;
        Ok(Self { path: path.to_owned(), library, bytes, len, user_block_bytes })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the file when it was opened.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes before the HDF5 signature.
    pub(super) fn user_block_bytes(&self) -> u64 {
        self.user_block_bytes
    }

    /// Fills `out` from `offset`, or fails.
    pub(super) fn read_exact(&self, offset: u64, out: &mut [u8], place: &str) -> Result<(), EpisodeError> {
        self.bytes.read_exact_at(out, offset).map_err(|error| {
            let found = match error.kind() {
                ErrorKind::UnexpectedEof => "the file ends inside it".to_owned(),
                _ => "bytes that cannot be read".to_owned(),
            };
            let expected = format!("{} bytes at offset {offset} of the file", out.len());
            self.fault(place, found, expected, "the file was cut short or its disk fails: copy it again")
                .caused_by(error)
        })
    }

    /// Whether these bytes lie inside the file.
    pub(super) fn holds(&self, offset: u64, bytes: u64) -> bool {
        offset.checked_add(bytes).is_some_and(|end| end <= self.len)
    }

    /// An error at a place inside this file.
    pub(super) fn fault(
        &self,
        place: &str,
        found: impl Into<String>,
        expected: impl Into<String>,
        remedy: &str,
    ) -> EpisodeError {
        EpisodeError::content(&self.path, place, found, expected, remedy)
    }
}

pub(super) fn cannot_open(path: &Path, error: std::io::Error) -> EpisodeError {
    let (found, remedy) = match error.kind() {
        ErrorKind::NotFound => ("no such file", "check the path"),
        ErrorKind::PermissionDenied => ("no permission to read it", "give the user read permission"),
        _ => ("it cannot be opened", "see the cause"),
    };
    EpisodeError::open(path, found, "a readable HDF5 file", remedy).caused_by(error)
}

fn lock(path: &Path, bytes: &File) -> Result<(), EpisodeError> {
    if std::env::var("HDF5_USE_FILE_LOCKING").is_ok_and(|v| v == "FALSE" || v == "0") {
        return Ok(());
    }
    match bytes.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Err(open_for_writing(path)),
        // No locks on this file system: nothing can be known, so the file is taken as it is.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
    }
}

fn open_for_writing(path: &Path) -> EpisodeError {
    EpisodeError::open(
        path,
        "open for writing in another program",
        "a finished HDF5 file",
        "wait until it is closed; if its writer died, h5clear -s clears the mark it left",
    )
}

/// Offset of the signature, which is the length of the user block.
fn find_signature(path: &Path, bytes: &File, len: u64) -> Result<u64, EpisodeError> {
    let mut head = [0; SIGNATURE.len()];
    let mut offset = 0;
    while offset + (SIGNATURE.len() as u64) <= len {
        bytes.read_exact_at(&mut head, offset).map_err(|error| cannot_open(path, error))?;
        if head == SIGNATURE {
            return Ok(offset);
        }
        offset = if offset == 0 { FIRST_USER_BLOCK_BYTES } else { offset * 2 };
    }
    let mut start = vec![0; len.min(32) as usize];
    bytes.read_exact_at(&mut start, 0).map_err(|error| cannot_open(path, error))?;
    let (found, remedy) = if start.is_empty() {
        ("an empty file".to_owned(), "the download or the writer stopped early: make it again")
    } else if start.starts_with(b"version https://git-lfs") {
        ("a Git LFS pointer".to_owned(), "run git lfs pull")
    } else {
        (format!("not HDF5: it starts with \"{}\"", start.escape_ascii()), "check that this is an HDF5 file")
    };
    Err(EpisodeError::open(path, found, "an HDF5 file", remedy))
}

/// The library does not open a file that has the signature.
fn refused(path: &Path, message: Message) -> EpisodeError {
    let text = message.to_string();
    if text.contains("already open for write") || text.contains("already open for SWMR") {
        return open_for_writing(path).caused_by(message);
    }
    let (found, remedy) = if text.contains("truncated file") {
        ("a truncated HDF5 file", "copy or record it again")
    } else {
        ("an HDF5 file that the library cannot open", "check it with h5dump -H; copy or record it again")
    };
    EpisodeError::open(path, found, "a whole HDF5 file", remedy).caused_by(message)
}
