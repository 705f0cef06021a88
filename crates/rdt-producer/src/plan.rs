//! What goes into which chunk: a pure function of the accepted episodes and the settings.
//!
//! The plan of a million episodes must fit easily, so an episode takes 40 bytes and its key, and
//! the content of a chunk is computed when it is asked for.

mod lookup;

use std::collections::BTreeSet;
use std::ops::Range;

use rdt_buffer::ChunkId;
use rdt_schema::draw;
use rdt_schema::statistics::StatisticsSum;
use rdt_schema::{Omission, Origin};

use crate::digest::Digest;
use crate::error::ProducerError;
use crate::event::StopFlag;
use crate::options::{Options, Sampling};
use crate::sources::{Fingerprint, Sources};
use crate::spread::{Spread, deal, group};

/// Draws that are counted before the stop flag is looked at again.
const DRAWS_BETWEEN_LOOKS: u64 = 1 << 16;

/// The plan of a fill.
#[derive(Debug)]
pub struct Plan {
    pub(crate) datasets: Vec<PlannedDataset>,
    files: Vec<PlannedFile>,
    episodes: Vec<PlannedEpisode>,
    /// Keys of all episodes, one behind the other.
    keys: String,
    /// Samples of all episodes up to and with each: the weights of random draws, as RDT weights by
    /// the length that is left after trimming. Empty unless sampling is random.
    lengths: Vec<u64>,
    settings: Settings,
    samples: u64,
    /// Files and episodes left out because something is wrong with them.
    pub skipped: Vec<Omission>,
    /// Episodes left out by design.
    pub filtered: Vec<Omission>,
    /// What every chunk's digest begins with.
    base: Digest,
}

/// A data set's part of a plan.
#[derive(Debug, Clone, Default)]
pub struct PlannedDataset {
    /// Its name.
    pub name: String,
    /// Files that the card's pattern found.
    pub files: u64,
    /// Accepted episodes.
    pub episodes: u64,
    /// Steps of the accepted episodes that are samples when all are taken.
    pub steps: u64,
    /// Samples in the buffer.
    pub samples: u64,
    /// Digest of name, length and time of change of all files.
    pub(crate) source_digest: String,
    /// Digest of files, episodes, card and extremes.
    pub digest: String,
    pub(crate) statistics: StatisticsSum,
}

/// Consecutive slots of a chunk that are steps of one episode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The episode's place in the plan.
    pub(crate) episode: usize,
    /// Data set index.
    pub dataset: u16,
    /// Steps, in the order of the slots; repeated where sampling is random.
    pub steps: Vec<u32>,
}

/// What the settings say about the layout.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) chunk_size: u32,
    pub(crate) sampling: Sampling,
    pub(crate) spread: Option<Spread>,
    pub(crate) num_chunks: Option<u32>,
    pub(crate) seed: u64,
}

#[derive(Debug, Clone, Copy)]
struct PlannedFile {
    dataset: u16,
    /// Place in the data set's list of files.
    index: u32,
    fingerprint: Fingerprint,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct PlannedEpisode {
    /// Position of its first sample among all samples in order.
    start: u64,
    file: u32,
    key_start: u64,
    key_bytes: u32,
    first_step: u32,
    samples: u32,
    steps: u32,
}

/// An accepted episode, as the scan hands it over.
#[derive(Debug, Clone)]
pub(crate) struct NewEpisode {
    pub(crate) key: String,
    pub(crate) first_step: u32,
    pub(crate) samples: u32,
    pub(crate) steps: u32,
}

impl Plan {
    /// A plan without episodes.
    pub(crate) fn new(sources: &Sources, options: &Options) -> Self {
        let mut base = Digest::new("rdt chunk content v1");
        base.number(u64::from(options.chunk_size)).text(&options.frames.codec.to_string());
        if let Some(size) = options.frames.size {
            base.text("frame size").number(size.into());
        }
        for schema in sources.schemas() {
            base.text(&format!("{schema:?}"));
        }
        for source in &sources.list {
            base.text(source.card.text()).text(&source.extremes_json());
        }
        let dataset = |source: &crate::sources::Source| PlannedDataset {
            name: source.spec.name.clone(),
            files: source.dataset.files().len() as u64,
            ..PlannedDataset::default()
        };
        Self {
            datasets: sources.list.iter().map(dataset).collect(),
            files: Vec::new(),
            episodes: Vec::new(),
            keys: String::new(),
            lengths: Vec::new(),
            settings: Settings {
                chunk_size: options.chunk_size.max(1),
                sampling: options.sampling,
                spread: options.spread,
                num_chunks: options.num_chunks,
                seed: options.seed,
            },
            samples: 0,
            skipped: Vec::new(),
            filtered: Vec::new(),
            base,
        }
    }

