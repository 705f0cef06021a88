//! The producing side of a live buffer: which chunks are ready to be refilled, and leases on them.

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::bits::{self, BitsHeader, History};
use crate::error::BufferError;
use crate::id::ChunkId;
use crate::layout;
use crate::live::claims::Claims;
use crate::live::generations::{self, Generation, listed, retired};
use crate::live::lease::Lease;
use crate::live::settle::{Payload, final_counts, history_after};
use crate::lock::ProducerLock;
use crate::manifest::Manifest;
use crate::recover::Recovered;
use crate::storage::{Storage, file_names};

/// Chunks of a live buffer, at most: a producer has a map of the bits of each, a consumer of those
/// of replaced ones too, and Linux allows a process 65,530 maps by default.
pub const MOST_LIVE_CHUNKS: u64 = 30_000;

/// Generations of a chunk that may wait to be settled. Each keeps a file of bits and a whole chunk
/// on the disk while somebody has a sample of it, and is looked at by every consumer.
const MOST_UNSETTLED: u64 = 64;

/// Changes a shard of a live buffer; shared between the threads that refill it.
#[derive(Debug)]
pub struct LiveWriter {
    lock: ProducerLock,
    storage: Arc<dyn Storage>,
    manifest: Manifest,
    chunks: Range<u32>,
    recovered: Recovered,
    places: Mutex<Places>,
    /// Errors are the end of the process: leases are not given back.
    #[cfg(test)]
    is_dead: std::sync::atomic::AtomicBool,
}

#[derive(Debug)]
struct Places {
    /// Of the shard's chunks, in order.
    states: Vec<Place>,
    /// Where the search for the next lease begins.
    next: usize,
}

/// What the producer knows of one of its chunks.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// There is none, or a damaged one that nobody can read; `former` is the last generation that
    /// there was, or 0, and `claims` its bits, where there are any.
    Absent { former: u64, claims: Option<Arc<Claims>> },
    /// Published, and these are its bits. One that is patient waits until all its samples are
    /// taken: they cannot be carried.
    Published { claims: Arc<Claims>, is_patient: bool },
    /// A lease is out.
    Leased,
}

impl LiveWriter {
    /// Makes the buffer that `lock` holds (a part of) a live one, or checks that it is one: `decide`
    /// gets the manifest that is there and returns the one to put in its place, if any. Producers
    /// of several shards do this one after the other.
    ///
    /// # Errors
    /// The manifest cannot be read or written; what `decide` returns.
    pub fn set_up<E: From<BufferError>>(
        lock: &ProducerLock,
        storage: &dyn Storage,
        decide: impl FnOnce(Option<Manifest>) -> Result<Option<Manifest>, E>,
    ) -> Result<Manifest, E> {
        let dir = lock.dir();
        let path = dir.join(layout::SETUP_LOCK);
        let setup = std::fs::OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .map_err(|e| BufferError::io("write", &path, e))?;
        setup.lock().map_err(|e| BufferError::io("lock", &path, e))?;
        if let Some(manifest) = decide(Manifest::read_if_any(dir)?)? {
            Self::check_count(dir, &manifest)?;
            for folder in [layout::TMP, layout::BITS, layout::CHUNKS] {
                let folder = dir.join(folder);
                storage.create_folder(&folder).map_err(|e| BufferError::io("create", folder, e))?;
            }
            manifest.write(storage, dir)?;
        }
        Ok(Manifest::read(dir)?)
    }

