//! `rdt-consume export-weights`: a checkpoint as RDT's Python code reads it.

use std::path::PathBuf;

use clap::ValueEnum;
use rdt_cli::exit::Outcome;
use rdt_model::checkpoint::Which;
use rdt_model::weights::export::export;

/// Flags of `export-weights`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A checkpoint-N folder
    #[arg(value_name = "CHECKPOINT")]
    pub checkpoint: PathBuf,
    /// Folder for pytorch_model.bin and config.json, as RDT's from_pretrained takes it
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Which weights
    #[arg(long, value_enum, default_value_t = Weights::Model)]
    pub weights: Weights,
}

/// Values of `--weights`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Weights {
    /// The trained ones
    Model,
    /// Their moving average
    Ema,
}

impl From<Weights> for Which {
    fn from(flag: Weights) -> Self {
        match flag {
            Weights::Model => Self::Model,
            Weights::Ema => Self::Ema,
        }
    }
}

/// Writes the folder.
///
/// # Errors
/// The checkpoint is not whole, or the folder cannot be written.
pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let file = export(&args.checkpoint, args.weights.into(), &args.out)?;
    println!("weights {}", file.display());
    println!("config {}", args.out.join("config.json").display());
    Ok(Outcome::Done)
}
