//! `rdt-buf sample`: one sample as safetensors, under RDT's names.

use std::path::PathBuf;

use rdt_inspect::sample::{decode, metadata, origin, write};

use crate::exit::Outcome;
use crate::inspect::open;
use crate::inspect::which::WhichFlags;

/// Arguments of `rdt-buf sample`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The buffer
    pub dir: PathBuf,
    #[expect(missing_docs, reason = "clap would show it as the command's description")]
    #[command(flatten)]
    pub which: WhichFlags,
    /// Where to write the tensors
    #[arg(long, value_name = "FILE.safetensors")]
    pub out: PathBuf,
}

/// Runs the command.
///
/// # Errors
/// There is no such sample, it is damaged, or the file cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let buffer = open(&args.dir)?;
    let located = args.which.find(&buffer)?;
    let sample = decode(&located)?;
    write(&args.out, &sample, metadata(&sample, &located, buffer.manifest().fill.frame_size)?)?;
    say!("{}: {} written to {}", located.place(), origin(&sample), args.out.display());
    Ok(Outcome::Done)
}