    /// Takes the chunks of the shard that `lock` holds, and cleans what a killed producer left.
    ///
    /// # Errors
    /// A folder or file cannot be made, read or removed.
    pub fn start(
        lock: ProducerLock,
        storage: Arc<dyn Storage>,
        manifest: Manifest,
    ) -> Result<Arc<Self>, BufferError> {
        let dir = lock.dir();
        Self::check_count(dir, &manifest)?;
        for folder in [layout::TMP, layout::BITS, layout::CHUNKS, layout::RETIRED, layout::STATUS] {
            let folder = dir.join(folder);
            storage.create_folder(&folder).map_err(|e| BufferError::io("create", folder, e))?;
        }
        // A link in a folder that is gone after a loss of power would be gone with it.
        storage.sync_folder(dir).map_err(|e| BufferError::io("sync", dir, e))?;
        let count = u32::try_from(manifest.chunk_count()).unwrap_or(u32::MAX);
        let chunks = lock.shard().chunks(count);
        let mut recovery = Recovery { dir, storage: &*storage, recovered: Recovered::default() };
        recovery.empty_tmp(&chunks)?;
        let bits = listed(dir)?;
        let mut states = Vec::with_capacity(chunks.len());
        for id in chunks.clone().map(ChunkId::new) {
            let first = bits.partition_point(|at| at.chunk < id);
            let of_chunk: Vec<u64> =
                bits[first..].iter().take_while(|at| at.chunk == id).map(|at| at.generation).collect();
            states.push(recovery.chunk(id, &of_chunk)?);
        }
        recovery.retired(&chunks, &states)?;
        let recovered = recovery.recovered;
        let places = Mutex::new(Places { states, next: 0 });
        Ok(Arc::new(Self {
            lock,
            storage,
            manifest,
            chunks,
            recovered,
            places,
            #[cfg(test)]
            is_dead: Default::default(),
        }))
    }

    fn check_count(dir: &Path, manifest: &Manifest) -> Result<(), BufferError> {
        match manifest.chunk_count() {
            0..=MOST_LIVE_CHUNKS => Ok(()),
            found => {
                Err(BufferError::TooManyLiveChunks { dir: dir.to_owned(), found, most: MOST_LIVE_CHUNKS })
            }
        }
    }

    /// From now on a lease that is not published dies as with a killed process.
    #[cfg(test)]
    pub(crate) fn die_at_errors(&self) {
        self.is_dead.store(true, std::sync::atomic::Ordering::SeqCst);
    }

    #[cfg(test)]
    pub(crate) fn is_dead(&self) -> bool {
        self.is_dead.load(std::sync::atomic::Ordering::SeqCst)
    }

    /// The buffer's directory.
    pub fn dir(&self) -> &Path {
        self.lock.dir()
    }

    /// What the buffer was made from.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The chunks of this shard.
    pub fn chunks(&self) -> Range<u32> {
        self.chunks.clone()
    }

    /// What the start cleaned away.
    pub fn recovered(&self) -> Recovered {
        self.recovered
    }

    pub(crate) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Headers of the published chunks of this shard, to find where a stream stood.
    pub fn published(&self) -> Vec<rdt_chunk::Header> {
        let header = |id| Some(*rdt_chunk::map(&layout::chunk(self.dir(), ChunkId::new(id))).ok()?.header());
        self.chunks.clone().filter_map(header).collect()
    }

    /// A lease on a chunk that is ready to be written: absent, where `fill`, or consumed to a share
    /// of at least `refill_at`. Its unread samples are closed then, and to be carried along. `None`
    /// where no chunk is ready (one of which too many generations wait for a consumer that stalls
    /// is not); costs a look at each word of bits of the shard.
    pub fn lease(self: &Arc<Self>, fill: bool, refill_at: f64) -> Option<Lease> {
        let mut places = self.lock_places();
        let count = places.states.len();
        for step in 0..count {
            let at = (places.next + step) % count;
            let is_ready = match &places.states[at] {
                Place::Absent { .. } => fill,
                Place::Published { claims, is_patient: true } => {
                    let counts = claims.counts();
                    counts.clean + counts.closed == 0
                }
                Place::Published { claims, .. } => {
                    let counts = claims.counts();
                    let dirty = counts.slots() - counts.clean;
                    dirty as f64 >= refill_at * counts.slots() as f64
                }
                Place::Leased => false,
            };
            if is_ready && !self.is_held_up(&places.states[at]) {
                places.next = at + 1;
                let former = std::mem::replace(&mut places.states[at], Place::Leased);
                drop(places);
                let id = ChunkId::new(self.chunks.start + at as u32);
                return Some(Lease::new(Arc::clone(self), id, former));
            }
        }
        None
    }

