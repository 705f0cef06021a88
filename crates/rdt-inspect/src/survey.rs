//! What the tables of all chunks say together: which steps of which episodes are stored,
//! in how many bytes, in which forms. Reads headers, tables and metadata, never frames.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use memmap2::Mmap;
use rdt_buffer::{BitCounts, Buffer, BufferState, ChunkId, over_chunks};
use rdt_chunk::Chunk;
use rdt_schema::{CameraSlot, Origin, in_full};

use crate::error::Result;

/// Wordings of instructions kept as examples.
const EXAMPLES: usize = 3;

/// A buffer as its chunks describe it.
#[derive(Debug, Default)]
pub struct Survey {
    /// Chunks that were read.
    pub chunks: u64,
    /// Samples in them.
    pub samples: u64,
    /// Length of the chunk files.
    pub bytes: u64,
    /// Of these, encoded frames.
    pub frame_bytes: u64,
    /// Frames.
    pub frames: u64,
    /// Episodes of each chunk, added up over the chunks.
    pub chunk_episodes: u64,
    /// Runs of consecutive steps of an episode in a chunk, added up over the chunks.
    pub runs: u64,
    /// How often each generation occurs.
    pub generations: BTreeMap<u64, u64>,
    /// Dirty bits of the chunks whose bits can be read.
    pub bits: BitCounts,
    /// Chunks that were read and whose bits could not be, with the reason.
    pub unread_bits: Vec<(ChunkId, String)>,
    /// In the order of the manifest's data sets.
    pub datasets: Vec<DatasetSurvey>,
    /// Chunks that could not be read, with the reason.
    pub unread: Vec<(ChunkId, String)>,
}

/// One data set of a [`Survey`].
#[derive(Debug, Default)]
pub struct DatasetSurvey {
    /// Samples stored.
    pub samples: u64,
    /// Distinct steps stored.
    pub distinct_steps: u64,
    /// Episodes of which at least one step is stored.
    pub episodes: u64,
    /// Forms of frames seen at the first sample of each episode.
    pub frame_forms: BTreeSet<FrameSize>,
    /// Distinct first wordings.
    pub instructions: u64,
    /// Some of them.
    pub examples: Vec<String>,
}

/// Size and codec of frames.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct FrameSize {
    /// Camera slot.
    #[serde(rename = "camera")]
    pub slot: CameraSlot,
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// How they are stored.
    pub codec: &'static str,
}

/// What one chunk holds.
struct ChunkSurvey {
    samples: u64,
    bytes: u64,
    frame_bytes: u64,
    frames: u64,
    generation: u64,
    /// Payload and bits are apart: without its bits a chunk is whole all the same.
    bits: std::result::Result<BitCounts, String>,
    episodes: Vec<EpisodeSurvey>,
}

struct EpisodeSurvey {
    dataset: usize,
    origin: Origin,
    instruction: String,
    steps: Vec<u32>,
    frame_forms: Vec<FrameSize>,
}

impl Survey {
    /// Reads the tables of all chunks that are there.
    ///
    /// # Errors
    /// The folder of chunks cannot be listed. A chunk that cannot be read is named in
    /// [`Survey::unread`].
    pub fn of(buffer: &Buffer) -> Result<Self> {
        let chunks = buffer.published_chunks()?;
        let missing = missing_chunks(buffer, &chunks);
        let surveys = over_chunks(&chunks, None, |id| ChunkSurvey::of(buffer, id));
        let mut survey = Self::default();
        survey.datasets.resize_with(buffer.manifest().datasets.len(), DatasetSurvey::default);
        let mut stored: HashMap<(usize, Origin), StepSet> = HashMap::new();
        let mut wordings: BTreeSet<(usize, String)> = BTreeSet::new();
        for (id, chunk) in chunks.into_iter().zip(surveys) {
            match chunk {
                Ok(chunk) => survey.add(id, chunk, &mut stored, &mut wordings),
                Err(error) => survey.unread.push((id, in_full(&error))),
            }
        }
        survey.unread.extend(missing);
        survey.unread.sort_by_key(|(id, _)| *id);
        for ((dataset, _), steps) in stored {
            survey.datasets[dataset].episodes += 1;
            survey.datasets[dataset].distinct_steps += steps.len();
        }
        for (dataset, wording) in wordings {
            let dataset = &mut survey.datasets[dataset];
            dataset.instructions += 1;
            if dataset.examples.len() < EXAMPLES {
                dataset.examples.push(wording);
            }
        }
        Ok(survey)
    }

