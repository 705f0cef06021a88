//! Samples of a plan straight from their source files, without a buffer.
//!
//! A sample comes as a chunk of one slot in memory, written by what writes a fill's chunks. So it
//! is read by the same code as one of a buffer, and rows, frames, numbers of samples and
//! statistics are those of a buffer that is filled from the same files.
//!
//! Opened episodes are kept, a bounded number of them: random access meets an episode again and
//! again, and opening one takes longer than reading a sample. Pixels are never kept.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::{Arc, Mutex, PoisonError};

use rdt_buffer::{ChunkId, ReadError, SampleId, Samples, SlotIndex, Take, TellOrigin};
use rdt_chunk::{Chunk, ChunkSpec, ChunkWriter, ImageCodec};
use rdt_episode::{Episode, Verdict};
use rdt_schema::{CameraSlot, DataAbout, DatasetAbout, DatasetSchema, FrameEncoding, TextFile};

use crate::error::ProducerError;
use crate::event::{Event, StopFlag};
use crate::options::Options;
use crate::plan::{Piece, Plan, PlannedDataset};
use crate::scan::scan;
use crate::sources::{Source, Sources};
use crate::worker::FIRST_GENERATION;

/// Episodes kept open; each holds two descriptors, and a process has 1,024 by default.
const OPEN_EPISODES: usize = 128;

/// The samples of a plan, read by any number of threads.
#[derive(Debug)]
pub struct DirectSamples {
    sources: Sources,
    schemas: Vec<DatasetSchema>,
    plan: Plan,
    state_means: Vec<Vec<f64>>,
    open: Mutex<OpenEpisodes>,
}

#[derive(Debug, Default)]
struct OpenEpisodes {
    /// By place in the plan, with when it was last asked for.
    episodes: HashMap<usize, (Arc<Episode>, u64)>,
    asked: u64,
}

impl DirectSamples {
    /// Scans the data sets of `options`, as a fill does before it writes. Where a card scales by the
    /// extremes of its data, they are those that `known` has of a data set of the name, else of these
    /// files.
    ///
    /// # Errors
    /// As [`scan`]; or a data set cannot be opened.
    pub fn scan(
        options: &Options,
        known: Option<&DataAbout>,
        stop: &StopFlag,
        watch: &(dyn Fn(Event<'_>) + Sync),
    ) -> Result<Self, ProducerError> {
        let mut sources = Sources::open(options)?;
        for source in &mut sources.list {
            let known = known.and_then(|known| known.dataset(&source.spec.name)?.extremes.as_ref());
            source.prepare(known, stop)?;
        }
        let plan = scan(&sources, options, &[], stop, watch)?;
        let statistics = plan.datasets().iter().map(|dataset| dataset.statistics.finish(&dataset.name));
        let state_means = statistics.map(|of| of.state_mean).collect();
        Ok(Self { schemas: sources.schemas(), sources, plan, state_means, open: Mutex::default() })
    }

    /// What was found.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Digest of the plan: that of a buffer which is filled with the same options.
    pub fn digest(&self) -> String {
        self.plan.digest()
    }

    /// What is to be known of the data beside its samples.
    pub fn about(&self) -> DataAbout {
        let of = |(source, dataset): (&Source, &PlannedDataset)| DatasetAbout {
            schema: source.dataset.schema().clone(),
            card_name: source.spec.card.clone(),
            card: TextFile { path: source.card.path().to_owned(), text: source.card.text().to_owned() },
            extremes: source.extremes().cloned(),
            statistics: dataset.statistics.finish(&dataset.name),
        };
        let datasets = self.sources.list.iter().zip(self.plan.datasets()).map(of).collect();
        DataAbout::new(self.plan.samples(), self.plan.digest(), datasets)
    }

    /// A chunk whose slot 0 is sample number `sample`.
    fn chunk_of(&self, sample: u64) -> Result<Chunk<Vec<u8>>, ProducerError> {
        let piece = self.piece(sample)?;
        let episode = self.episode(&piece)?;
        let spec = ChunkSpec { chunk: 0, generation: FIRST_GENERATION, capacity: 1, plan_digest: [0; 16] };
        let mut writer =
            ChunkWriter::create(Cursor::new(Vec::new()), spec, codec(&episode), self.schemas.clone())?;
        writer.add_episode::<ProducerError>(
            piece.dataset,
            episode.info().clone(),
            episode.states(),
            episode.actions(),
            &piece.steps,
            &mut |slot, frame, bytes| Ok(episode.frame(slot, frame, bytes)?),
        )?;
        let (file, _) = writer.finish()?;
        Ok(Chunk::open(file.into_inner())?)
    }

    fn piece(&self, sample: u64) -> Result<Piece, ProducerError> {
        let samples = self.plan.samples();
        self.plan.piece_of(sample).ok_or(ProducerError::NoSuchSample { sample, samples })
    }

    fn episode(&self, piece: &Piece) -> Result<Arc<Episode>, ProducerError> {
        if let Some(episode) = self.opened().get(piece.episode) {
            return Ok(episode);
        }
        // Opened outside the lock: another thread may open the same one, which does no harm.
        let episode = Arc::new(self.open_episode(piece)?);
        self.opened().put(piece.episode, Arc::clone(&episode));
        Ok(episode)
    }

    /// A panic elsewhere leaves the table whole, so a poisoned lock is taken as it is.
    fn opened(&self) -> std::sync::MutexGuard<'_, OpenEpisodes> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_episode(&self, piece: &Piece) -> Result<Episode, ProducerError> {
        let origin = self.plan.origin(&self.sources, piece);
        let source = &self.sources.list[usize::from(piece.dataset)];
        let changed = |change: String| ProducerError::ChangedSinceScan {
            file: source.path(&origin.source),
            key: origin.key.clone(),
            change,
        };
        let (_, fingerprint) = self.plan.file_of(piece);
        if source.fingerprint(&origin.source) != Some(fingerprint) {
            return Err(changed("its length or time of change is another".into()));
        }
        let episode = match source.dataset.open_file(&origin.source)?.episode(&origin.key)? {
            Verdict::Accepted(episode) => *episode,
            Verdict::Filtered(reason) => return Err(changed(format!("it would now be filtered: {reason}"))),
        };
        let mut steps = episode.sample_steps(&self.schemas[usize::from(piece.dataset)]);
        let found = (steps.next().unwrap_or(0), 1 + steps.count() as u32);
        if found != self.plan.sample_steps(piece) {
            return Err(changed("its steps are others now".into()));
        }
        Ok(episode)
    }
}

impl Samples for DirectSamples {
    fn sample_count(&self) -> u64 {
        self.plan.samples()
    }

