//! Whether a buffer that exists may be continued: same settings, same sources.

use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rdt_buffer::{FORMAT_VERSION, Manifest, ManifestDataset, SpreadSettings, manifest};
use rdt_schema::TextFile;
use rdt_schema::{Omission, Setting};

use crate::error::ProducerError;
use crate::options::Options;
use crate::plan::Plan;
use crate::sources::{Source, Sources};

/// Changed files that an error names.
const EXAMPLES: usize = 5;
/// What is said where no file's time of change tells.
const REPLACED: &str = "a file has another length or time of change than then, or was replaced by another";

/// The manifest of a plan. `former` is the one found in the buffer, of which the time of the
/// start and the episodes found bad while writing are kept.
pub(crate) fn manifest_of(
    options: &Options,
    sources: &Sources,
    plan: &Plan,
    found_while_writing: Vec<Omission>,
    started_unix_ms: u64,
) -> Manifest {
    let dataset = |(source, planned): (&Source, &crate::plan::PlannedDataset)| ManifestDataset {
        schema: source.dataset.schema().clone(),
        root: source.root.clone(),
        card_name: source.spec.card.clone(),
        card: TextFile { path: source.card.path().to_owned(), text: source.card.text().to_owned() },
        weight: source.spec.weight,
        files: planned.files,
        episodes: planned.episodes,
        steps: planned.steps,
        samples: planned.samples,
        source_digest: planned.source_digest.clone(),
        digest: planned.digest.clone(),
        extremes: source.extremes().cloned(),
        statistics: planned.statistics.finish(&planned.name),
    };
    Manifest {
        format: manifest::FORMAT.into(),
        format_version: FORMAT_VERSION,
        state: rdt_buffer::BufferState::Filling,
        samples: plan.samples(),
        chunk_size: options.chunk_size,
        fill: options.fill_settings(),
        plan_digest: plan.digest(),
        config: options.config_file.clone(),
        lists: options.lists.clone(),
        datasets: sources.list.iter().zip(plan.datasets()).map(dataset).collect(),
        skipped: plan.skipped.clone(),
        filtered: plan.filtered.clone(),
        found_while_writing,
        live: None,
        started_unix_ms,
        written_by: format!("rdt-produce {}", env!("CARGO_PKG_VERSION")),
    }
}

/// Refuses to continue a buffer that was begun with other settings.
pub(crate) fn check_settings(
    dir: &Path,
    former: &Manifest,
    options: &Options,
    sources: &Sources,
) -> Result<(), ProducerError> {
    let differ = |what: String, was: String, now: String| ProducerError::OtherSettings {
        dir: dir.to_owned(),
        what,
        was,
        now,
    };
    let names = |names: &mut dyn Iterator<Item = &str>| names.collect::<Vec<_>>().join(", ");
    let fill = options.fill_settings();
    let pairs = [
        (Setting::CHUNK_SIZE.to_string(), former.chunk_size.to_string(), options.chunk_size.to_string()),
        (Setting::IMAGE_CODEC.to_string(), former.fill.image_codec.clone(), fill.image_codec),
        (Setting::FRAME_SIZE.to_string(), given(former.fill.frame_size), given(fill.frame_size)),
        (Setting::SAMPLING.to_string(), former.fill.sampling.clone(), fill.sampling),
        (Setting::SEED.to_string(), former.fill.seed.to_string(), fill.seed.to_string()),
        (
            Setting::CHECK_FRAMES.to_string(),
            former.fill.check_frames.to_string(),
            fill.check_frames.to_string(),
        ),
        (Setting::NUM_CHUNKS.to_string(), given(former.fill.num_chunks), given(fill.num_chunks)),
        (Setting::SPREAD.to_string(), spread(former.fill.spread), spread(fill.spread)),
        (
            "the list of data sets".to_owned(),
            names(&mut former.datasets.iter().map(|dataset| dataset.schema.name.as_str())),
            names(&mut sources.list.iter().map(|source| source.spec.name.as_str())),
        ),
    ];
    for (what, was, now) in pairs {
        if was != now {
            return Err(differ(what, was, now));
        }
    }
    if former.config.text != options.config_file.text {
        let (was, now) = first_difference(&former.config, &options.config_file);
        return Err(differ("the configuration".to_owned(), was, now));
    }
    for (before, source) in former.datasets.iter().zip(&sources.list) {
        let name = &source.spec.name;
        if before.root != source.root {
            let what = format!("the path of data set {name}");
            return Err(differ(what, before.root.display().to_string(), source.root.display().to_string()));
        }
        if before.card.text != source.card.text() {
            let card = TextFile { path: source.card.path().into(), text: source.card.text().into() };
            let (was, now) = first_difference(&before.card, &card);
            return Err(differ(format!("the card of data set {name}"), was, now));
        }
    }
    Ok(())
}