    fn add(
        &mut self,
        id: ChunkId,
        chunk: ChunkSurvey,
        stored: &mut HashMap<(usize, Origin), StepSet>,
        wordings: &mut BTreeSet<(usize, String)>,
    ) {
        self.chunks += 1;
        self.samples += chunk.samples;
        self.bytes += chunk.bytes;
        self.frame_bytes += chunk.frame_bytes;
        self.frames += chunk.frames;
        *self.generations.entry(chunk.generation).or_default() += 1;
        match chunk.bits {
            Ok(bits) => self.bits = self.bits.plus(bits),
            Err(reason) => self.unread_bits.push((id, reason)),
        }
        self.chunk_episodes += chunk.episodes.len() as u64;
        for episode in chunk.episodes {
            let breaks = episode.steps.windows(2).filter(|pair| pair[0].checked_add(1) != Some(pair[1]));
            self.runs += 1 + breaks.count() as u64;
            let dataset = &mut self.datasets[episode.dataset];
            dataset.samples += episode.steps.len() as u64;
            dataset.frame_forms.extend(episode.frame_forms);
            wordings.insert((episode.dataset, episode.instruction));
            stored.entry((episode.dataset, episode.origin)).or_default().extend(&episode.steps);
        }
    }
}

/// Chunks that a complete buffer should have and does not, with a reason.
pub fn missing_chunks(buffer: &Buffer, published: &[ChunkId]) -> Vec<(ChunkId, String)> {
    if buffer.manifest().state != BufferState::Complete {
        return Vec::new();
    }
    let there: HashSet<ChunkId> = published.iter().copied().collect();
    let all = (0..buffer.chunk_count()).filter_map(|id| u32::try_from(id).ok()).map(ChunkId::new);
    all.filter(|id| !there.contains(id))
        .map(|id| (id, format!("{} is missing", buffer.chunk_path(id).display())))
        .collect()
}

impl ChunkSurvey {
    fn of(buffer: &Buffer, id: ChunkId) -> Result<Self> {
        let chunk = buffer.map(id)?;
        let header = *chunk.header();
        Ok(Self {
            samples: header.samples.into(),
            bytes: header.file_bytes(),
            frame_bytes: header.frame_bytes(),
            frames: header.frames.into(),
            generation: header.generation,
            bits: buffer.bits_of(id).map_err(|error| in_full(&error)),
            episodes: episodes(&chunk)?,
        })
    }
}

fn episodes(chunk: &Chunk<Mmap>) -> Result<Vec<EpisodeSurvey>> {
    let mut episodes: BTreeMap<u32, EpisodeSurvey> = BTreeMap::new();
    for slot in 0..chunk.header().samples {
        let view = chunk.sample(slot)?;
        let episode = episodes.entry(view.episode_index()).or_insert_with(|| {
            let sizes = CameraSlot::ALL.into_iter().filter_map(|slot| {
                let frame = view.frame(slot, 0)?;
                let (height, width) = (frame.form.height, frame.form.width);
                Some(FrameSize { slot, height, width, codec: frame.codec.name() })
            });
            EpisodeSurvey {
                dataset: view.dataset_index().into(),
                origin: view.episode().origin.clone(),
                instruction: view.instructions().first().map(|i| i.text.clone()).unwrap_or_default(),
                steps: Vec::new(),
                frame_forms: sizes.collect(),
            }
        });
        episode.steps.push(view.step());
    }
    Ok(episodes.into_values().collect())
}

/// Steps of one episode, a bit each.
#[derive(Default)]
struct StepSet(Vec<u64>);

impl StepSet {
    fn extend(&mut self, steps: &[u32]) {
        for &step in steps {
            let (word, bit) = (step as usize / 64, step % 64);
            if self.0.len() <= word {
                self.0.resize(word + 1, 0);
            }
            self.0[word] |= 1 << bit;
        }
    }

    fn len(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_counts_once() {
        let mut set = StepSet::default();
        set.extend(&[0, 63, 64, 200, 64]);
        set.extend(&[0, 1]);
        assert_eq!(set.len(), 5);
    }
}
