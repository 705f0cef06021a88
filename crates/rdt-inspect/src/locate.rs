//! Which sample a command is about: by its number, or by its episode and step.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use memmap2::Mmap;
use rdt_buffer::{Buffer, ChunkId, SampleId, SlotIndex};
use rdt_chunk::{Chunk, SampleView};
use rdt_schema::{Origin, Setting, in_full};

use crate::error::{Context, InspectError, Result};
use crate::number::grouped;

/// Most episodes named as hints.
const HINTS: usize = 5;

/// What names a sample: its number, or its episode and step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Which {
    /// Sample id: chunk x chunk size + slot.
    pub index: Option<u64>,
    /// Episode: file relative to the data set's path, and key inside it, as `FILE:KEY` (KEY empty where
    /// a file is an episode).
    pub episode: Option<String>,
    /// Step of the episode, counted as in the source.
    pub step: Option<u32>,
    /// Data set, where several have such an episode.
    pub dataset: Option<String>,
}

/// A sample of a buffer.
#[derive(Debug)]
pub struct Located {
    /// Its number.
    pub id: SampleId,
    /// Its chunk.
    pub chunk_id: ChunkId,
    /// Its place there.
    pub slot: SlotIndex,
    /// The chunk's file.
    pub path: PathBuf,
    /// The chunk, mapped.
    pub chunk: Arc<Chunk<Mmap>>,
}

impl Located {
    fn new(buffer: &Buffer, id: SampleId) -> Result<Self> {
        let (chunk_id, slot) = buffer.locate(id);
        Ok(Self { id, chunk_id, slot, path: buffer.chunk_path(chunk_id), chunk: buffer.chunk(chunk_id)? })
    }

    /// The sample.
    ///
    /// # Errors
    /// The chunk's tables are damaged, or it has no such slot.
    pub fn view(&self) -> Result<SampleView<'_>> {
        self.chunk.sample(self.slot.get()).with_context(|| {
            format!(
                "{} cannot be read from {}; rdt-buf verify lists all that is damaged",
                self.place(),
                self.path.display()
            )
        })
    }

    /// For a person: `sample 17 (chunk 00000000, slot 17)`.
    pub fn place(&self) -> String {
        format!("sample {} (chunk {}, slot {})", self.id, self.chunk_id, self.slot)
    }
}

impl Which {
    /// Finds the sample.
    ///
    /// # Errors
    /// There is none such: a usage error that names what there is instead. The chunk cannot
    /// be read.
    pub fn find(&self, buffer: &Buffer) -> Result<Located> {
        match (self.index, &self.episode, self.step) {
            (Some(index), _, _) => by_index(buffer, index),
            (None, Some(episode), Some(step)) => self.by_episode(buffer, episode, step),
            _ => Err(InspectError::Usage(format!(
                "which sample? give INDEX, or {} FILE:KEY with {} T",
                Setting::EPISODE,
                Setting::STEP
            ))),
        }
    }

    fn by_episode(&self, buffer: &Buffer, episode: &str, step: u32) -> Result<Located> {
        let datasets = &buffer.manifest().datasets;
        if let Some(name) = &self.dataset
            && !datasets.iter().any(|dataset| dataset.schema.name == *name)
        {
            let names: Vec<&str> = datasets.iter().map(|dataset| dataset.schema.name.as_str()).collect();
            return Err(InspectError::Usage(format!(
                "no data set {name} in {}; expected one of: {}",
                buffer.dir().display(),
                names.join(", ")
            )));
        }
        let wanted =
            |index: usize| self.dataset.as_ref().is_none_or(|name| datasets[index].schema.name == *name);
        let found = search(buffer, episode, step, &wanted)?;
        let mut names: Vec<&str> = found.matches.keys().map(|&d| datasets[d].schema.name.as_str()).collect();
        names.sort_unstable();
        match (found.hits.as_slice(), names.as_slice()) {
            (_, [_, _, ..]) => Err(InspectError::Usage(format!(
                "episode {episode} is in several data sets: {}; add {} NAME",
                names.join(", "),
                Setting::DATASET
            ))),
            ([id, ..], _) => Located::new(buffer, *id),
            ([], [name]) => {
                let steps = found.matches.values().next().map(Vec::as_slice).unwrap_or_default();
                Err(InspectError::Usage(format!(
                    "episode {episode} of {name} has no sample at step {step}; expected {}{}",
                    spans(steps),
                    found.unread_note()
                )))
            }
            ([], _) => Err(InspectError::Usage(found.nothing_such(buffer, episode))),
        }
    }
}

fn by_index(buffer: &Buffer, index: u64) -> Result<Located> {
    let count = buffer.sample_count();
    if index >= count {
        return Err(InspectError::Usage(format!(
            "sample {index} does not exist: {} holds {} samples, expected 0 to {}",
            buffer.dir().display(),
            grouped(count),
            count.saturating_sub(1)
        )));
    }
    Located::new(buffer, SampleId::new(index))
}

/// What a search through all chunks saw.
#[derive(Default)]
struct Found {
    /// Samples of the step asked for.
    hits: Vec<SampleId>,
    /// By data set: steps of the episode asked for that are stored.
    matches: BTreeMap<usize, Vec<u32>>,
    /// Other episodes, for hints.
    others: Vec<(usize, Origin)>,
    /// Chunks that could not be searched.
    unread: Vec<String>,
}

