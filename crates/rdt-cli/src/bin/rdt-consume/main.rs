//! `rdt-consume`: trains on a buffer, or measures and explains its loader.
//!
//! What needs libtorch is here and not in the library, so that the other two programs do
//! not load it.
#![forbid(unsafe_code)]

mod embed;
mod export_weights;
mod inputs;
mod recipe;
mod sample;
mod train;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use rdt_cli::consume::{bench, order};
use rdt_cli::{args, exit};
use rdt_consumer::Batch;
use rdt_model::device::resize::DeviceResizer;
use rdt_train::batch::TrainingBatch;

const EXAMPLES: &str = "\
Examples:
  rdt-consume --buffer buffer --output-dir runs/libero --config configs/tiny.yaml \\
      --train-batch-size 16 --max-train-steps 300 --learning-rate 1e-3
  rdt-consume --buffer buffer --output-dir runs/libero --config configs/tiny.yaml \\
      --train-batch-size 16 --max-train-steps 300 --learning-rate 1e-3 \\
      --resume-from-checkpoint latest

  rdt-consume --recipe libero --buffer buffer --output-dir runs/libero \\
      --pretrained-model-name-or-path RDT-1B --max-train-steps 50000

Exit codes: 0 done; 1 failed or stopped before the last step; 2 wrong usage or
configuration; 3 done, but samples could not be read and were replaced.";

/// Train RDT on a buffer
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    train: train::Args,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure the loader alone
    Bench(bench::Args),
    /// Encode the buffer's instructions or frames once, and store what comes out in the buffer
    Embed(embed::Args),
    /// Write a checkpoint's weights as RDT's Python code reads them
    ExportWeights(export_weights::Args),
    /// Print which samples each batch holds
    Order(order::Args),
    /// Sample actions with a checkpoint and compare them with the recorded ones
    Sample(sample::Args),
}

fn main() -> ExitCode {
    let words = match recipe::expanded(args::normalised(), &Cli::command()) {
        Ok(words) => words,
        Err(error) => return exit::code(Err(error)),
    };
    let cli = Cli::parse_from(words);
    exit::code(match cli.command {
        None => train::run(&cli.train),
        Some(Command::Bench(args)) => bench::run(&args, &mut to_tensors()),
        Some(Command::Embed(args)) => embed::run(&args),
        Some(Command::ExportWeights(args)) => export_weights::run(&args),
        Some(Command::Order(args)) => order::run(&args),
        Some(Command::Sample(args)) => sample::run(&args),
    })
}

/// What makes of a batch what the trainer does, before anything is computed with it; gives its bytes.
fn to_tensors() -> impl FnMut(&Batch, usize) -> anyhow::Result<u64> {
    let mut resizer: Option<DeviceResizer> = None;
    move |batch, side| {
        let resizer = resizer.get_or_insert_with(|| DeviceResizer::on_cpu(side as i64));
        let tensors = batch.host().tensors(batch.shape().images() as i64, resizer)?;
        Ok(tensors.iter().map(|tensor| tensor.numel() as u64 * size_of::<f32>() as u64).sum())
    }
}
