//! The consuming side of a live buffer: finds samples that nobody has, and claims them.
//!
//! A [`Follower`] mixes over a window of chunks: each claim takes a slot of one of them. Chunks that
//! are nearly drained come first, into the window and out of it, so that producers get them back; of
//! those equally full the one that has waited longest, so that none is passed over for ever.
//! A [`Claimed`] sample belongs to its holder: it is delivered once, or given back by being dropped.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use memmap2::Mmap;
use rdt_chunk::{Chunk, ChunkError, SampleView};
use rdt_schema::draw::mix;

use crate::error::BufferError;
use crate::id::{ChunkId, SampleId, SlotIndex};
use crate::layout;
use crate::live::claims::Claims;
use crate::live::consumers::{Hold, Registration};
use crate::live::generations::{Generation, listed, payload};
use crate::live::shard::producers_alive;
use crate::manifest::{BufferState, Manifest};

/// A search for chunks takes at most this share of the time.
const SEARCH_SHARE: u32 = 100;
/// And begins at most this often while there are samples left.
const SEARCH_PERIOD: Duration = Duration::from_millis(5);
/// Times of change of a folder are this coarse at worst: a listing younger than that may have
/// missed a change of the same time.
const CLOCK_GRAIN: Duration = Duration::from_millis(50);
/// Between two attempts to open a chunk that could not be opened for a reason that may pass.
const RETRY_PERIOD: Duration = Duration::from_millis(500);
/// So often a chunk is tried before the end is no longer put off for it.
const MOST_TRIES: u32 = 10;

/// How to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowerOptions {
    /// Chunks that claims are spread over; at least 1.
    pub window: usize,
    /// Seed of the choice of chunks and slots.
    pub seed: u64,
    /// Whether chunks without stored embeddings of their images are named and left for later.
    pub stored_images: bool,
}

/// Claims samples of a buffer. One a process; the samples may go to other threads.
#[derive(Debug)]
pub struct Follower {
    dir: PathBuf,
    manifest: Manifest,
    options: FollowerOptions,
    registration: Arc<Registration>,
    /// Generations that may have samples.
    known: BTreeMap<Generation, Known>,
    /// Generations that have none any more, or are damaged.
    passed: HashSet<Generation>,
    window: Vec<Arc<OpenGeneration>>,
    unreadable: Vec<(ChunkId, BufferError)>,
    listing: Option<Listing>,
    next_search: Instant,
    /// What the last two searches took.
    searches: [Duration; 2],
    /// Listings made.
    listings: u64,
    /// Since when listings miss what cannot be looked at.
    partial_since: Option<Instant>,
    random: u64,
}

/// A generation that may have samples.
#[derive(Debug)]
struct Known {
    claims: Arc<Claims>,
    /// The listing that it was first in.
    seen: u64,
    /// What kept it from being opened, if anything did.
    failed: Option<Failed>,
}

/// Attempts to open a chunk that failed for a reason that may pass.
#[derive(Debug, Clone, Copy)]
struct Failed {
    tries: u32,
    next: Instant,
}

/// When the folder was listed, and what its time of change was.
#[derive(Debug, Clone, Copy)]
struct Listing {
    changed: SystemTime,
    /// The listing was so soon after the change that it may have missed another, or missed something.
    is_doubtful: bool,
}

/// A generation that this consumer takes samples from.
#[derive(Debug)]
struct OpenGeneration {
    at: Generation,
    chunk: Chunk<Mmap>,
    claims: Arc<Claims>,
    registration: Arc<Registration>,
    /// Named until the last sample is delivered or given back.
    _hold: Hold,
}

/// A sample that this consumer alone has.
#[derive(Debug)]
pub struct Claimed {
    generation: Arc<OpenGeneration>,
    slot: SlotIndex,
    is_done: bool,
}

/// Where a sample is from, in words.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Origin {
    /// Its chunk.
    pub chunk: u32,
    /// The filling of the chunk.
    pub generation: u64,
    /// Its slot.
    pub slot: u32,
    /// Its data set.
    pub dataset: String,
    /// The file, relative to the data set's path.
    pub source: String,
    /// The episode in the file; empty where the file is one.
    pub episode: String,
    /// The original step.
    pub step: u32,
}