fn search(buffer: &Buffer, episode: &str, step: u32, wanted: &dyn Fn(usize) -> bool) -> Result<Found> {
    let only_dataset = (0..buffer.manifest().datasets.len()).filter(|&index| wanted(index)).count() == 1;
    let mut found = Found::default();
    for chunk_id in buffer.published_chunks()? {
        if let Err(error) = search_chunk(buffer, chunk_id, (episode, step), wanted, &mut found) {
            found.unread.push(format!("chunk {chunk_id}: {}", in_full(&error)));
        }
        if only_dataset && !found.hits.is_empty() {
            break;
        }
    }
    Ok(found)
}

fn search_chunk(
    buffer: &Buffer,
    chunk_id: ChunkId,
    (episode, step): (&str, u32),
    wanted: &dyn Fn(usize) -> bool,
    found: &mut Found,
) -> Result<()> {
    let chunk = buffer.map(chunk_id)?;
    let mut is_here = false;
    for stored in chunk.episodes()?.iter().filter(|stored| wanted(stored.dataset.into())) {
        if is_called(&stored.info.origin, episode) {
            is_here = true;
        } else {
            found.others.push((stored.dataset.into(), stored.info.origin.clone()));
        }
    }
    if !is_here {
        return Ok(());
    }
    for slot in 0..chunk.header().samples {
        let view = chunk.sample(slot)?;
        let dataset = usize::from(view.dataset_index());
        if wanted(dataset) && is_called(&view.episode().origin, episode) {
            found.matches.entry(dataset).or_default().push(view.step());
            if view.step() == step {
                let size = u64::from(buffer.manifest().chunk_size);
                found.hits.push(SampleId::new(u64::from(chunk_id.get()) * size + u64::from(slot)));
            }
        }
    }
    Ok(())
}

/// Whether `name` is `FILE:KEY` of `origin`; the colon may be missing where KEY is empty.
fn is_called(origin: &Origin, name: &str) -> bool {
    match name.strip_prefix(origin.source.as_str()) {
        Some("") => origin.key.is_empty(),
        Some(rest) => rest.strip_prefix(':') == Some(origin.key.as_str()),
        None => false,
    }
}

impl Found {
    fn nothing_such(&self, buffer: &Buffer, episode: &str) -> String {
        let manifest = buffer.manifest();
        let omissions = manifest.skipped.iter().zip(std::iter::repeat("skipped"));
        let omissions = omissions.chain(manifest.filtered.iter().zip(std::iter::repeat("filtered out")));
        for (omission, how) in omissions {
            let origin = Origin { source: omission.source.clone(), key: omission.episode.clone() };
            if is_called(&origin, episode) || (origin.key.is_empty() && episode.starts_with(&origin.source)) {
                return format!("episode {episode} is not in the buffer: it was {how}: {}", omission.reason);
            }
        }
        let mut names: Vec<String> = self.others.iter().map(|(_, origin)| origin.to_string()).collect();
        names.sort_unstable();
        names.dedup();
        let count = names.len() as u64;
        names.sort_by_key(|name| std::cmp::Reverse(likeness(name, episode)));
        names.truncate(HINTS);
        let nearest = if names.is_empty() {
            "there is none at all".to_owned()
        } else {
            format!("the nearest of {} are: {}", grouped(count), names.join(", "))
        };
        format!("no episode {episode} in {}; {nearest}{}", buffer.dir().display(), self.unread_note())
    }

    fn unread_note(&self) -> String {
        match self.unread.as_slice() {
            [] => String::new(),
            [first, ..] => format!("; {} chunks could not be searched, such as {first}", self.unread.len()),
        }
    }
}

/// Characters that two names share at their start and at their end.
fn likeness(a: &str, b: &str) -> usize {
    let start = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let end = a.bytes().rev().zip(b.bytes().rev()).take_while(|(a, b)| a == b).count();
    start + end
}

/// Steps as ranges: `steps 3 to 90, 95`.
fn spans(steps: &[u32]) -> String {
    let mut steps = steps.to_vec();
    steps.sort_unstable();
    steps.dedup();
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for step in steps {
        match runs.last_mut() {
            Some(run) if run.1.checked_add(1) == Some(step) => run.1 = step,
            _ => runs.push((step, step)),
        }
    }
    let more = runs.len().saturating_sub(HINTS);
    let shown = |&(first, last): &(u32, u32)| {
        if first == last { first.to_string() } else { format!("{first} to {last}") }
    };
    let text: Vec<String> = runs.iter().take(HINTS).map(shown).collect();
    let rest = if more == 0 { String::new() } else { format!(" and {more} more runs") };
    format!("step {}{rest}", text.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn episodes_are_called_by_file_and_key() {
        let of = |source: &str, key: &str| Origin { source: source.into(), key: key.into() };
        assert!(is_called(&of("a/b.hdf5", "data/demo_1"), "a/b.hdf5:data/demo_1"));
        assert!(!is_called(&of("a/b.hdf5", "data/demo_1"), "a/b.hdf5"));
        assert!(!is_called(&of("a/b.hdf5", "data/demo_1"), "a/b.hdf5:data/demo_11"));
        assert!(is_called(&of("a/b.hdf5", ""), "a/b.hdf5"));
        assert!(is_called(&of("a/b.hdf5", ""), "a/b.hdf5:"));
        assert!(is_called(&of("odd:name", "k"), "odd:name:k"));
        assert!(!is_called(&of("a", ""), "ab"));
    }

    #[test]
    fn steps_are_said_in_ranges() {
        assert_eq!(spans(&[3, 1, 2, 2, 9]), "step 1 to 3, 9");
        assert_eq!(spans(&[0, 2, 4, 6, 8, 10, 12]), "step 0, 2, 4, 6, 8 and 2 more runs");
    }
}
