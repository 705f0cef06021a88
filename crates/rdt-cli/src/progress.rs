//! Progress: a bar on a terminal, a plain line now and then elsewhere. Always on standard
//! error, so that results on standard output can be piped.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Between two plain lines.
const LINE_PERIOD: Duration = Duration::from_secs(5);

/// Progress of one long task, counted in `unit`s. Shared between threads.
pub struct Progress {
    bar: ProgressBar,
    lines: Option<Lines>,
}

struct Lines {
    what: String,
    unit: &'static str,
    total: u64,
    started: Instant,
    last: Mutex<Instant>,
}

impl Progress {
    /// `what` is done to `total` `unit`s: `Progress::new("filling", 512, "samples")`.
    pub fn new(what: &str, total: u64, unit: &'static str) -> Self {
        if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(total);
            let template = format!(
                "{{prefix}} {{wide_bar}} {{human_pos}}/{{human_len}} {unit} {{per_sec}} eta {{eta}} {{msg}}"
            );
            if let Ok(style) = ProgressStyle::with_template(&template) {
                bar.set_style(style);
            }
            bar.set_prefix(what.to_owned());
            Self { bar, lines: None }
        } else {
            let now = Instant::now();
            let lines = Lines { what: what.to_owned(), unit, total, started: now, last: Mutex::new(now) };
            Self { bar: ProgressBar::hidden(), lines: Some(lines) }
        }
    }

    /// Sets how far the task is; `note` is shown behind it (a loss, a rate) and may be empty.
    pub fn set(&self, position: u64, note: &str) {
        self.bar.set_position(position);
        self.bar.set_message(note.to_owned());
        if let Some(lines) = &self.lines {
            lines.print_if_due(position, note);
        }
    }

    /// Prints a line beside the progress, such as a skipped episode.
    pub fn print(&self, line: &str) {
        if self.lines.is_some() {
            eprintln!("{line}");
        } else {
            self.bar.suspend(|| eprintln!("{line}"));
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Lines {
    fn print_if_due(&self, position: u64, note: &str) {
        // A poisoned lock only means that another thread panicked while printing.
        let mut last = self.last.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if last.elapsed() < LINE_PERIOD {
            return;
        }
        *last = Instant::now();
        let rate = position as f64 / self.started.elapsed().as_secs_f64();
        eprintln!("{} {position}/{} {} ({rate:.1}/s) {note}", self.what, self.total, self.unit);
    }
}
