//! Results on standard output, for all programs.
//!
//! A reader that left (`rdt-produce ... | head`, `rdt-buf stat ... | head`) has what it wanted: a
//! closed pipe is no fault. Any other failure is.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

use anyhow::Context;
use serde::Serialize;

/// Prints a line.
///
/// # Errors
/// Standard output cannot be written, as on a full device.
pub fn line(line: Arguments<'_>) -> anyhow::Result<()> {
    check(writeln!(std::io::stdout().lock(), "{line}"))
}

/// Prints text that ends its own lines.
///
/// # Errors
/// As [`line()`].
pub fn text(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    check(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// Prints a value as JSON.
///
/// # Errors
/// As [`line()`].
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(value).context("cannot serialise the report")?;
    text(&(json + "\n"))
}

fn check(result: std::io::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to standard output; check what it is redirected to"),
    }
}
