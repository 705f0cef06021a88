//! The pass over all source files that makes a plan: what is good, how long, and statistics.
//!
//! Files are scanned in parallel and added to the plan in order, so the plan does not depend on
//! the number of threads. Only a window of files is in hand at a time: the results of a million
//! files are never in memory together.

use std::collections::{BTreeMap, BTreeSet};

use crossbeam_channel::{Receiver, Sender, bounded};
use rdt_chunk::FrameDecoder;
use rdt_episode::{Episode, EpisodeError, SourceFile, Verdict};
use rdt_schema::statistics::StatisticsSum;
use rdt_schema::{CameraSlot, Omission, in_full};

use crate::error::ProducerError;
use crate::event::{Event, StopFlag};
use crate::options::Options;
use crate::plan::{NewEpisode, Plan};
use crate::sources::{Fingerprint, Source, Sources};

/// Files handed out and not yet added to the plan, for each worker.
const FILES_IN_HAND: usize = 16;
/// Bad episodes quoted where a data set has no good one.
const EXAMPLES: usize = 3;

/// One file's part of the plan.
struct ScannedFile {
    fingerprint: Fingerprint,
    episodes: Vec<NewEpisode>,
    skipped: Vec<Omission>,
    filtered: Vec<Omission>,
    statistics: StatisticsSum,
}