    fn datasets(&self) -> Vec<&DatasetSchema> {
        self.schemas.iter().collect()
    }

    fn state_means(&self) -> Vec<&[f64]> {
        self.state_means.iter().map(Vec::as_slice).collect()
    }

    fn read(&self, id: SampleId, take: &mut Take<'_>) -> Result<(), ReadError> {
        let chunk = self.chunk_of(id.get()).map_err(unreadable)?;
        take(&chunk.sample(0)?);
        Ok(())
    }

    /// The frames of a sample lie anywhere in its file: nothing is announced.
    fn will_need(&self, _id: SampleId) {}

    fn place(&self, _id: SampleId) -> Option<(ChunkId, SlotIndex)> {
        None
    }

    fn tell_origin(&self, id: SampleId, tell: &mut TellOrigin<'_>) -> Result<(), ReadError> {
        let piece = self.piece(id.get()).map_err(unreadable)?;
        let step = piece.steps.first().copied().unwrap_or(0);
        tell(piece.dataset, &self.plan.origin(&self.sources, &piece), step);
        Ok(())
    }
}

fn unreadable(error: ProducerError) -> ReadError {
    ReadError::Source(Box::new(error))
}

/// JPEGs pass through and are decoded only if they are shown; pixels are not compressed for the
/// moment between writing and reading.
fn codec(episode: &Episode) -> ImageCodec {
    let is_jpeg = |slot: &CameraSlot| episode.encoding(*slot) == Some(FrameEncoding::Jpeg);
    if CameraSlot::ALL.iter().any(is_jpeg) { ImageCodec::Auto } else { ImageCodec::Raw }
}

impl OpenEpisodes {
    fn get(&mut self, episode: usize) -> Option<Arc<Episode>> {
        self.asked += 1;
        let asked = self.asked;
        let (episode, last) = self.episodes.get_mut(&episode)?;
        *last = asked;
        Some(Arc::clone(episode))
    }

    fn put(&mut self, episode: usize, opened: Arc<Episode>) {
        while self.episodes.len() >= OPEN_EPISODES {
            let oldest = self.episodes.iter().min_by_key(|(_, (_, last))| *last).map(|(&place, _)| place);
            let Some(oldest) = oldest else { break };
            self.episodes.remove(&oldest);
        }
        self.episodes.insert(episode, (opened, self.asked));
    }
}