    /// Adds a file and its accepted episodes. Files come in order.
    pub(crate) fn add_file(
        &mut self,
        dataset: u16,
        index: u32,
        fingerprint: Fingerprint,
        episodes: &[NewEpisode],
    ) {
        let file = self.files.len() as u32;
        self.files.push(PlannedFile { dataset, index, fingerprint });
        for episode in episodes {
            let key_start = self.keys.len() as u64;
            self.keys.push_str(&episode.key);
            self.episodes.push(PlannedEpisode {
                start: 0,
                file,
                key_start,
                key_bytes: episode.key.len() as u32,
                first_step: episode.first_step,
                samples: episode.samples,
                steps: episode.steps,
            });
        }
    }

    /// Computes everything that follows from the episodes.
    ///
    /// # Errors
    /// There are more samples than chunk numbers allow, or than `--num-chunks` does; somebody asked
    /// to stop.
    pub(crate) fn settle(&mut self, sources: &Sources, stop: &StopFlag) -> Result<(), ProducerError> {
        let mut start = 0;
        for dataset in &mut self.datasets {
            (dataset.episodes, dataset.steps, dataset.samples) = (0, 0, 0);
        }
        for episode in &mut self.episodes {
            episode.start = start;
            start += u64::from(episode.samples);
            let dataset = &mut self.datasets[usize::from(self.files[episode.file as usize].dataset)];
            dataset.episodes += 1;
            dataset.steps += u64::from(episode.samples);
        }
        match self.settings.sampling {
            Sampling::All => {
                self.samples = start;
                self.datasets.iter_mut().for_each(|dataset| dataset.samples = dataset.steps);
            }
            Sampling::Random => self.settle_draws(start, stop)?,
        }
        let needed = self.chunk_count();
        let chunk_size = self.settings.chunk_size;
        if needed > u64::from(u32::MAX) {
            return Err(ProducerError::TooManyChunks { samples: self.samples, needed, chunk_size });
        }
        if let Some(limit) = self.settings.num_chunks.filter(|&limit| needed > u64::from(limit)) {
            return Err(ProducerError::TooFewChunks { limit, needed, samples: self.samples, chunk_size });
        }
        self.digest_datasets(sources);
        Ok(())
    }

    fn settle_draws(&mut self, all_steps: u64, stop: &StopFlag) -> Result<(), ProducerError> {
        let mut sum = 0;
        self.lengths.clear();
        for episode in &self.episodes {
            sum += u64::from(episode.samples);
            self.lengths.push(sum);
        }
        let chunk_size = u64::from(self.settings.chunk_size);
        self.samples = match self.settings.num_chunks {
            Some(chunks) if all_steps > 0 => u64::from(chunks) * chunk_size,
            _ => all_steps,
        };
        for draw in 0..self.samples {
            if draw % DRAWS_BETWEEN_LOOKS == 0 && stop.is_set() {
                return Err(ProducerError::InterruptedWhilePlanning);
            }
            let (episode, _) = self.draw(draw);
            let file = self.episodes[episode].file;
            self.datasets[usize::from(self.files[file as usize].dataset)].samples += 1;
        }
        Ok(())
    }

    fn digest_datasets(&mut self, sources: &Sources) {
        let mut digests: Vec<Digest> = self.datasets.iter().map(|_| Digest::new("rdt data set v1")).collect();
        for (source, digest) in sources.list.iter().zip(&mut digests) {
            digest.text(&format!("{:?}", source.dataset.schema()));
            digest.text(source.card.text()).text(&source.extremes_json());
        }
        for episode in &self.episodes {
            let file = &self.files[episode.file as usize];
            let digest = &mut digests[usize::from(file.dataset)];
            digest_file(digest, sources, file);
            digest.text(self.key(episode));
            for number in [episode.first_step, episode.samples, episode.steps] {
                digest.number(u64::from(number));
            }
        }
        for (dataset, digest) in self.datasets.iter_mut().zip(digests) {
            dataset.digest = digest.finish_hex();
        }
        for (index, (dataset, source)) in (0u16..).zip(self.datasets.iter_mut().zip(&sources.list)) {
            let files = self.files.iter().filter(|file| file.dataset == index);
            dataset.source_digest = source.digest_of(files.map(|file| file.fingerprint));
        }
    }