impl Follower {
    /// Registers as a consumer of the buffer at `dir`.
    ///
    /// # Errors
    /// It is no buffer, is being filled, or cannot be written.
    pub fn new(dir: &Path, options: FollowerOptions) -> Result<Self, BufferError> {
        let manifest = Manifest::read(dir)?;
        if manifest.state == BufferState::Filling {
            let published = crate::writer::published_chunks(dir)?.len() as u64;
            let expected = manifest.chunk_count();
            return Err(BufferError::Unfinished { dir: dir.to_owned(), published, expected });
        }
        let registration = Registration::new(dir)?;
        let random = mix(options.seed ^ mix(u64::from(std::process::id())));
        let mut follower = Self {
            dir: dir.to_owned(),
            manifest,
            options,
            registration,
            known: BTreeMap::new(),
            passed: HashSet::new(),
            window: Vec::new(),
            unreadable: Vec::new(),
            listing: None,
            next_search: Instant::now(),
            searches: [Duration::ZERO; 2],
            listings: 0,
            partial_since: None,
            random,
        };
        follower.search()?;
        Ok(follower)
    }

    /// What the buffer was made from.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Samples that this consumer has delivered.
    pub fn delivered(&self) -> u64 {
        self.registration.delivered()
    }

    /// Milliseconds that this consumer has waited for samples.
    pub fn waited_ms(&self) -> u64 {
        self.registration.waited_ms()
    }

    /// Says that this consumer has waited, for whoever looks at the buffer.
    pub fn count_waited(&self, waited: Duration) {
        self.registration.count_waited_ms(waited.as_millis() as u64);
    }

    /// How long whoever found nothing is to wait before the next claim, so that looking takes at most
    /// 1 % of a core however many chunks there are. Of the last two searches the shorter one counts:
    /// the other may have been interrupted.
    pub fn search_pause(&self) -> Duration {
        SEARCH_SHARE * self.searches[0].min(self.searches[1])
    }

    /// Chunks that could not be read since the last call.
    pub fn take_unreadable(&mut self) -> Vec<(ChunkId, BufferError)> {
        std::mem::take(&mut self.unreadable)
    }

    /// Claims a sample; `None` where there is none now.
    ///
    /// # Errors
    /// A folder cannot be listed.
    pub fn claim(&mut self) -> Result<Option<Claimed>, BufferError> {
        loop {
            if self.window.len() < self.options.window.max(1) && Instant::now() >= self.next_search {
                self.search()?;
            }
            let Some(at) = self.choose() else {
                if self.search()? {
                    continue;
                }
                return Ok(None);
            };
            let start = self.draw() as u32 % self.window[at].claims.slots().max(1);
            match self.window[at].claims.claim(start) {
                Some(slot) => {
                    let generation = Arc::clone(&self.window[at]);
                    return Ok(Some(Claimed { generation, slot, is_done: false }));
                }
                None => drop(self.window.swap_remove(at)),
            }
        }
    }

    /// Whether nothing will come any more: no producer works on the buffer, and nothing is clean.
    ///
    /// # Errors
    /// A folder cannot be listed.
    pub fn is_over(&mut self) -> Result<bool, BufferError> {
        if !producers_alive(&self.dir)?.is_empty() {
            return Ok(false);
        }
        // What the last producer published before it went.
        self.listing = None;
        let waits = |known: &Known| known.failed.is_some_and(|failed| failed.tries < MOST_TRIES);
        let has_any = self.search()?;
        let is_partial = self.partial_since.is_some_and(|since| since.elapsed() < MOST_TRIES * RETRY_PERIOD);
        Ok(!has_any && !is_partial && !self.known.values().any(waits))
    }

    /// Of two chunks of the window, the one with fewer clean samples: they are drained one after
    /// the other rather than all at once.
    fn choose(&mut self) -> Option<usize> {
        let count = self.window.len();
        if count < 2 {
            return (count == 1).then_some(0);
        }
        let [a, b] = [self.draw(), self.draw()].map(|number| (number % count as u64) as usize);
        let clean = |at: usize| self.window[at].claims.counts().clean;
        Some(if clean(a) <= clean(b) { a } else { b })
    }