/// Scans all files and makes the plan, leaving out the episodes of `known_bad`, which an earlier
/// run of the same fill found while it was writing.
///
/// # Errors
/// A data set has no episode that can be used; the plan does not fit the settings; somebody asked
/// to stop. A bad file or episode is none: it is in [`Plan::skipped`].
pub fn scan(
    sources: &Sources,
    options: &Options,
    known_bad: &[Omission],
    stop: &StopFlag,
    watch: &(dyn Fn(Event<'_>) + Sync),
) -> Result<Plan, ProducerError> {
    let mut plan = Plan::new(sources, options);
    let bad: BTreeSet<(&str, &str, &str)> = known_bad
        .iter()
        .map(|omission| (omission.dataset.as_str(), omission.source.as_str(), omission.episode.as_str()))
        .collect();
    let jobs: Vec<(u16, u32)> = sources
        .list
        .iter()
        .zip(0u16..)
        .flat_map(|(source, dataset)| {
            (0..source.dataset.files().len() as u32).map(move |file| (dataset, file))
        })
        .collect();
    let workers = options.workers.get().min(jobs.len().max(1));
    let window = workers * FILES_IN_HAND;
    std::thread::scope(|scope| {
        let (send_job, receive_job): (Sender<usize>, Receiver<usize>) = bounded(window);
        let (send_done, receive_done) = bounded(window);
        for _ in 0..workers {
            let (receive_job, send_done, jobs, bad) = (receive_job.clone(), send_done.clone(), &jobs, &bad);
            scope.spawn(move || {
                let mut decoder = options.check_frames.then(FrameDecoder::new);
                for job in receive_job {
                    let (dataset, file) = jobs[job];
                    let scanned =
                        scan_file(&sources.list[usize::from(dataset)], file, bad, decoder.as_mut(), stop);
                    if send_done.send((job, scanned)).is_err() {
                        break;
                    }
                }
            });
        }
        drop((receive_job, send_done));
        gather(&mut plan, &jobs, window, send_job, &receive_done, stop, watch)
    })?;
    for source in &sources.list {
        if let [(file, first), rest @ ..] = source.dataset.duplicates() {
            let dataset = &source.spec.name;
            watch(Event::SeveralNames { dataset, file, first, more: rest.len() as u64 });
        }
    }
    plan.skipped.extend(known_bad.iter().cloned());
    for (source, dataset) in sources.list.iter().zip(0u16..) {
        refuse_empty(&plan, source, dataset)?;
    }
    plan.settle(sources, stop)?;
    for (source, dataset) in sources.list.iter().zip(&plan.datasets) {
        if dataset.episodes == 0 {
            return Err(no_episodes(&plan, source));
        }
    }
    Ok(plan)
}

/// Hands out jobs and adds their results to the plan in order.
fn gather(
    plan: &mut Plan,
    jobs: &[(u16, u32)],
    window: usize,
    send_job: Sender<usize>,
    receive_done: &Receiver<(usize, ScannedFile)>,
    stop: &StopFlag,
    watch: &(dyn Fn(Event<'_>) + Sync),
) -> Result<(), ProducerError> {
    let (mut sent, mut added) = (0, 0);
    let mut waiting = BTreeMap::new();
    while added < jobs.len() {
        while sent < jobs.len() && sent < added + window {
            send_job.send(sent).map_err(|_| ProducerError::WorkerDied)?;
            sent += 1;
        }
        let (job, scanned) = receive_done.recv().map_err(|_| ProducerError::WorkerDied)?;
        if stop.is_set() {
            return Err(ProducerError::InterruptedWhilePlanning);
        }
        waiting.insert(job, scanned);
        while let Some(scanned) = waiting.remove(&added) {
            let (dataset, file) = jobs[added];
            scanned.skipped.iter().for_each(|omission| watch(Event::Skipped(omission)));
            scanned.filtered.iter().for_each(|omission| watch(Event::Filtered(omission)));
            plan.add_file(dataset, file, scanned.fingerprint, &scanned.episodes);
            plan.datasets[usize::from(dataset)].statistics.merge(&scanned.statistics);
            plan.skipped.extend(scanned.skipped);
            plan.filtered.extend(scanned.filtered);
            added += 1;
            watch(Event::Scanned { files: added as u64, total: jobs.len() as u64 });
        }
    }
    Ok(())
}

fn scan_file(
    source: &Source,
    index: u32,
    bad: &BTreeSet<(&str, &str, &str)>,
    mut decoder: Option<&mut FrameDecoder>,
    stop: &StopFlag,
) -> ScannedFile {
    let name = &source.dataset.files()[index as usize];
    let mut scanned = ScannedFile {
        fingerprint: Fingerprint::default(),
        episodes: Vec::new(),
        skipped: Vec::new(),
        filtered: Vec::new(),
        statistics: StatisticsSum::default(),
    };
    let omission = |episode: &str, reason: String| Omission {
        dataset: source.spec.name.clone(),
        source: name.clone(),
        episode: episode.to_owned(),
        reason,
    };
    // Taken first: a file that changes while it is read then no longer fits its fingerprint.
    scanned.fingerprint = source.fingerprint(name).unwrap_or_default();
    let file = match source.dataset.open_file(name) {
        Ok(file) => file,
        Err(error) => {
            scanned.skipped.push(omission("", in_full(&error)));
            return scanned;
        }
    };
    for key in file.keys() {
        if stop.is_set() {
            break;
        }
        if bad.contains(&(source.spec.name.as_str(), name.as_str(), key.as_str())) {
            continue;
        }
        match scan_episode(source, &file, key, &mut scanned.statistics, decoder.as_deref_mut(), stop) {
            Ok(Ok(episode)) => scanned.episodes.push(episode),
            Ok(Err(reason)) => scanned.filtered.push(omission(key, reason)),
            Err(ProblemOf(reason)) => scanned.skipped.push(omission(key, reason)),
        }
    }
    scanned
}

/// The episode, or why it is filtered out.
fn scan_episode(
    source: &Source,
    file: &SourceFile<'_>,
    key: &str,
    statistics: &mut StatisticsSum,
    decoder: Option<&mut FrameDecoder>,
    stop: &StopFlag,
) -> Result<Result<NewEpisode, String>, ProblemOf> {
    let episode = match file.episode(key)? {
        Verdict::Accepted(episode) => episode,
        Verdict::Filtered(reason) => return Ok(Err(reason)),
    };
    episode.check_frames()?;
    if let Some(decoder) = decoder {
        decode_frames(&episode, decoder, stop)?;
    }
    let schema = source.dataset.schema();
    let info = episode.info();
    // Steps that are samples are consecutive: the window keeps every step up to a last one.
    let mut steps = episode.sample_steps(schema);
    let Some(first_step) = steps.next() else {
        return Ok(Err(format!("none of its {} steps has a full window", info.steps)));
    };
    let samples = 1 + steps.count() as u32;
    statistics.add(&schema.state_columns, episode.states());
    Ok(Ok(NewEpisode { key: key.to_owned(), first_step, samples, steps: info.steps }))
}

/// Decodes every frame that a sample may show.
fn decode_frames(episode: &Episode, decoder: &mut FrameDecoder, stop: &StopFlag) -> Result<(), ProblemOf> {
    let (mut bytes, mut pixels) = (Vec::new(), Vec::new());
    let info = episode.info();
    for slot in CameraSlot::ALL.into_iter().filter(|slot| info.cameras[slot.index()]) {
        for index in 0..info.steps {
            if stop.is_set() {
                return Ok(());
            }
            bytes.clear();
            let form = episode.frame(slot, index, &mut bytes)?;
            decoder
                .decode_source(&form, &bytes, &mut pixels)
                .map_err(|error| ProblemOf(format!("{} frame {index}: {}", slot.name(), in_full(&error))))?;
        }
    }
    Ok(())
}

/// What is wrong with an episode, in words.
struct ProblemOf(String);

impl From<EpisodeError> for ProblemOf {
    fn from(error: EpisodeError) -> Self {
        Self(in_full(&error))
    }
}

fn refuse_empty(plan: &Plan, source: &Source, dataset: u16) -> Result<(), ProducerError> {
    match plan.datasets.get(usize::from(dataset)) {
        Some(planned) if planned.statistics.rows() == 0 => Err(no_episodes(plan, source)),
        _ => Ok(()),
    }
}

/// The first omission of each of the first few reasons, with how many agree with it. What a reason
/// says of the file or episode itself does not tell two apart.
fn distinct(omissions: impl Iterator<Item = Omission>) -> Vec<(Omission, u64)> {
    let mut found: Vec<(String, Omission, u64)> = Vec::new();
    for omission in omissions {
        let Omission { source, episode, reason, .. } = &omission;
        let mut general = reason.replace(source.as_str(), "*");
        if !episode.is_empty() {
            general = general.replace(episode.as_str(), "*");
        }
        if let Some((.., count)) = found.iter_mut().find(|(known, ..)| *known == general) {
            *count += 1;
        } else if found.len() < EXAMPLES {
            found.push((general, omission, 1));
        }
    }
    found.into_iter().map(|(_, omission, count)| (omission, count)).collect()
}

/// The error of a data set without a usable episode.
pub(crate) fn no_episodes(plan: &Plan, source: &Source) -> ProducerError {
    let of = |omissions: &[Omission]| -> Vec<Omission> {
        omissions.iter().filter(|omission| omission.dataset == source.spec.name).cloned().collect()
    };
    let (skipped, filtered) = (of(&plan.skipped), of(&plan.filtered));
    ProducerError::NoEpisodes {
        dataset: source.spec.name.clone(),
        files: source.dataset.files().len() as u64,
        skipped: skipped.len() as u64,
        filtered: filtered.len() as u64,
        examples: distinct(skipped.into_iter().chain(filtered)),
    }
}
