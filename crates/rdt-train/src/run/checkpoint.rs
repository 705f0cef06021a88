//! Checkpoints: folders that are whole or absent, whatever happens while they are written.
//!
//! `checkpoint-N/` holds `config.json` (RDT's), `model.safetensors`, `ema/model.safetensors`,
//! `optimizer.safetensors` and `trainer.json`. It is written under a hidden name, synced and
//! renamed; the rename is the commit. A folder that is removed is renamed first too, so a
//! `checkpoint-N` is never half there.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rdt_consumer::BatchPosition;
use rdt_model::ModelError;
use rdt_model::checkpoint::{
    ABOUT, About, EMA, EncoderAbout, MODEL, TRAINER, carry_instructions, write_json,
};
use rdt_model::network::{NetworkShape, Rdt};
use rdt_model::weights::rdt_config::rdt_config;
use rdt_model::weights::tensor_file::{self, TensorFile};
use rdt_schema::Config;
use rdt_schema::Setting;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::TrainError;
use crate::run::inputs::Inputs;
use crate::run::settings::TrainSettings;
use crate::run::train::{Data, Run};
use crate::run::trainer::Trainer;

const FORMAT_VERSION: u32 = 1;
const PREFIX: &str = "checkpoint-";
const OPTIMIZER: &str = "optimizer.safetensors";
const FIRST_MOMENT: &str = "exp_avg.";
const SECOND_MOMENT: &str = "exp_avg_sq.";

/// How far a run is: with the buffers of [`Trainer`], all that a resumed run needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Optimiser steps done.
    pub step: u64,
    /// Micro-steps done: the counter of random draws.
    pub micro_step: u64,
    /// The next batch.
    pub position: BatchPosition,
    /// Samples that could not be read and were replaced.
    #[serde(default)]
    pub replaced_samples: u64,
}

/// `trainer.json`.
#[derive(Debug, Serialize, Deserialize)]
struct TrainerState {
    format_version: u32,
    progress: Progress,
    optimizer_updates: u64,
    ema_updates: u64,
    /// What the run trains on, as [`Data::name`] has it.
    data: String,
    /// How its batches are made.
    #[serde(default)]
    inputs: Inputs,
    settings: TrainSettings,
    config: Config,
}

/// Writes `checkpoint-<step>` into the run's folder and removes the oldest others beyond the limit.
///
/// # Errors
/// The folder cannot be written; an unfinished checkpoint is not visible as one.
pub fn save(
    run: &Run<'_>,
    trainer: &Trainer,
    data: &Data<'_>,
    inputs: &Inputs,
    progress: Progress,
) -> Result<PathBuf, TrainError> {
    let (folder, config) = (run.output_dir, run.config);
    let path = folder.join(format!("{PREFIX}{}", progress.step));
    let temporary = folder.join(format!(".{PREFIX}{}.partial", progress.step));
    remove(&temporary)?;
    fs::create_dir_all(temporary.join("ema")).map_err(TrainError::file(&temporary, "create"))?;

    let layout = trainer.parameters().layout();
    let (first, second) = trainer.optimizer().moments();
    tensor_file::write(&temporary.join(MODEL), layout, &[("", trainer.parameters().flat())])?;
    tensor_file::write(&temporary.join(EMA), layout, &[("", trainer.ema().average())])?;
    tensor_file::write(
        &temporary.join(OPTIMIZER),
        layout,
        &[(FIRST_MOMENT, first), (SECOND_MOMENT, second)],
    )?;
    write_json(&temporary.join("config.json"), &rdt_config(config))?;
    let state = TrainerState {
        format_version: FORMAT_VERSION,
        progress,
        optimizer_updates: trainer.optimizer().updates(),
        ema_updates: trainer.ema().updates(),
        data: data.name.to_owned(),
        inputs: inputs.clone(),
        settings: trainer.settings().clone(),
        config: config.clone(),
    };
    write_json(&temporary.join(TRAINER), &state)?;
    write_json(&temporary.join(ABOUT), &about(run, data, inputs, progress.step))?;
    if let Some(buffer) = &run.encoders.stored_language {
        carry_instructions(buffer, &temporary)?;
    }
    sync_folder(&temporary.join("ema"))?;
    sync_folder(&temporary)?;
    // One of the same step is there where a run went back to an older checkpoint.
    take_away(folder, progress.step)?;
    fs::rename(&temporary, &path).map_err(TrainError::file(&path, "put a checkpoint in place"))?;
    sync_folder(folder)?;

    if let Some(limit) = trainer.settings().checkpoints_total_limit {
        let mut others = list(folder)?;
        others.retain(|(step, _)| *step != progress.step);
        for (step, _) in &others[..others.len().saturating_sub(limit.saturating_sub(1))] {
            take_away(folder, *step)?;
        }
    }
    Ok(path)
}

