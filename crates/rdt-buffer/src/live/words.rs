//! A file of 64-bit words that several processes map and change together: the only unsafe code of
//! the crate.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::sync::atomic::AtomicU64;

use memmap2::{MmapOptions, MmapRaw};

use crate::error::BufferError;

/// Words of a file behind its header, shared between processes.
#[derive(Debug)]
pub(crate) struct SharedWords {
    map: MmapRaw,
    header_bytes: usize,
    words: usize,
}

impl SharedWords {
    /// Maps the file at `path`, which must be `header_bytes` and `words` words long.
    ///
    /// # Errors
    /// It cannot be opened for reading and writing, has another length, or cannot be mapped.
    pub(crate) fn open(path: &Path, header_bytes: usize, words: usize) -> Result<Self, BufferError> {
        let io = |action| move |e| BufferError::io(action, path, e);
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(io("open for writing"))?;
        Self::of(&file, path, header_bytes, words)
    }

    /// The same of an open file; `path` is named in errors.
    pub(crate) fn of(
        file: &File,
        path: &Path,
        header_bytes: usize,
        words: usize,
    ) -> Result<Self, BufferError> {
        let io = |action| move |e| BufferError::io(action, path, e);
        let (found, expected) =
            (file.metadata().map_err(io("look at"))?.len(), (header_bytes + 8 * words) as u64);
        if found != expected || !header_bytes.is_multiple_of(8) {
            return Err(BufferError::DamagedBits {
                path: path.to_owned(),
                what: "the length",
                found: format!("{found} bytes"),
                expected: expected.to_string(),
                remedy: crate::bits::REMEDY,
            });
        }
        let map = MmapOptions::new().len(expected as usize).map_raw(file).map_err(io("map"))?;
        Ok(Self { map, header_bytes, words })
    }

    /// Word `index`; `None` past the end.
    pub(crate) fn get(&self, index: usize) -> Option<&AtomicU64> {
        if index >= self.words {
            return None;
        }
        let at = self.header_bytes + 8 * index;
        #[expect(unsafe_code, reason = "atomics over a shared map cannot be made safely")]
        // SAFETY: `at + 8` is inside of the map, which is page aligned while `at` is a multiple of
        // 8, and it lives as long as `self`. All processes change these bytes by atomic operations
        // of this size only: "The live buffer" in docs/protocol.md. Whoever truncates the file from
        // outside causes SIGBUS, as with every map.
        Some(unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().add(at).cast()) })
    }

    /// All words.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &AtomicU64> {
        (0..self.words).filter_map(|index| self.get(index))
    }
}