    /// Whether somebody keeps so many generations of a chunk from being settled that it gets no
    /// more of them for now.
    fn is_held_up(&self, place: &Place) -> bool {
        let Place::Published { claims, .. } = place else { return false };
        let header = claims.header();
        // What is settled is in the header once the next generation is published; whether more of
        // it is by now is looked at only where that matters.
        let waiting = |settled: u64| header.generation.saturating_sub(settled) > MOST_UNSETTLED;
        waiting(header.history.settled)
            && waiting(history_after(self.dir(), header.chunk, claims, Payload::There).0.settled)
    }

    /// What becomes of a lease's chunk.
    pub(crate) fn put_back(&self, id: ChunkId, place: Place) {
        let at = (id.get() - self.chunks.start) as usize;
        if let Some(state) = self.lock_places().states.get_mut(at) {
            *state = place;
        }
    }

    /// Removes replaced chunks of which all samples are settled; returns how many wait on.
    ///
    /// # Errors
    /// A file cannot be listed or removed.
    pub fn settle(&self) -> Result<u64, BufferError> {
        let mut waiting = 0;
        for at in retired(self.dir())?.into_iter().filter(|at| self.chunks.contains(&at.chunk.get())) {
            // One that cannot be looked at now is looked at again.
            if self.is_settled(at).unwrap_or(false) {
                let path = layout::retired(self.dir(), at.chunk, at.generation);
                match self.storage.remove(&path) {
                    Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                        return Err(BufferError::io("remove", path, e));
                    }
                    _ => {}
                }
            } else {
                waiting += 1;
            }
        }
        Ok(waiting)
    }

    /// Whether a generation with a link is replaced, and nobody will want anything of it any more.
    fn is_settled(&self, at: Generation) -> Result<bool, BufferError> {
        // One whose chunk is being replaced at this moment has the same generation.
        let is_replaced = generations::newest(self.dir(), at.chunk)?.is_some_and(|now| now > at.generation);
        let counts = match Claims::open(self.dir(), at.chunk, at.generation) {
            Ok(claims) => final_counts(self.dir(), at.chunk, at.generation, &claims, Payload::There),
            // Nobody finds a generation without bits.
            Err(error) if error.is_of_the_file() => return Ok(is_replaced),
            Err(error) => Err(error),
        };
        Ok(is_replaced && counts?.is_some())
    }

    fn lock_places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The start of a producer: cleans what a killed one left, finds out what there is.
struct Recovery<'a> {
    dir: &'a Path,
    storage: &'a dyn Storage,
    recovered: Recovered,
}