    /// Looks for generations with clean samples until the window is full, those with the fewest
    /// first, then those known longest. Says whether the window holds any.
    fn search(&mut self) -> Result<bool, BufferError> {
        let began = Instant::now();
        self.list()?;
        let open: HashSet<Generation> = self.window.iter().map(|open| open.at).collect();
        let mut clean: Vec<(u64, u64, u64, ChunkId)> = Vec::new();
        let mut used_up: Vec<Generation> = Vec::new();
        for (&at, known) in self.known.iter().filter(|(at, _)| !open.contains(at)) {
            let counts = known.claims.counts();
            if counts.clean > 0 && known.failed.is_none_or(|failed| failed.next <= began) {
                clean.push((counts.clean, known.seen, at.generation, at.chunk));
            } else if counts.delivered == counts.slots() {
                // Nothing leaves that state, so nobody has to look again.
                used_up.push(at);
            }
        }
        used_up.into_iter().for_each(|at| self.pass(at));
        clean.sort_unstable();
        for (_, _, generation, chunk) in clean {
            if self.window.len() >= self.options.window.max(1) {
                break;
            }
            self.open(Generation { chunk, generation })?;
        }
        let now = Instant::now();
        self.searches = [self.searches[1], now - began];
        self.next_search = now + (SEARCH_SHARE * (now - began)).max(SEARCH_PERIOD);
        Ok(!self.window.is_empty())
    }

    fn open(&mut self, at: Generation) -> Result<(), BufferError> {
        let opened = self.payload(at);
        let Some(known) = self.known.get_mut(&at) else { return Ok(()) };
        match opened {
            Ok(Some(chunk)) if chunk.header().samples == known.claims.slots() => {
                known.failed = None;
                let hold = self
                    .registration
                    .hold(at.chunk, at.generation)
                    .ok_or_else(|| BufferError::TooManyHolds { dir: self.dir.clone() })?;
                self.window.push(Arc::new(OpenGeneration {
                    at,
                    chunk,
                    claims: Arc::clone(&known.claims),
                    registration: Arc::clone(&self.registration),
                    _hold: hold,
                }));
            }
            // Settled in between.
            Ok(_) => self.pass(at),
            Err(error) if may_pass(&error) => {
                let tries = known.failed.map_or(1, |failed| failed.tries.saturating_add(1));
                known.failed = Some(Failed { tries, next: Instant::now() + RETRY_PERIOD });
                // Named once.
                if tries == 1 {
                    self.unreadable.push((at.chunk, error));
                }
            }
            Err(error) => {
                self.unreadable.push((at.chunk, error));
                self.pass(at);
            }
        }
        Ok(())
    }

    /// The chunk of a generation, if it is there, with what must be stored beside it.
    fn payload(&self, at: Generation) -> Result<Option<Chunk<Mmap>>, BufferError> {
        let chunk = payload(&self.dir, &self.manifest, at)?;
        if chunk.is_some() && self.options.stored_images {
            let path = layout::image_embedding(&self.dir, at.chunk, at.generation);
            if !path.try_exists().map_err(|e| BufferError::io("look at", path, e))? {
                let (dir, Generation { chunk, generation }) = (self.dir.clone(), at);
                return Err(BufferError::NoImageEmbeddings { dir, chunk, generation });
            }
        }
        Ok(chunk)
    }

    fn pass(&mut self, at: Generation) {
        self.known.remove(&at);
        self.passed.insert(at);
    }