/// What a checkpoint says of itself.
fn about(run: &Run<'_>, data: &Data<'_>, inputs: &Inputs, step: u64) -> About {
    let model = &run.config.model;
    let encoder = |name: Result<Value, serde_json::Error>, digest: &Option<String>| EncoderAbout {
        name: name.ok().and_then(|name| Some(name.as_str()?.to_owned())).unwrap_or_default(),
        digest: digest.clone(),
    };
    About {
        written_by: format!("rdt-consume {}", env!("CARGO_PKG_VERSION")),
        step,
        config: run.config.clone(),
        seed: run.settings.seed,
        data: data.about.clone(),
        image_encoder: encoder(serde_json::to_value(model.vision.encoder), &inputs.image_encoder),
        language_encoder: encoder(serde_json::to_value(model.language.encoder), &inputs.language_encoder),
    }
}

/// The knobs of the run that made a checkpoint.
///
/// # Errors
/// It is no checkpoint of this program's version.
pub fn settings(path: &Path) -> Result<TrainSettings, TrainError> {
    Ok(read_state(path)?.settings)
}

fn read_state(path: &Path) -> Result<TrainerState, TrainError> {
    let file = path.join(TRAINER);
    let text = fs::read(&file).map_err(TrainError::file(&file, "read the checkpoint"))?;
    let wrong = |found: String, expected: &str| -> TrainError {
        ModelError::Content { path: file.clone(), found, expected: expected.to_owned() }.into()
    };
    let state: TrainerState = serde_json::from_slice(&text)
        .map_err(|error| wrong(error.to_string(), "a checkpoint of this program's version"))?;
    if state.format_version != FORMAT_VERSION {
        return Err(wrong(
            format!("format version {}", state.format_version),
            "version 1; use the program that wrote it",
        ));
    }
    Ok(state)
}

/// Whether a run may go on from a checkpoint, as far as that can be told without its data and encoders;
/// reads no weights.
///
/// # Errors
/// The checkpoint is not whole, of another network, or of a run whose seed, batch size, holdout or
/// configuration differ, so that going on would not be the same run.
pub(crate) fn check(path: &Path, run: &Run<'_>) -> Result<(), TrainError> {
    let state = read_state(path)?;
    check_run(path, &state, run)?;
    let (_, layout) = Rdt::new(NetworkShape::from_config(run.config))?;
    for (file, prefix) in [(MODEL, ""), (EMA, ""), (OPTIMIZER, FIRST_MOMENT), (OPTIMIZER, SECOND_MOMENT)] {
        TensorFile::open(&path.join(file))?.check(&layout, prefix)?;
    }
    Ok(())
}

fn check_run(path: &Path, state: &TrainerState, run: &Run<'_>) -> Result<(), TrainError> {
    let (saved, settings) = (&state.settings, run.settings);
    for (what, saved, given) in [
        (Setting::SEED, saved.seed.to_string(), settings.seed.to_string()),
        (
            Setting::TRAIN_BATCH_SIZE,
            saved.train_batch_size.to_string(),
            settings.train_batch_size.to_string(),
        ),
        (Setting::HOLDOUT, saved.holdout.to_string(), settings.holdout.to_string()),
    ] {
        if saved != given {
            return Err(another_run(path, &what.to_string(), &saved, &given));
        }
    }
    let mut changed = Vec::new();
    let (old, config) = (&state.config, run.config);
    differences("common", &json(path, &old.common)?, &json(path, &config.common)?, &mut changed);
    differences("model", &json(path, &old.model)?, &json(path, &config.model)?, &mut changed);
    if let Some(Difference { key, saved, given }) = changed.into_iter().next() {
        return Err(TrainError::setting(
            format!("{key} of the configuration"),
            given,
            format!(
                "{saved} as in the run of {}; give its {}, or start a new run in another {}",
                path.display(),
                Setting::CONFIG,
                Setting::OUTPUT_DIR
            ),
        ));
    }
    Ok(())
}

fn another_run(path: &Path, what: &str, saved: &str, given: &str) -> TrainError {
    TrainError::setting(
        what,
        given,
        format!(
            "{saved} as in the run of {}, so that each sample is seen once an epoch; or start a new run in \
             another {}",
            path.display(),
            Setting::OUTPUT_DIR
        ),
    )
}

