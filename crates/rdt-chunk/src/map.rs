//! Opening a chunk as a memory map: the only unsafe code of the crate.

use std::fs::File;
use std::path::Path;

use memmap2::{Advice, Mmap};

use crate::chunk::Chunk;
use crate::error::ChunkError;

/// Maps the file at `path` and opens it as a chunk.
///
/// The file must be a published chunk: written once, put in place by rename, never
/// changed or truncated afterwards (a refill is another file). The map then stays valid
/// although the name may come to stand for a newer chunk.
///
/// # Errors
/// The file cannot be opened or mapped, or is no valid chunk; the error names `path`.
pub fn map(path: &Path) -> Result<Chunk<Mmap>, ChunkError> {
    let failed = |action| move |source| ChunkError::File { path: path.to_owned(), action, source };
    let file = File::open(path).map_err(failed("open"))?;
    let length = file.metadata().map_err(failed("look at"))?.len();
    if length == 0 {
        // An empty file cannot be mapped everywhere; it is a chunk cut short.
        let source = ChunkError::Truncated { found: 0, expected: crate::HEADER_LENGTH as u64 };
        return Err(ChunkError::InFile { path: path.to_owned(), source: Box::new(source) });
    }
    #[expect(unsafe_code, reason = "a memory map cannot be made safely")]
    // SAFETY: the bytes must not change while they are mapped. A published chunk is
    // write-once ("Assumptions about the medium" in docs/format.md): it is written under
    // another name, synced, renamed, and never written or truncated again. Whoever breaks
    // that rule from outside can cause SIGBUS or torn reads; values that are read are
    // bounds-checked at every use.
    let map = unsafe { Mmap::map(&file) }.map_err(failed("map"))?;
    Chunk::open(map).map_err(|source| ChunkError::InFile { path: path.to_owned(), source: Box::new(source) })
}

impl Chunk<Mmap> {
    /// Asks the kernel to read the frames of slot `slot` soon. A hint: errors, a slot
    /// that does not exist among them, are left for the read itself to report.
    pub fn will_need(&self, slot: u32) {
        let Ok(sample) = self.sample(slot) else { return };
        for range in sample.byte_ranges() {
            let advised = self.bytes().advise_range(Advice::WillNeed, range.start, range.len());
            // Not every system knows the hint; then nothing is read ahead.
            drop(advised);
        }
    }
    /// Asks the kernel to read the whole file into memory soon.
    pub fn will_need_all(&self) {
        // Not every system knows the hint; then nothing is read ahead.
        drop(self.bytes().advise(Advice::WillNeed));
    }
}
