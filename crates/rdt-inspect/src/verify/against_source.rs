//! Every stored sample against its episode and step, read from the source files again.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rdt_buffer::{Buffer, ChunkId, ManifestDataset};
use rdt_chunk::{FrameStorage, ImageCodec, SampleView};
use rdt_episode::{Dataset, Episode, Verdict, flatten};
use rdt_schema::{Config, DatasetCard, Origin, STATE_DIM, Sample, Setting, in_full};

use super::frame_comparison::FrameComparison;
use super::{Bad, Checked, Kind, chunk, difference};
use crate::error::{InspectError, Result};

/// The data sets of a buffer, opened again from their cards and paths.
pub(super) struct Sources {
    datasets: Vec<Dataset>,
    storage: FrameStorage,
}

impl Sources {
    /// Opens all data sets, those in `moved` at their new paths.
    ///
    /// # Errors
    /// A path is not there, or `moved` names an unknown data set.
    pub(super) fn open(buffer: &Buffer, moved: &[(String, PathBuf)]) -> Result<Self> {
        let manifest = buffer.manifest();
        for (name, _) in moved {
            if !manifest.datasets.iter().any(|dataset| dataset.schema.name == *name) {
                let names: Vec<&str> = manifest.datasets.iter().map(|d| d.schema.name.as_str()).collect();
                return Err(InspectError::Usage(format!(
                    "{} names {name}, expected one of: {}",
                    Setting::SOURCE,
                    names.join(", ")
                )));
            }
        }
        let config = Config::from_text(&manifest.config.text, &manifest.config.path)?;
        let open = |dataset: &ManifestDataset| open_dataset(dataset, &config, moved);
        let codec: ImageCodec = manifest.fill.image_codec.parse()?;
        Ok(Self {
            datasets: manifest.datasets.iter().map(open).collect::<Result<_>>()?,
            storage: FrameStorage { codec, size: manifest.fill.frame_size },
        })
    }

    /// Compares the samples of a chunk that are not known to be bad already.
    pub(super) fn compare(&self, buffer: &Buffer, id: ChunkId, checked: &mut Checked) {
        if checked.bad.iter().any(|bad| bad.slot.is_none() && bad.samples > 0) {
            return;
        }
        // Damage was reported by the check of the chunk itself.
        let Ok(chunk) = buffer.map(id) else { return };
        let views = (0..chunk.header().samples).filter_map(|slot| chunk.sample(slot).ok());
        let views = views.filter(|view| !checked.bad.iter().any(|bad| bad.slot == Some(view.slot())));
        let mut episodes: BTreeMap<u32, Vec<SampleView<'_>>> = BTreeMap::new();
        for view in views {
            episodes.entry(view.episode_index()).or_default().push(view);
        }
        let mut bad: Vec<Bad> = Vec::new();
        for views in episodes.into_values() {
            let Some(first) = views.first() else { continue };
            let dataset = usize::from(first.dataset_index());
            match self.episode(dataset, &first.episode().origin) {
                Ok(episode) => {
                    let mut frames = FrameComparison::new(&episode, self.storage);
                    for view in &views {
                        checked.compared += 1;
                        if let Err(error) = self.compare_sample(dataset, view, &mut frames) {
                            let fault = chunk::of_sample(buffer, id, view, in_full(&error));
                            bad.push(Bad { kind: Kind::Differs, ..fault });
                        }
                    }
                }
                Err(error) => bad.push(Bad {
                    slot: None,
                    sample: None,
                    step: None,
                    samples: views.len() as u64,
                    kind: Kind::Differs,
                    ..chunk::of_sample(buffer, id, first, in_full(&error))
                }),
            }
        }
        checked.bad.extend(bad);
    }

    fn episode(&self, dataset: usize, origin: &Origin) -> Result<Box<Episode>> {
        let file = self.datasets[dataset].open_file(&origin.source)?;
        match file.episode(&origin.key)? {
            Verdict::Accepted(episode) => Ok(episode),
            Verdict::Filtered(reason) => {
                Err(InspectError::Found(format!("the source's episode is filtered out now: {reason}")))
            }
        }
    }

    /// Compares all but the pixels here; those through `frames`, each frame once.
    fn compare_sample(
        &self,
        dataset: usize,
        view: &SampleView<'_>,
        frames: &mut FrameComparison<'_>,
    ) -> Result<()> {
        // Frames are compared on their own: of each camera one is read here, none is decoded.
        let mut schema = self.datasets[dataset].schema().clone();
        schema.window.image_history = 1;
        let source: Sample =
            flatten::sample::<InspectError>(&schema, frames.episode(), view.step(), &mut |_, _, _| Ok(()))?;
        let stored = rows_of(view)?;
        if let Some(difference) = difference::first(&stored, &source) {
            return Err(InspectError::Found(format!("not what the source says: {difference}")));
        }
        match frames.first(view, self.datasets[dataset].schema())? {
            None => Ok(()),
            Some(difference) => Err(InspectError::Found(format!("not what the source says: {difference}"))),
        }
    }
}

/// A stored sample without its frames: those are compared encoded where that is enough.
fn rows_of(view: &SampleView<'_>) -> Result<Sample> {
    let (schema, info) = (view.dataset(), view.episode());
    let (states, actions) = (usize::from(schema.window.state_rows), usize::from(schema.window.action_rows));
    let vector = || vec![0.0; STATE_DIM];
    let mut sample = Sample {
        dataset_name: schema.name.clone(),
        source: info.origin.source.clone(),
        key: info.origin.key.clone(),
        num_steps: info.num_steps,
        step_id: view.step(),
        instructions: info.instructions.clone(),
        control_freq: schema.control_freq,
        state_chunk: vec![0.0; states * STATE_DIM],
        state_chunk_time_mask: vec![0; states],
        action_chunk: vec![0.0; actions * STATE_DIM],
        action_chunk_time_mask: vec![0; actions],
        state_vec_mask: Vec::new(),
        frames: Default::default(),
        state_std: vector(),
        state_mean: vector(),
        state_norm: vector(),
    };
    view.write_state_chunk(&mut sample.state_chunk, &mut sample.state_chunk_time_mask)?;
    view.write_action_chunk(&mut sample.action_chunk, &mut sample.action_chunk_time_mask)?;
    view.write_std(&mut sample.state_std)?;
    view.write_mean(&mut sample.state_mean)?;
    view.write_norm(&mut sample.state_norm)?;
    let mut mask = vector();
    view.write_mask(&mut mask)?;
    sample.state_vec_mask = mask.into_iter().map(|entry| u8::from(entry != 0.0)).collect();
    Ok(sample)
}

fn open_dataset(dataset: &ManifestDataset, config: &Config, moved: &[(String, PathBuf)]) -> Result<Dataset> {
    let name = &dataset.schema.name;
    let card = DatasetCard::from_text(&dataset.card.text, &dataset.card.path)?;
    let root = moved.iter().find(|(moved, _)| moved == name).map_or(&dataset.root, |(_, path)| path);
    let mut opened = Dataset::open(name, card, root, config).map_err(|error| {
        let remedy = format!(
            "the source of {name} cannot be read; say where it is now with {} {name}=PATH",
            Setting::SOURCE
        );
        InspectError::While { what: remedy, is_usage: true, source: error.into() }
    })?;
    if let Some(extremes) = &dataset.extremes {
        opened.restore(extremes.clone());
    }
    Ok(opened)
}