/// Reads a checkpoint into `trainer`; besides the progress, returns the settings that changed
/// since, one text each.
///
/// # Errors
/// As of [`check`]; or its data or encoders are others.
pub(crate) fn load(
    path: &Path,
    trainer: &mut Trainer,
    run: &Run<'_>,
    data: &Data<'_>,
    inputs: &Inputs,
) -> Result<(Progress, Vec<String>), TrainError> {
    let state = read_state(path)?;
    let (saved, settings) = (&state.settings, trainer.settings());
    check_run(path, &state, run)?;
    if state.data != data.name {
        return Err(another_run(path, "data", &state.data, data.name));
    }
    inputs.check_encoders(&state.inputs, &path.display().to_string())?;
    let mut changed = Vec::new();
    differences("", &json(path, saved)?, &json(path, settings)?, &mut changed);
    // A checkpoint from before they were recorded has none to compare.
    if !state.inputs.settings.is_empty() {
        let (saved, given) = (&state.inputs.settings, &inputs.settings);
        differences("", &json(path, saved)?, &json(path, given)?, &mut changed);
    }
    let changed = changed.iter().map(|Difference { key, saved, given }| format!("{key} {saved} -> {given}"));
    let changed = changed.collect();
    let layout = trainer.parameters().layout();
    let (first, second) = trainer.optimizer().moments();
    TensorFile::open(&path.join(MODEL))?.load(layout, "", trainer.parameters().flat())?;
    TensorFile::open(&path.join(EMA))?.load(layout, "", trainer.ema().average())?;
    let moments = TensorFile::open(&path.join(OPTIMIZER))?;
    moments.load(layout, FIRST_MOMENT, first)?;
    moments.load(layout, SECOND_MOMENT, second)?;
    trainer.resume_at(state.optimizer_updates, state.ema_updates);
    Ok((state.progress, changed))
}

/// Whether a folder looks like a checkpoint.
pub fn exists(path: &Path) -> bool {
    path.join(TRAINER).is_file()
}

/// The optimiser steps done at a checkpoint.
///
/// # Errors
/// It is no checkpoint of this program's version.
pub fn step(path: &Path) -> Result<u64, TrainError> {
    Ok(read_state(path)?.progress.step)
}

/// One key whose value is another than in a checkpoint.
struct Difference {
    key: String,
    saved: String,
    given: String,
}

fn json(path: &Path, value: &impl Serialize) -> Result<Value, TrainError> {
    serde_json::to_value(value).map_err(|error| TrainError::file(path.join(TRAINER), "compare")(error.into()))
}

/// Finds the keys, dotted, at which two values differ.
fn differences(key: &str, saved: &Value, given: &Value, found: &mut Vec<Difference>) {
    if let (Value::Object(saved), Value::Object(given)) = (saved, given) {
        let names: BTreeSet<_> = saved.keys().chain(given.keys()).collect();
        for name in names {
            let inner = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            let value = |map: &Map<String, Value>| map.get(name).cloned().unwrap_or(Value::Null);
            differences(&inner, &value(saved), &value(given), found);
        }
    } else if saved != given {
        found.push(Difference { key: key.to_owned(), saved: saved.to_string(), given: given.to_string() });
    }
}

/// The checkpoints of a folder, oldest first, after removing what an interrupted run left.
///
/// # Errors
/// The folder cannot be read.
pub fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>, TrainError> {
    let mut found = Vec::new();
    if !folder.exists() {
        return Ok(found);
    }
    for entry in fs::read_dir(folder).map_err(TrainError::file(folder, "list"))? {
        let entry = entry.map_err(TrainError::file(folder, "list"))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Some(step) = name.strip_prefix(PREFIX).and_then(|digits| digits.parse().ok()) {
            found.push((step, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// Removes what a run that was killed while saving or removing a checkpoint left behind.
///
/// # Errors
/// The folder cannot be read, or the remains not removed.
pub fn clean_up(folder: &Path) -> Result<(), TrainError> {
    for entry in fs::read_dir(folder).map_err(TrainError::file(folder, "list"))? {
        let entry = entry.map_err(TrainError::file(folder, "list"))?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let is_ours = name.strip_prefix('.').is_some_and(|name| name.starts_with(PREFIX));
        if is_ours && (name.ends_with(".partial") || name.ends_with(".removed")) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes the checkpoint of a step, if there is one; it is never half there.
fn take_away(folder: &Path, step: u64) -> Result<(), TrainError> {
    let path = folder.join(format!("{PREFIX}{step}"));
    if !path.exists() {
        return Ok(());
    }
    let gone = folder.join(format!(".{PREFIX}{step}.removed"));
    remove(&gone)?;
    fs::rename(&path, &gone).map_err(TrainError::file(&path, "remove an old checkpoint"))?;
    remove(&gone)
}

fn sync_folder(path: &Path) -> Result<(), TrainError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(TrainError::file(path, "sync"))
}

fn remove(path: &Path) -> Result<(), TrainError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(TrainError::file(path, "remove")(error))
        }
        _ => Ok(()),
    }
}
