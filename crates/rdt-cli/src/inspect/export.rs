//! `rdt-buf export --format rdt`: a buffer in RDT's own layout, for RDT's own consumer.

use std::path::PathBuf;

use rdt_inspect::export::{Report, export};
use rdt_inspect::number::{bytes, counted, grouped};

use crate::exit::Outcome;
use crate::inspect::{open, usage_or_failure};
use crate::progress::Progress;

/// Arguments of `rdt-buf export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The buffer
    pub dir: PathBuf,
    /// Which layout
    #[arg(long, value_enum)]
    pub format: Format,
    /// Where to write it: a new or empty folder
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Layouts that can be exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// RDT's buffer: four files a sample
    Rdt,
}

/// Runs the command. [`Outcome::Incomplete`] where samples could not be exported.
///
/// # Errors
/// The path is not a buffer or its fill is not finished; the folder is not empty or cannot
/// be written.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let buffer = open(&args.dir)?;
    let progress = Progress::new("exporting", buffer.chunk_count(), "chunks");
    let report = export(&buffer, &args.out, Some(&|done| progress.set(done, "")));
    progress.finish();
    let report = report.map_err(usage_or_failure)?;
    if let Some(size) = buffer.manifest().fill.frame_size {
        eprintln!(
            "note: the frames were padded and resized to {size} x {size} when they were stored; RDT's consumer \
             finds nothing left to resize, and with its --image_aug would augment them after the resize"
        );
    }
    if args.json {
        say!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print_text(&report)?;
    }
    Ok(if report.bad.is_empty() { Outcome::Done } else { Outcome::Incomplete })
}

fn print_text(report: &Report) -> anyhow::Result<()> {
    say!(
        "{} in {} written to {}, {}",
        counted(report.samples, "sample"),
        counted(report.chunks, "chunk"),
        report.out.display(),
        bytes(report.bytes as f64)
    );
    for bad in &report.bad {
        let slot = bad.slot.map(|slot| format!(" slot {slot}")).unwrap_or_default();
        let origin = if bad.origin.is_empty() { String::new() } else { format!(" ({})", bad.origin) };
        say!("not exported: chunk {:08}{slot}{origin}: {}", bad.chunk, bad.reason);
    }
    if !report.bad.is_empty() {
        say!("{} could not be exported; their slots are dirty", grouped(report.bad.len() as u64));
    }
    say!("to train on it, copy {}/configs over those of a checkout of RDT", report.out.display());
    Ok(())
}