    /// Samples of the whole plan.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Accepted episodes.
    pub fn episodes(&self) -> u64 {
        self.episodes.len() as u64
    }

    /// Chunks of the whole plan.
    pub fn chunk_count(&self) -> u64 {
        self.samples.div_ceil(u64::from(self.settings.chunk_size))
    }

    /// The data sets' parts.
    pub fn datasets(&self) -> &[PlannedDataset] {
        &self.datasets
    }

    /// File and key of a piece's episode.
    pub fn origin(&self, sources: &Sources, piece: &Piece) -> Origin {
        let episode = &self.episodes[piece.episode];
        let file = &self.files[episode.file as usize];
        let source = &sources.list[usize::from(file.dataset)];
        Origin { source: source.dataset.files()[file.index as usize].clone(), key: self.key(episode).into() }
    }

    /// What tells that a piece's file is still the one that was scanned, and its place in the
    /// plan.
    pub(crate) fn file_of(&self, piece: &Piece) -> (u32, Fingerprint) {
        let file = self.episodes[piece.episode].file;
        (file, self.files[file as usize].fingerprint)
    }

    /// First step and number of steps of a piece's episode that are samples.
    pub(crate) fn sample_steps(&self, piece: &Piece) -> (u32, u32) {
        let episode = &self.episodes[piece.episode];
        (episode.first_step, episode.samples)
    }

    /// What chunk `id` holds, slot by slot. Empty past the last chunk.
    pub fn pieces(&self, id: ChunkId) -> Vec<Piece> {
        let size = u64::from(self.settings.chunk_size);
        let start = (u64::from(id.get()) * size).min(self.samples);
        let end = (start + size).min(self.samples);
        match (self.settings.sampling, self.settings.spread) {
            (Sampling::All, None) => self.pieces_in_order(start, end),
            (Sampling::All, Some(spread)) => self.pieces_spread(id, spread),
            (Sampling::Random, _) => self.pieces_drawn(start, end),
        }
    }

    /// Sample number `sample` where every step is taken once, in order: a piece of one step. None past
    /// the end.
    pub fn piece_of(&self, sample: u64) -> Option<Piece> {
        let end = sample.checked_add(1).filter(|&end| end <= self.samples)?;
        self.pieces_in_order(sample, end).pop()
    }

    fn pieces_in_order(&self, start: u64, end: u64) -> Vec<Piece> {
        self.stretches(start, end).map(|(episode, steps)| self.piece(episode, steps.collect())).collect()
    }

    /// The episodes whose samples lie at positions `start..end` of all samples in order, with the
    /// steps that do.
    fn stretches(&self, start: u64, end: u64) -> impl Iterator<Item = (usize, Range<u32>)> + '_ {
        let first = self.episodes.partition_point(|episode| episode.start <= start).saturating_sub(1);
        let rest = self.episodes.iter().enumerate().skip(first);
        rest.take_while(move |(_, episode)| episode.start < end).filter_map(move |(index, episode)| {
            let from = start.saturating_sub(episode.start).min(episode.samples.into()) as u32;
            let to = (end - episode.start).min(episode.samples.into()) as u32;
            (from < to).then(|| (index, episode.first_step + from..episode.first_step + to))
        })
    }

