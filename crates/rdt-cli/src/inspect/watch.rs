//! `rdt-buf stat --watch`: a line a second about a live buffer, until it is interrupted.

use std::path::Path;
use std::time::{Duration, Instant};

use rdt_inspect::live_status::LiveStatus;
use serde::Serialize;

use crate::exit::Outcome;

const PERIOD: Duration = Duration::from_secs(1);

/// Prints lines, as JSON where asked; ends when nobody reads them.
///
/// # Errors
/// The buffer cannot be read.
pub fn run(dir: &Path, json: bool) -> anyhow::Result<Outcome> {
    rdt_buffer::Manifest::read(dir)?;
    let mut before: Option<(LiveStatus, Instant)> = None;
    loop {
        let status = LiveStatus::of(dir)?;
        let seconds = before.as_ref().map_or(0.0, |(_, at)| at.elapsed().as_secs_f64());
        let line = match json {
            true => serde_json::to_string(&Line { seconds, status: &status })?,
            false => status.line(before.as_ref().map(|(status, _)| (status, seconds))),
        };
        if !said(&line)? {
            return Ok(Outcome::Done);
        }
        before = Some((status, Instant::now()));
        std::thread::sleep(PERIOD);
    }
}

#[derive(Serialize)]
struct Line<'a> {
    /// Since the line before.
    seconds: f64,
    #[serde(flatten)]
    status: &'a LiveStatus,
}

/// Whether there is somebody who reads.
fn said(line: &str) -> anyhow::Result<bool> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        result => Ok(result.map(|()| true)?),
    }
}
