//! The writing side: one process, which holds the producer lock, makes chunks visible.
//!
//! A chunk is written to a [`NewChunk`] in the `tmp` folder and becomes visible by
//! [`BufferWriter::publish`] alone, with its bits, in one rename. A [`NewChunk`] that is dropped
//! removes its file.

use std::fmt::Debug;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rdt_chunk::ChunkSummary;

use crate::bits::{self, BitsHeader, History};
use crate::error::BufferError;
use crate::id::ChunkId;
use crate::layout;
use crate::lock::ProducerLock;
use crate::manifest::{BufferState, Manifest};
use crate::recover::{Recovered, recover};
use crate::storage::{Storage, StorageFile, file_names};

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 1 << 18;

/// Changes a buffer; shared between the threads that fill it.
#[derive(Debug)]
pub struct BufferWriter {
    lock: ProducerLock,
    storage: Arc<dyn Storage>,
    manifest: Manifest,
    recovered: Recovered,
}

/// A chunk that is being written, or written and not yet published.
#[derive(Debug)]
pub struct NewChunk {
    id: ChunkId,
    generation: u64,
    path: PathBuf,
    file: BufWriter<Box<dyn StorageFile>>,
    storage: Arc<dyn Storage>,
    published: bool,
}

/// What [`BufferWriter::published`] finds of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The digest of the plan it was made by.
    pub plan_digest: [u8; 16],
    /// Its samples.
    pub samples: u32,
    /// Its generation.
    pub generation: u64,
    /// Bytes of its file.
    pub bytes: u64,
}

impl BufferWriter {
    /// Takes the buffer that `lock` holds: makes its folders, cleans what a killed producer left
    /// and writes `manifest`.
    ///
    /// # Errors
    /// A folder or file cannot be made, removed or written.
    pub fn start(
        lock: ProducerLock,
        storage: Arc<dyn Storage>,
        manifest: Manifest,
    ) -> Result<Self, BufferError> {
        let dir = lock.dir().to_owned();
        for folder in [layout::TMP, layout::BITS, layout::CHUNKS] {
            let folder = dir.join(folder);
            storage.create_folder(&folder).map_err(|e| BufferError::io("create", folder, e))?;
        }
        let recovered = recover(&*storage, &dir, manifest.state == BufferState::Filling)?;
        let mut writer = Self { lock, storage, manifest, recovered };
        writer.write_manifest(writer.manifest.clone())?;
        Ok(writer)
    }

    /// The buffer's directory.
    pub fn dir(&self) -> &Path {
        self.lock.dir()
    }

    /// The manifest as it was last written.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What the start cleaned away.
    pub fn recovered(&self) -> Recovered {
        self.recovered
    }

    /// Replaces the manifest, durably and in one step.
    ///
    /// # Errors
    /// It cannot be written; the old one stays.
    pub fn write_manifest(&mut self, manifest: Manifest) -> Result<(), BufferError> {
        manifest.write(&*self.storage, self.lock.dir())?;
        self.manifest = manifest;
        Ok(())
    }

    /// The published chunk `id`; `None` where there is none.
    ///
    /// # Errors
    /// There is a file, and its header, lists or bits are not whole.
    pub fn published(&self, id: ChunkId) -> Result<Option<Published>, BufferError> {
        let path = layout::chunk(self.dir(), id);
        if !path.exists() {
            return Ok(None);
        }
        let chunk = rdt_chunk::map(&path).map_err(|source| BufferError::Chunk { chunk: id, source })?;
        let unreadable = |source| BufferError::Chunk { chunk: id, source };
        chunk.datasets().map_err(unreadable)?;
        chunk.episodes().map_err(unreadable)?;
        let header = chunk.header();
        let bits = layout::bits(self.dir(), id, header.generation);
        bits::count(&bits, id, header.generation, header.samples)?;
        Ok(Some(Published {
            plan_digest: header.plan_digest,
            samples: header.samples,
            generation: header.generation,
            bytes: header.file_bytes(),
        }))
    }

