//! Which episode each sample of a buffer is of, in memory that grows with runs, not with samples.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use rdt_buffer::{Buffer, over_chunks};

use crate::error::{Context, Result};

/// Episodes of the samples of a buffer, real or imagined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    samples: u64,
    chunk_size: u32,
    /// Where runs of samples of one episode begin, ascending from 0, and whose they are.
    runs: Vec<(u64, u32)>,
    /// Samples of each episode.
    lengths: Vec<u32>,
}

impl Layout {
    /// That of a buffer: the tables of all chunks are read.
    ///
    /// # Errors
    /// A chunk cannot be read.
    pub fn of(buffer: &Buffer) -> Result<Self> {
        let chunks = buffer.published_chunks()?;
        let read = over_chunks(&chunks, None, |id| -> Result<Vec<(u64, u64)>> {
            let chunk = buffer.map(id)?;
            let episodes = chunk.episodes()?;
            let mut runs: Vec<(u64, u64)> = Vec::new();
            let mut before = None;
            for slot in 0..chunk.header().samples {
                let view = chunk.sample(slot)?;
                if before != Some(view.episode_index()) {
                    before = Some(view.episode_index());
                    let episode = &episodes[view.episode_index() as usize];
                    let mut hasher = DefaultHasher::new();
                    (episode.dataset, &episode.info.origin.source, &episode.info.origin.key)
                        .hash(&mut hasher);
                    let hash = hasher.finish();
                    runs.push((
                        u64::from(id.get()) * u64::from(buffer.manifest().chunk_size) + u64::from(slot),
                        hash,
                    ));
                }
            }
            Ok(runs)
        });
        let mut layout = Self {
            samples: buffer.sample_count(),
            chunk_size: buffer.manifest().chunk_size,
            runs: Vec::new(),
            lengths: Vec::new(),
        };
        let mut known = HashMap::new();
        for (id, runs) in chunks.iter().zip(read) {
            for (start, hash) in runs.with_context(|| format!("chunk {id} cannot be read"))? {
                let next = known.len() as u32;
                layout.push(start, *known.entry(hash).or_insert(next));
            }
        }
        layout.count();
        Ok(layout)
    }

    /// Episodes of these lengths in order.
    pub fn in_order(lengths: &[u32], chunk_size: u32) -> Self {
        let mut layout = Self { samples: 0, chunk_size, runs: Vec::new(), lengths: lengths.to_vec() };
        for (episode, &length) in (0..).zip(lengths) {
            if length > 0 {
                layout.runs.push((layout.samples, episode));
                layout.samples += u64::from(length);
            }
        }
        layout
    }

    /// Episodes of these lengths, spread over chunks as a fill does it.
    #[cfg(feature = "hdf5")]
    pub fn spread(lengths: &[u32], chunk_size: u32, seed: u64, spread: rdt_producer::Spread) -> Self {
        let in_order = Self::in_order(lengths, chunk_size);
        let mut layout = Self { runs: Vec::new(), ..in_order.clone() };
        let size = u64::from(chunk_size);
        let chunks = in_order.samples.div_ceil(size);
        let starts: Vec<u64> = in_order.runs.iter().map(|run| run.0).collect();
        let mut chunk = 0;
        while chunk < chunks {
            let open = rdt_producer::spread::group(chunk, chunks, spread.chunks.get());
            let samples = open.start * size..(open.end * size).min(in_order.samples);
            let first = starts.partition_point(|&start| start <= samples.start).saturating_sub(1);
            let stretches = in_order.runs[first..].iter().take_while(|run| run.0 < samples.end).map(|run| {
                let length = u64::from(lengths[run.1 as usize]);
                let from = samples.start.saturating_sub(run.0).min(length) as u32;
                (run.1, from..(samples.end - run.0).min(length) as u32)
            });
            let dealt = rdt_producer::spread::deal(spread, seed, open.clone(), stretches);
            // Runs of a group lie end to end; a chunk's are then sorted by episode.
            let (mut at, mut parts): (u64, Vec<(u32, u32, u32)>) = (0, Vec::new());
            for (episode, run) in dealt {
                let mut start = run.start;
                while start < run.end {
                    let room = (size - at % size).min(u64::from(run.end - start)) as u32;
                    parts.push((episode, start, room));
                    at += u64::from(room);
                    start += room;
                    if at.is_multiple_of(size) {
                        layout.place(samples.start + at - size, &mut parts);
                    }
                }
            }
            layout.place(samples.start + at - at % size, &mut parts);
            chunk = open.end;
        }
        layout
    }

    /// Puts a chunk's parts (episode, first step, steps) at `start`, by episode and step.
    #[cfg(feature = "hdf5")]
    fn place(&mut self, mut start: u64, parts: &mut Vec<(u32, u32, u32)>) {
        parts.sort_unstable();
        for (episode, _, steps) in parts.drain(..) {
            self.push(start, episode);
            start += u64::from(steps);
        }
    }

    fn push(&mut self, start: u64, episode: u32) {
        if self.runs.last().is_none_or(|last| last.1 != episode) {
            self.runs.push((start, episode));
        }
    }

    fn count(&mut self) {
        let ends = self.runs.iter().skip(1).map(|run| run.0).chain([self.samples]);
        for (&(start, episode), end) in self.runs.iter().zip(ends) {
            if self.lengths.len() <= episode as usize {
                self.lengths.resize(episode as usize + 1, 0);
            }
            self.lengths[episode as usize] += (end - start) as u32;
        }
    }

    /// Samples.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Samples a chunk.
    pub fn chunk_size(&self) -> u32 {
        self.chunk_size
    }

    /// Samples of each episode.
    pub fn lengths(&self) -> &[u32] {
        &self.lengths
    }

    /// The same episodes in order, as another format would have them.
    #[must_use]
    pub fn sorted(&self) -> Self {
        Self::in_order(&self.lengths, self.chunk_size)
    }

    /// The episode of a sample.
    pub fn episode(&self, sample: u64) -> u32 {
        let at = self.runs.partition_point(|run| run.0 <= sample).saturating_sub(1);
        self.runs.get(at).map_or(0, |run| run.1)
    }
}
