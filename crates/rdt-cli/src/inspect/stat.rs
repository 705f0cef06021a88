//! `rdt-buf stat`: what is in a buffer, for a person or as JSON.
//!
//! Tables are read, frames are not, so it is quick on a big buffer too. Keys are never
//! renamed, only added.

mod text;

use std::path::PathBuf;

use rdt_inspect::stat::Report;

use crate::exit::Outcome;
use crate::inspect::{note_if_unfinished, open};

/// Arguments of `rdt-buf stat`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The buffer
    pub dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Print a line every second: samples produced, delivered, unread, in flight and lost
    #[arg(long)]
    pub watch: bool,
}

/// Runs the command. [`Outcome::Incomplete`] where something was skipped or is damaged.
///
/// # Errors
/// The path is not a buffer.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    if args.watch {
        return super::watch::run(&args.dir, args.json);
    }
    let buffer = open(&args.dir)?;
    note_if_unfinished(&buffer);
    let report = Report::of(&buffer)?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        say!("{}", text::Text { report: &report, dir: &args.dir });
    }
    Ok(if report.is_whole() { Outcome::Done } else { Outcome::Incomplete })
}