    /// The samples of the chunks that are open together are cut into runs and dealt to them. Laid
    /// end to end, chunk after chunk, the runs are cut where a chunk is full, so that each is, as
    /// runs are not all of one length. A chunk's part is sorted, so that each episode is read once.
    fn pieces_spread(&self, id: ChunkId, spread: Spread) -> Vec<Piece> {
        let size = u64::from(self.settings.chunk_size);
        let chunk = u64::from(id.get());
        if chunk >= self.chunk_count() {
            return Vec::new();
        }
        let open = group(chunk, self.chunk_count(), spread.chunks.get());
        let samples = open.start * size..(open.end * size).min(self.samples);
        let dealt =
            deal(spread, self.settings.seed, open.clone(), self.stretches(samples.start, samples.end));
        let wanted = (chunk - open.start) * size..(chunk - open.start + 1) * size;
        let mut position = 0;
        let mut kept: Vec<(usize, Range<u32>)> = Vec::new();
        for (episode, run) in dealt {
            let length = u64::from(run.end - run.start);
            let from = wanted.start.saturating_sub(position).min(length) as u32;
            let to = wanted.end.saturating_sub(position).min(length) as u32;
            if from < to {
                kept.push((episode, run.start + from..run.start + to));
            }
            position += length;
        }
        kept.sort_unstable_by_key(|(episode, run)| (*episode, run.start));
        kept.chunk_by(|a, b| a.0 == b.0)
            .map(|runs| self.piece(runs[0].0, runs.iter().flat_map(|(_, run)| run.clone()).collect()))
            .collect()
    }

    /// Draws of a chunk are sorted, so that each episode is read once and its frames are stored
    /// once; the draws are independent, so their order says nothing.
    fn pieces_drawn(&self, start: u64, end: u64) -> Vec<Piece> {
        let mut draws: Vec<(usize, u32)> = (start..end).map(|draw| self.draw(draw)).collect();
        draws.sort_unstable();
        draws
            .chunk_by(|a, b| a.0 == b.0)
            .map(|group| self.piece(group[0].0, group.iter().map(|&(_, step)| step).collect()))
            .collect()
    }

    /// Draw number `draw`: an episode by its length, and a step of it.
    fn draw(&self, draw: u64) -> (usize, u32) {
        let total = self.lengths.last().copied().unwrap_or(0);
        let seed = self.settings.seed;
        let at = draw::below(draw::bits(seed, 0, draw), total);
        let index = self.lengths.partition_point(|&sum| sum <= at);
        let episode = &self.episodes[index];
        let step = draw::below(draw::bits(seed, 1, draw), u64::from(episode.samples));
        (index, episode.first_step + step as u32)
    }

    fn piece(&self, episode: usize, steps: Vec<u32>) -> Piece {
        let file = self.episodes[episode].file;
        Piece { episode, dataset: self.files[file as usize].dataset, steps }
    }

    /// Digest of everything that decides the bytes of a chunk.
    pub(crate) fn chunk_digest(&self, sources: &Sources, id: ChunkId) -> [u8; 16] {
        let mut digest = self.base.clone();
        digest.number(u64::from(id.get()));
        for piece in self.pieces(id) {
            let episode = &self.episodes[piece.episode];
            digest_file(&mut digest, sources, &self.files[episode.file as usize]);
            digest.text(self.key(episode)).steps(&piece.steps);
        }
        digest.finish()
    }

    /// Digest of the whole plan.
    pub(crate) fn digest(&self) -> String {
        let mut digest = self.base.clone();
        digest.text(self.settings.sampling.name()).number(self.settings.seed).number(self.samples);
        for dataset in &self.datasets {
            digest.text(&dataset.digest);
        }
        // Nothing is added in order, so that buffers made before there was a spread fit.
        if let Some(spread) = self.settings.spread {
            digest.text("spread").number(spread.chunks.get().into()).number(spread.run_length.get().into());
        }
        digest.finish_hex()
    }

    /// Takes out episodes that were found bad while writing; [`Plan::settle`] must follow.
    pub(crate) fn remove(&mut self, bad: &[usize]) {
        let bad: BTreeSet<usize> = bad.iter().copied().collect();
        let mut index = 0;
        self.episodes.retain(|_| {
            index += 1;
            !bad.contains(&(index - 1))
        });
    }

    fn key(&self, episode: &PlannedEpisode) -> &str {
        let start = episode.key_start as usize;
        self.keys.get(start..start + episode.key_bytes as usize).unwrap_or_default()
    }
}

fn digest_file(digest: &mut Digest, sources: &Sources, file: &PlannedFile) {
    let name = &sources.list[usize::from(file.dataset)].dataset.files()[file.index as usize];
    digest.number(u64::from(file.dataset)).text(name);
    digest.number(file.fingerprint.bytes).number(file.fingerprint.modified_ns);
}
