//! The reading side: a buffer as anyone may open it, also while it is being filled and also from
//! read-only media.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use memmap2::Mmap;
use rdt_chunk::Chunk;

use crate::bits::{self, BitCounts};
use crate::error::BufferError;
use crate::id::{ChunkId, SampleId, SlotIndex};
use crate::layout;
use crate::manifest::{BufferState, Manifest};
use crate::writer::published_chunks;

/// Maps kept at once: Linux allows a process 65,530 of them by default.
const MAX_MAPS: usize = 30_000;

/// How often bits are looked for again where chunks are being replaced.
const LIVE_TRIES: u32 = 8;

/// A buffer opened for reading. Chunks are mapped when they are first asked for, checked against
/// the manifest, and kept. Shared between threads.
///
/// A chunk's data set index is a place in [`Manifest::datasets`].
#[derive(Debug)]
pub struct Buffer {
    dir: PathBuf,
    manifest: Manifest,
    maps: Vec<Mutex<Option<Arc<Chunk<Mmap>>>>>,
    /// Mapped chunks, oldest first, so that the number of maps stays bounded.
    mapped: Mutex<VecDeque<ChunkId>>,
}

impl Buffer {
    /// Opens the buffer at `dir`, whether or not its fill has reached the end.
    ///
    /// # Errors
    /// `dir` is not a buffer, one of another version, or its manifest is damaged.
    pub fn open(dir: &Path) -> Result<Self, BufferError> {
        let manifest = Manifest::read(dir)?;
        let chunks = usize::try_from(manifest.chunk_count()).unwrap_or(usize::MAX).min(u32::MAX as usize);
        let maps = std::iter::repeat_with(|| Mutex::new(None)).take(chunks).collect();
        Ok(Self { dir: dir.to_owned(), manifest, maps, mapped: Mutex::default() })
    }

    /// Opens the buffer at `dir` for training in the static order: its fill must have reached the
    /// end and every chunk must be there. A live buffer will do while nobody refills it.
    ///
    /// # Errors
    /// As [`Buffer::open`]; the fill is not finished; a chunk is missing; a producer is refilling it.
    pub fn open_complete(dir: &Path) -> Result<Self, BufferError> {
        let buffer = Self::open(dir)?;
        let published = buffer.published_chunks()?;
        if buffer.manifest.state == BufferState::Live
            && let Some((_, holder)) = crate::live::producers_alive(dir)?.into_iter().next()
        {
            return Err(BufferError::BeingRefilled { dir: dir.to_owned(), holder });
        }
        if buffer.manifest.state == BufferState::Filling {
            return Err(BufferError::Unfinished {
                dir: dir.to_owned(),
                published: published.len() as u64,
                expected: buffer.chunk_count(),
            });
        }
        match published.iter().zip(0..).find(|(id, at)| id.get() != *at) {
            Some((_, missing)) => Err(buffer.missing(ChunkId::new(missing))),
            None if (published.len() as u64) < buffer.chunk_count() => {
                Err(buffer.missing(ChunkId::new(published.len() as u32)))
            }
            None => Ok(buffer),
        }
    }

    /// Where the buffer is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the buffer was made from.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Samples of the whole plan; ids are `0..sample_count`.
    pub fn sample_count(&self) -> u64 {
        self.manifest.samples
    }

    /// Chunks of the whole plan.
    pub fn chunk_count(&self) -> u64 {
        self.manifest.chunk_count()
    }