impl Recovery<'_> {
    fn empty_tmp(&mut self, chunks: &Range<u32>) -> Result<(), BufferError> {
        let folder = self.dir.join(layout::TMP);
        for name in file_names(&folder).map_err(|e| BufferError::io("list", &folder, e))? {
            // Those of other shards are theirs.
            let stem = name.strip_suffix(".bits").map(|stem| format!("{stem}.chunk")).unwrap_or(name.clone());
            if layout::parse_chunk(&stem).is_some_and(|id| chunks.contains(&id.get())) {
                self.remove(&folder.join(name))?;
                self.recovered.temporary_files += 1;
            }
        }
        Ok(())
    }

    /// What is there of chunk `id`, whose bits there are for these generations.
    fn chunk(&mut self, id: ChunkId, bits: &[u64]) -> Result<Place, BufferError> {
        let last = bits.last().copied().unwrap_or(0);
        let path = layout::chunk(self.dir, id);
        let mapped = match generations::map_if_any(id, &path) {
            Ok(Some(chunk)) if chunk.header().chunk == id.get() && chunk.episodes().is_ok() => chunk,
            Ok(None) => {
                for &generation in bits {
                    self.orphan(id, generation)?;
                }
                return Ok(Place::Absent { former: last, claims: None });
            }
            // Damaged: nobody can read it, so a new generation may take its place.
            Ok(Some(chunk)) => return self.damaged(id, last, chunk.header().generation),
            Err(error) if error.is_of_the_file() => return self.damaged(id, last, 0),
            // It may be whole, and full of unread samples.
            Err(error) => return Err(error),
        };
        let header = *mapped.header();
        let claims = match Claims::open(self.dir, id, header.generation) {
            Ok(claims) if claims.slots() == header.samples => claims,
            // Somebody may have them mapped: new ones would deliver the samples again.
            Err(error) if !error.is_of_the_file() => return Err(error),
            // Lost with the power: a sample may be delivered again then.
            _ => self.heal(id, header.generation, header.samples)?,
        };
        // A killed producer closed them for a generation that was never published.
        claims.reopen();
        let settled = claims.header().history.settled;
        for &generation in bits.iter().filter(|&&at| at > header.generation || at <= settled) {
            self.orphan(id, generation)?;
        }
        Ok(Place::Published { claims: Arc::new(claims), is_patient: false })
    }

    /// A chunk that nobody can read. What was unread of it is lost, and what was delivered stays
    /// counted: the sums of its last bits go into those of the generation that takes its place.
    fn damaged(&self, id: ChunkId, last: u64, of_header: u64) -> Result<Place, BufferError> {
        let claims = match Claims::open(self.dir, id, last) {
            Ok(claims) => {
                claims.reopen();
                Some(Arc::new(claims))
            }
            Err(error) if error.is_of_the_file() => None,
            Err(error) => return Err(error),
        };
        Ok(Place::Absent { former: last.max(of_header), claims })
    }

    /// Removes links that were made for a replacement that did not happen, whose samples are
    /// settled, or that nobody can read.
    fn retired(&mut self, chunks: &Range<u32>, states: &[Place]) -> Result<(), BufferError> {
        for at in retired(self.dir)?.into_iter().filter(|at| chunks.contains(&at.chunk.get())) {
            let bits = layout::bits(self.dir, at.chunk, at.generation);
            let has_bits = bits.try_exists().map_err(|e| BufferError::io("look at", &bits, e))?;
            let is_needed = match &states[(at.chunk.get() - chunks.start) as usize] {
                Place::Published { claims, .. } => {
                    let header = claims.header();
                    at.generation < header.generation && at.generation > header.history.settled && has_bits
                }
                _ => has_bits,
            };
            let path = layout::retired(self.dir, at.chunk, at.generation);
            let is_readable = match generations::map_if_any(at.chunk, &path) {
                Ok(_) => true,
                Err(error) if error.is_of_the_file() => false,
                Err(error) => return Err(error),
            };
            if !is_needed || !is_readable {
                self.remove(&path)?;
            }
        }
        Ok(())
    }

    fn heal(&self, id: ChunkId, generation: u64, slots: u32) -> Result<Claims, BufferError> {
        let (temporary, path) =
            (layout::temporary_bits(self.dir, id), layout::bits(self.dir, id, generation));
        let header = BitsHeader { chunk: id, generation, slots, history: History::default() };
        bits::create(self.storage, &temporary, header)?;
        self.storage
            .rename(&temporary, &path)
            .map_err(|e| BufferError::io("rename a temporary file to", &path, e))?;
        Claims::open(self.dir, id, generation)
    }

    fn orphan(&mut self, id: ChunkId, generation: u64) -> Result<(), BufferError> {
        self.recovered.orphan_bits += 1;
        self.remove(&layout::bits(self.dir, id, generation))
    }

    fn remove(&self, path: &Path) -> Result<(), BufferError> {
        self.storage.remove(path).map_err(|e| BufferError::io("remove", path, e))
    }
}
