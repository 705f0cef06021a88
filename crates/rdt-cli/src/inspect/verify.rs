//! `rdt-buf verify`: is a buffer what was written, and what the sources say?
//!
//! Damage ends with exit code 3: the check ran to its end, and the report names what is lost.

mod text;

use std::path::PathBuf;

use rdt_inspect::verify::check;

use crate::exit::{Outcome, Usage};
use crate::inspect::{note_if_unfinished, open, usage_or_failure};
use crate::progress::Progress;

/// Arguments of `rdt-buf verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The buffer
    pub dir: PathBuf,
    /// Also compare every sample with its episode and step in the source files
    #[arg(long)]
    pub against_source: bool,
    /// Where a data set's files are now, if not where they were
    #[arg(long, value_name = "NAME=PATH", requires = "against_source")]
    pub source: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the command. [`Outcome::Incomplete`] where something is wrong.
///
/// # Errors
/// The path is not a buffer, or its manifest is damaged; a data set's source is not there.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let buffer = open(&args.dir)?;
    note_if_unfinished(&buffer);
    let mut moved = Vec::new();
    for source in &args.source {
        match source.split_once('=') {
            Some((name, path)) => moved.push((name.to_owned(), PathBuf::from(path))),
            None => return Err(Usage::new(format!("--source is {source}, expected NAME=PATH"))),
        }
    }
    let progress = Progress::new("verifying", buffer.published_chunks()?.len() as u64, "chunks");
    let against = args.against_source.then_some(&moved[..]);
    let report = check(&buffer, against, Some(&|done| progress.set(done, "")));
    progress.finish();
    let report = report.map_err(usage_or_failure)?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        text::print(&report)?;
    }
    Ok(if report.ok { Outcome::Done } else { Outcome::Incomplete })
}