    /// The chunks that are there, in order. All of them once the fill is complete.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn published_chunks(&self) -> Result<Vec<ChunkId>, BufferError> {
        published_chunks(&self.dir)
    }

    /// The chunk and slot that hold a sample. Of an id past the end, [`Buffer::chunk`] or the
    /// chunk's own `sample` says that it does not exist.
    pub fn locate(&self, id: SampleId) -> (ChunkId, SlotIndex) {
        id.locate(self.manifest.chunk_size)
    }

    /// The path of a chunk's file, whether or not it is there.
    pub fn chunk_path(&self, id: ChunkId) -> PathBuf {
        layout::chunk(&self.dir, id)
    }

    /// A chunk, mapped and held against the manifest.
    ///
    /// # Errors
    /// There is no such chunk, or its file is missing; it is damaged; it is not the chunk that
    /// the manifest describes. The error names the file.
    pub fn chunk(&self, id: ChunkId) -> Result<Arc<Chunk<Mmap>>, BufferError> {
        let place = self.maps.get(id.get() as usize).ok_or_else(|| BufferError::NoSuchChunk {
            dir: self.dir.clone(),
            chunk: id,
            chunks: self.chunk_count(),
        })?;
        let mut kept = lock(place);
        if let Some(chunk) = &*kept {
            return Ok(Arc::clone(chunk));
        }
        let chunk = Arc::new(self.map(id)?);
        *kept = Some(Arc::clone(&chunk));
        drop(kept);
        self.note_mapped(id);
        Ok(chunk)
    }

    /// Maps a chunk anew, without keeping it: for tools that see every chunk once.
    ///
    /// # Errors
    /// As [`Buffer::chunk`].
    pub fn map(&self, id: ChunkId) -> Result<Chunk<Mmap>, BufferError> {
        let path = self.chunk_path(id);
        if !path.exists() {
            return Err(self.missing(id));
        }
        let chunk = rdt_chunk::map(&path).map_err(|source| BufferError::Chunk { chunk: id, source })?;
        self.check(id, &path, &chunk)?;
        Ok(chunk)
    }

    /// The dirty bits of a chunk that is there.
    ///
    /// # Errors
    /// The chunk or its bits cannot be read.
    pub fn bits_of(&self, id: ChunkId) -> Result<BitCounts, BufferError> {
        let mut tries = 0;
        loop {
            let chunk = self.map(id)?;
            let header = chunk.header();
            let path = layout::bits(&self.dir, id, header.generation);
            match bits::count(&path, id, header.generation, header.samples) {
                // A newer generation took its place meanwhile, and these bits were removed.
                Err(_) if self.manifest.state == BufferState::Live && tries < LIVE_TRIES => tries += 1,
                counted => return counted,
            }
        }
    }

    /// The dirty bits of all chunks that are there.
    ///
    /// # Errors
    /// As [`Buffer::bits_of`].
    pub fn bits(&self) -> Result<BitCounts, BufferError> {
        let mut sum = BitCounts::default();
        for id in self.published_chunks()? {
            sum = sum.plus(self.bits_of(id)?);
        }
        Ok(sum)
    }

    fn check(&self, id: ChunkId, path: &Path, chunk: &Chunk<Mmap>) -> Result<(), BufferError> {
        let foreign = |what, found: &dyn ToString, expected: &dyn ToString| BufferError::ForeignChunk {
            path: path.to_owned(),
            what,
            found: found.to_string(),
            expected: expected.to_string(),
        };
        let header = chunk.header();
        if header.chunk != id.get() {
            return Err(foreign("the chunk number", &header.chunk, &id.get()));
        }
        if header.capacity != self.manifest.chunk_size {
            return Err(foreign("the chunk size", &header.capacity, &self.manifest.chunk_size));
        }
        let samples = self.manifest.samples_of(id);
        // Of a live buffer, only what a fill began with may be shorter than a chunk.
        if header.samples != samples && self.manifest.state != BufferState::Live {
            return Err(foreign("the number of samples", &header.samples, &samples));
        }
        let datasets = chunk.datasets().map_err(|source| BufferError::Chunk {
            chunk: id,
            source: rdt_chunk::ChunkError::InFile { path: path.to_owned(), source: Box::new(source) },
        })?;
        let expected = &self.manifest.datasets;
        if datasets.len() != expected.len() {
            return Err(foreign("the number of data sets", &datasets.len(), &expected.len()));
        }
        for (found, expected) in datasets.iter().zip(expected) {
            if *found != expected.schema {
                let [found, expected] = [found, &expected.schema].map(|schema| format!("{schema:?}"));
                return Err(foreign("the schema of a data set", &found, &expected));
            }
        }
        Ok(())
    }

    fn missing(&self, chunk: ChunkId) -> BufferError {
        let last = self.chunk_count().saturating_sub(1) as u32;
        BufferError::MissingChunk { path: self.chunk_path(chunk), chunk, last }
    }

    /// Forgets the oldest map where there are too many; who still reads it keeps it alive.
    fn note_mapped(&self, id: ChunkId) {
        let mut mapped = lock(&self.mapped);
        mapped.push_back(id);
        let oldest = if mapped.len() > MAX_MAPS { mapped.pop_front() } else { None };
        drop(mapped);
        if let Some(place) = oldest.and_then(|id| self.maps.get(id.get() as usize)) {
            *lock(place) = None;
        }
    }
}

/// A panic elsewhere leaves these values whole, so a poisoned lock is taken as it is.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
