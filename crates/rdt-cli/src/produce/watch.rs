//! Shows what a fill tells: progress, and every skipped or filtered episode as it is found.

use std::sync::{Mutex, PoisonError};

use rdt_cli::progress::Progress;
use rdt_producer::Event;

/// Filtered episodes named one by one; a filter by design may leave out thousands.
const FILTERED_NAMED: u64 = 20;

/// Prints events to standard error.
#[derive(Default)]
pub(super) struct Watch {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    progress: Option<(Stage, Progress)>,
    filtered: u64,
    samples: u64,
    bytes: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Planning,
    Filling,
}

impl Watch {
    /// Takes an event.
    pub(super) fn event(&self, event: &Event<'_>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Scanned { files, total } => {
                state.enter(Stage::Planning, || Progress::new("planning", *total, "files")).set(*files, "");
            }
            Event::Skipped(omission) => state.print(&format!("skipped {omission}")),
            Event::Filtered(omission) => {
                state.filtered += 1;
                match state.filtered {
                    n if n <= FILTERED_NAMED => state.print(&format!("filtered {omission}")),
                    n if n == FILTERED_NAMED + 1 => {
                        state.print("filtered: more; rdt-buf stat --json names them all");
                    }
                    _ => {}
                }
            }
            Event::SeveralNames { dataset, file, first, more } => state.print(&format!(
                "note: {dataset}: {file} is the same file as {first}, and {more} more names are of files that \
                 are there already: their episodes count once a name"
            )),
            Event::Recovered(found) if *found != Default::default() => state.print(&format!(
                "cleaned up: {} unfinished files, {} bit files without their chunk, {} chunks without bits",
                found.temporary_files, found.orphan_bits, found.chunks_without_bits
            )),
            Event::Withdrawn { of_another_plan, damaged } => state.print(&format!(
                "removed to be written again: {damaged} damaged chunks, \
                 {of_another_plan} whose content is not the plan's"
            )),
            Event::BitsHealed { chunks } => {
                state.print(&format!(
                    "made new, clean bit files where they were missing or damaged: {chunks}"
                ));
            }
            Event::Planned { samples, chunks, published_samples } => {
                state.leave();
                let kept = match published_samples {
                    0 => String::new(),
                    kept => format!(", {kept} samples are there already"),
                };
                state.print(&format!("plan: {samples} samples in {chunks} chunks{kept}"));
                state.samples = *published_samples;
                state.bytes = 0;
                let (total, done) = (*samples, *published_samples);
                state.enter(Stage::Filling, || Progress::new("filling", total, "samples")).set(done, "");
            }
            Event::Following { chunks, published, pass } => {
                state.leave();
                state.print(&format!(
                    "following: {chunks} chunks, {published} of them there; {pass} samples a pass over the data"
                ));
            }
            Event::Paused { reason } => state.print(&format!("paused, will go on when there is room: {reason}")),
            Event::Resumed => state.print("there is room again: going on"),
            Event::NotCarried { chunk, reason } => state.print(&format!(
                "chunk {chunk} is refilled only when it is consumed, since its unread samples cannot be carried \
                 over: {reason}"
            )),
            Event::WorkerReplaced { worker, reason } => {
                state.print(&format!("worker {worker} was replaced: {reason}"));
            }
            Event::Published { samples, bytes, .. } => {
                state.samples += u64::from(*samples);
                state.bytes += bytes;
                let (samples, note) = (state.samples, format!("{} MB written", state.bytes / 1_000_000));
                if let Some((_, progress)) = &state.progress {
                    progress.set(samples, &note);
                }
            }
            _ => {}
        }
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).leave();
    }
}

impl State {
    fn enter(&mut self, stage: Stage, make: impl FnOnce() -> Progress) -> &Progress {
        if self.progress.as_ref().is_some_and(|(current, _)| *current != stage) {
            self.leave();
        }
        &self.progress.get_or_insert_with(|| (stage, make())).1
    }

    fn leave(&mut self) {
        if let Some((_, progress)) = self.progress.take() {
            progress.finish();
        }
    }

    fn print(&self, line: &str) {
        match &self.progress {
            Some((_, progress)) => progress.print(line),
            None => eprintln!("{line}"),
        }
    }
}