fn spread(spread: Option<SpreadSettings>) -> String {
    spread.map_or_else(
        || "not given".into(),
        |SpreadSettings { chunks, run_length }| format!("{chunks} in runs of {run_length}"),
    )
}

fn given(number: Option<u32>) -> String {
    number.map_or_else(|| "not given".into(), |number| number.to_string())
}

/// The first lines in which two texts differ, with their places.
fn first_difference(was: &TextFile, now: &TextFile) -> (String, String) {
    let same = was.text.lines().zip(now.text.lines()).take_while(|(a, b)| a == b).count();
    let [was, now] = [was, now].map(|file| {
        let line = file.text.lines().nth(same).map_or("the end of the file", str::trim);
        format!("`{line}` ({} line {})", file.path.display(), same + 1)
    });
    (was, now)
}

/// Refuses to continue where the source files are no longer those that the fill began with.
pub(crate) fn check_sources(
    dir: &Path,
    former: &Manifest,
    sources: &Sources,
    plan: &Plan,
) -> Result<(), ProducerError> {
    check_file_counts(dir, former, sources)?;
    for ((before, source), planned) in former.datasets.iter().zip(&sources.list).zip(plan.datasets()) {
        if before.digest != planned.digest {
            return Err(changed(dir, source, describe(before, source, planned, former.started_unix_ms)));
        }
    }
    Ok(())
}

/// As [`check_sources`], without a plan: name, length and time of change of every file.
pub(crate) fn check_files(dir: &Path, former: &Manifest, sources: &Sources) -> Result<(), ProducerError> {
    check_file_counts(dir, former, sources)?;
    for (before, source) in former.datasets.iter().zip(&sources.list) {
        if before.source_digest != source.digest_now() {
            let change = changed_files(source, former.started_unix_ms).unwrap_or_else(|| REPLACED.into());
            return Err(changed(dir, source, change));
        }
    }
    Ok(())
}

/// Only the number of files is held against the manifest.
fn check_file_counts(dir: &Path, former: &Manifest, sources: &Sources) -> Result<(), ProducerError> {
    for (before, source) in former.datasets.iter().zip(&sources.list) {
        let files = source.dataset.files().len() as u64;
        if before.files != files {
            return Err(changed(dir, source, format!("{} files then, {files} now", before.files)));
        }
    }
    Ok(())
}

fn changed(dir: &Path, source: &Source, change: String) -> ProducerError {
    ProducerError::SourceChanged { dir: dir.to_owned(), dataset: source.spec.name.clone(), change }
}

fn describe(
    before: &ManifestDataset,
    source: &Source,
    planned: &crate::plan::PlannedDataset,
    started_unix_ms: u64,
) -> String {
    let mut text: Vec<String> = changed_files(source, started_unix_ms).into_iter().collect();
    if (before.episodes, before.steps) != (planned.episodes, planned.steps) {
        text.push(format!(
            "{} episodes with {} steps then, {} with {} now",
            before.episodes, before.steps, planned.episodes, planned.steps
        ));
    }
    if text.is_empty() {
        text.push(REPLACED.into());
    }
    text.join("; ")
}

/// Names the first files whose time of change is after the start of the fill.
fn changed_files(source: &Source, started_unix_ms: u64) -> Option<String> {
    let started = UNIX_EPOCH + Duration::from_millis(started_unix_ms);
    let is_later = |file: &&String| {
        std::fs::metadata(source.path(file)).and_then(|data| data.modified()).is_ok_and(|at| at > started)
    };
    let later: Vec<&str> =
        source.dataset.files().iter().filter(is_later).take(EXAMPLES).map(String::as_str).collect();
    (!later.is_empty()).then(|| format!("changed since: {}", later.join(", ")))
}