    /// All published chunks, in order.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn published_chunks(&self) -> Result<Vec<ChunkId>, BufferError> {
        published_chunks(self.dir())
    }

    /// Begins to write chunk `id`: an empty file that takes a chunk's bytes.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn begin(&self, id: ChunkId, generation: u64) -> Result<NewChunk, BufferError> {
        NewChunk::create(&self.storage, self.dir(), id, generation)
    }

    /// Makes a sealed chunk visible, with clean bits, in one step; durable when this returns.
    ///
    /// `summary` is what sealing the chunk gave: proof that the file is complete.
    ///
    /// # Errors
    /// A file cannot be written, synced or renamed; then nothing is published.
    pub fn publish(&self, mut chunk: NewChunk, summary: &ChunkSummary) -> Result<(), BufferError> {
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |e| BufferError::io(action, path, e)
        };
        chunk.sync()?;
        // The bits come first: a reader that sees the chunk must find them.
        let bits = layout::bits(self.dir(), chunk.id, chunk.generation);
        let header = BitsHeader {
            chunk: chunk.id,
            generation: chunk.generation,
            slots: summary.header.samples,
            history: History::default(),
        };
        bits::create(&*self.storage, &bits, header)?;
        let path = layout::chunk(self.dir(), chunk.id);
        chunk.put_in_place(&path)?;
        let folder = self.dir().join(layout::CHUNKS);
        self.storage.sync_folder(&folder).map_err(io("sync", &folder))
    }

    /// Removes a chunk of an unfinished fill whose plan has changed.
    ///
    /// # Errors
    /// The buffer is complete; a file cannot be removed.
    pub fn withdraw(&self, id: ChunkId) -> Result<(), BufferError> {
        if self.manifest.state == BufferState::Complete {
            return Err(BufferError::WithdrawFromComplete { dir: self.dir().to_owned(), chunk: id });
        }
        let path = layout::chunk(self.dir(), id);
        self.storage.remove(&path).map_err(|e| BufferError::io("remove", &path, e))?;
        let folder = self.dir().join(layout::BITS);
        let names = file_names(&folder).map_err(|e| BufferError::io("list", &folder, e))?;
        let prefix = format!("{id}-");
        for name in names.iter().filter(|name| name.starts_with(&prefix)) {
            let path = folder.join(name);
            self.storage.remove(&path).map_err(|e| BufferError::io("remove", path, e))?;
        }
        Ok(())
    }
}

/// All published chunks of the buffer at `dir`, in order.
pub(crate) fn published_chunks(dir: &Path) -> Result<Vec<ChunkId>, BufferError> {
    let folder = dir.join(layout::CHUNKS);
    let names = file_names(&folder).map_err(|e| BufferError::io("list", folder, e))?;
    let mut ids: Vec<_> = names.iter().filter_map(|name| layout::parse_chunk(name)).collect();
    ids.sort_unstable();
    Ok(ids)
}

impl NewChunk {
    /// An empty file for chunk `id` of the buffer at `dir`.
    pub(crate) fn create(
        storage: &Arc<dyn Storage>,
        dir: &Path,
        id: ChunkId,
        generation: u64,
    ) -> Result<Self, BufferError> {
        let path = layout::temporary_chunk(dir, id);
        let file = storage.create(&path).map_err(|e| BufferError::io("create", &path, e))?;
        let file = BufWriter::with_capacity(WRITE_BYTES, file);
        Ok(Self { id, generation, path, file, storage: Arc::clone(storage), published: false })
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&mut self) -> Result<(), BufferError> {
        self.file.flush().map_err(|e| BufferError::io("write", &self.path, e))?;
        self.file.get_mut().sync().map_err(|e| BufferError::io("sync", &self.path, e))
    }

    /// Gives the file its name: the commit.
    pub(crate) fn put_in_place(&mut self, path: &Path) -> Result<(), BufferError> {
        self.storage
            .rename(&self.path, path)
            .map_err(|e| BufferError::io("rename a temporary file to", path, e))?;
        self.published = true;
        Ok(())
    }

    /// Leaves the file where it is.
    #[cfg(test)]
    pub(crate) fn forget(&mut self) {
        self.published = true;
    }

    /// Which chunk it is going to be.
    pub fn id(&self) -> ChunkId {
        self.id
    }

    /// Adds the path to an error of its file: what writes a chunk does not know it.
    fn named<T>(&self, result: std::io::Result<T>) -> std::io::Result<T> {
        result.map_err(|e| std::io::Error::new(e.kind(), BufferError::io("write", &self.path, e)))
    }
}

impl Write for NewChunk {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes);
        self.named(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let flushed = self.file.flush();
        self.named(flushed)
    }
}

impl Seek for NewChunk {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let sought = self.file.seek(to);
        self.named(sought)
    }
}

impl Drop for NewChunk {
    fn drop(&mut self) {
        if !self.published {
            // A file that cannot be removed here is removed by the next start.
            let _ = self.storage.remove(&self.path);
        }
    }
}