    /// Lists the generations, if any was published since the last time.
    fn list(&mut self) -> Result<(), BufferError> {
        let folder = self.dir.join(layout::CHUNKS);
        let io = |e| BufferError::io("look at", &folder, e);
        let changed = std::fs::metadata(&folder).and_then(|data| data.modified()).map_err(io)?;
        if self.listing.is_some_and(|last| last.changed == changed && !last.is_doubtful) {
            return Ok(());
        }
        let is_doubtful = SystemTime::now().duration_since(changed).is_ok_and(|age| age < CLOCK_GRAIN);
        let all = listed(&self.dir)?;
        self.listings += 1;
        // What could not be looked at now is looked at the next time.
        let mut is_partial = false;
        let mut newest: BTreeMap<ChunkId, u64> = BTreeMap::new();
        for &at in &all {
            if self.known.contains_key(&at) || self.passed.contains(&at) {
                continue;
            }
            let current = match newest.get(&at.chunk) {
                Some(&current) => current,
                None => {
                    let current = match crate::live::generations::newest(&self.dir, at.chunk) {
                        Ok(found) => found.unwrap_or(0),
                        Err(error) if may_pass(&error) => {
                            is_partial = true;
                            0
                        }
                        // A damaged chunk is named when it is opened.
                        Err(_) => at.generation,
                    };
                    newest.insert(at.chunk, current);
                    current
                }
            };
            // Bits come before their chunk: they are looked at again once that is there.
            if at.generation > current {
                continue;
            }
            if at.generation < current {
                match layout::retired(&self.dir, at.chunk, at.generation).try_exists() {
                    Ok(true) => {}
                    Ok(false) => {
                        self.passed.insert(at);
                        continue;
                    }
                    Err(_) => {
                        is_partial = true;
                        continue;
                    }
                }
            }
            match Claims::open(&self.dir, at.chunk, at.generation) {
                Ok(claims) => {
                    let known = Known { claims: Arc::new(claims), seen: self.listings, failed: None };
                    self.known.insert(at, known);
                }
                Err(BufferError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                Err(error @ BufferError::Io { .. }) => return Err(self.cannot_follow(error)),
                Err(error) => {
                    self.unreadable.push((at.chunk, error));
                    self.passed.insert(at);
                }
            }
        }
        // What has no bits any more is settled.
        let there: HashSet<Generation> = all.into_iter().collect();
        self.known.retain(|at, _| there.contains(at));
        self.passed.retain(|at| there.contains(at));
        self.partial_since = is_partial.then(|| self.partial_since.unwrap_or_else(Instant::now));
        self.listing = Some(Listing { changed, is_doubtful: is_doubtful || is_partial });
        Ok(())
    }

    fn cannot_follow(&self, error: BufferError) -> BufferError {
        match error {
            BufferError::Io { source, .. }
                if matches!(
                    source.kind(),
                    std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied
                ) =>
            {
                BufferError::CannotFollow { dir: self.dir.clone(), source }
            }
            error => error,
        }
    }

    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.random) >> 32
    }
}

impl Claimed {
    /// The sample.
    ///
    /// # Errors
    /// The chunk's tables or rows are damaged.
    pub fn view(&self) -> Result<SampleView<'_>, ChunkError> {
        self.generation.chunk.sample(self.slot.get())
    }

    /// Asks the kernel to read its bytes soon.
    pub fn will_need(&self) {
        self.generation.chunk.will_need(self.slot.get());
    }

    /// Its chunk and the filling of it.
    pub fn generation(&self) -> Generation {
        self.generation.at
    }

    /// Its slot.
    pub fn slot(&self) -> SlotIndex {
        self.slot
    }

    /// Its place as a number, as in a static buffer: chunk x chunk size + slot.
    pub fn id(&self) -> SampleId {
        let size = u64::from(self.generation.chunk.header().capacity);
        SampleId::new(u64::from(self.generation.at.chunk.get()) * size + u64::from(self.slot.get()))
    }

    /// Where it is from.
    ///
    /// # Errors
    /// As [`Claimed::view`].
    pub fn origin(&self) -> Result<Origin, ChunkError> {
        let view = self.view()?;
        let origin = &view.episode().origin;
        Ok(Origin {
            chunk: self.generation.at.chunk.get(),
            generation: self.generation.at.generation,
            slot: self.slot.get(),
            dataset: view.dataset().name.clone(),
            source: origin.source.clone(),
            episode: origin.key.clone(),
            step: view.step(),
        })
    }

    /// Marks the sample as delivered, for good.
    pub fn deliver(mut self) {
        self.is_done = true;
        self.generation.registration.count_delivered();
        self.generation.claims.deliver(self.slot);
    }

    /// Leaves the sample as a killed consumer does.
    #[cfg(test)]
    pub(crate) fn die(mut self) {
        self.is_done = true;
    }

    /// Marks a sample that cannot be read as used up: nobody else could read it either.
    pub fn give_up(mut self) {
        self.is_done = true;
        self.generation.registration.count_bad();
        self.generation.claims.deliver(self.slot);
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if !self.is_done {
            self.generation.claims.give_back(self.slot);
        }
    }
}

/// Whether a chunk may be read later: the system could not open it, or its images have no stored embeddings
/// yet, and it is neither gone nor damaged.
fn may_pass(error: &BufferError) -> bool {
    match error {
        BufferError::Chunk { source: ChunkError::File { source, .. }, .. } => {
            source.kind() != std::io::ErrorKind::NotFound
        }
        // Somebody may embed it yet.
        BufferError::Io { .. } | BufferError::NoImageEmbeddings { .. } => true,
        _ => false,
    }
}
