//! Finding episodes in a plan: by data set, and by what a sample says of its origin.

use std::ops::Range;

use rdt_schema::Origin;

use super::{Piece, Plan};
use crate::sources::Sources;

impl Plan {
    /// Places of a data set's episodes in the plan.
    pub(crate) fn episodes_of(&self, dataset: usize) -> Range<usize> {
        let count = |dataset: &super::PlannedDataset| dataset.episodes as usize;
        let start = self.datasets.iter().take(dataset).map(count).sum();
        start..start + self.datasets.get(dataset).map_or(0, count)
    }

    /// First step and number of steps of an episode that are samples.
    pub(crate) fn steps_of(&self, episode: usize) -> (u32, u32) {
        let episode = &self.episodes[episode];
        (episode.first_step, episode.samples)
    }

    /// Steps of one episode as a piece of a chunk.
    pub(crate) fn part_of(&self, episode: usize, steps: Vec<u32>) -> Piece {
        self.piece(episode, steps)
    }

    /// The episode of this origin; `None` where the plan has none.
    pub(crate) fn find(&self, sources: &Sources, dataset: usize, origin: &Origin) -> Option<usize> {
        let files = sources.list.get(dataset)?.dataset.files();
        let in_dataset = files.binary_search(&origin.source).ok()? as u32;
        let file = self
            .files
            .partition_point(|file| (usize::from(file.dataset), file.index) < (dataset, in_dataset));
        let found = self.files.get(file)?;
        if (usize::from(found.dataset), found.index) != (dataset, in_dataset) {
            return None;
        }
        let first = self.episodes.partition_point(|episode| (episode.file as usize) < file);
        let of_file = self.episodes[first..].iter().take_while(|episode| episode.file as usize == file);
        let at = of_file.into_iter().position(|episode| self.key(episode) == origin.key)?;
        Some(first + at)
    }
}
