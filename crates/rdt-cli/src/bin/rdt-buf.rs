//! `rdt-buf`: look at a buffer, check it, take samples out of it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rdt_cli::exit::{Outcome, code};
use rdt_cli::inspect::{dataset_stat, export, sample, show, stat, verify};

/// Inspects a buffer; never changes it.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  rdt-buf stat buffer                                 what is in it
  rdt-buf verify buffer --against-source              is it what was written, and what the sources say
  rdt-buf show buffer 17 --png sample.png             one sample, for a person
  rdt-buf export buffer --format rdt --out rdt_buf    for RDT's own consumer

Exit codes: 0 done; 1 failed; 2 wrong usage or configuration; 3 finished, but something
was skipped or lost, and the report names each.";

const EXAMPLES_STAT: &str = "\
Examples:
  rdt-buf stat buffer
  rdt-buf stat buffer --json | jq '.datasets[] | {name, coverage}'

Ends with 3 where episodes were skipped or chunks cannot be read. Filtered episodes (too
short, not moving) are by design and leave it 0. A fill that is not finished is said so.";

const EXAMPLES_VERIFY: &str = "\
Examples:
  rdt-buf verify buffer
  rdt-buf verify buffer --against-source
  rdt-buf verify buffer --against-source --source libero=/mnt/new/libero --json

Ends with 3 where something is damaged, missing or not what the source says: chunk, slot,
episode and step of each are named. Ends with 1 where the manifest itself is damaged.";

const EXAMPLES_SHOW: &str = "\
Examples:
  rdt-buf show buffer 17
  rdt-buf show buffer 17 --png sample.png
  rdt-buf show buffer --episode task_demo.hdf5:data/demo_3 --step 40
  rdt-buf show buffer --episode episode_0.hdf5 --step 40";

const EXAMPLES_SAMPLE: &str = "\
Examples:
  rdt-buf sample buffer 17 --out sample.safetensors
  rdt-buf sample buffer --episode task_demo.hdf5:data/demo_3 --step 40 --out sample.safetensors

Tensors: state_chunk, action_chunk (rows, 128) f32; state_std, state_mean, state_norm (128) f32;
past_frames_0..3 (history, height, width, 3) u8 RGB, (history, 0, 0, 0) where there is no camera;
state_vec_mask (128) u8; *_time_mask u8; step_id i64. Data set, instruction and origin are in
the header's metadata.";

const EXAMPLES_EXPORT: &str = "\
Examples:
  rdt-buf export buffer --format rdt --out /data/rdt_buf
  cp /data/rdt_buf/configs/* RoboticsDiffusionTransformer/configs/

Four files a sample, uncompressed: about 5 times the room for raw frames, up to 200 times for
JPEG. Of several wordings of an instruction each sample gets one, drawn by weight, the same in
every export. Samples that cannot be read are named, stay dirty, and make the exit code 3.";

const EXAMPLES_DATASET_STAT: &str = "\
Examples:
  rdt-buf dataset-stat buffer --out dataset_stat.json
  rdt-buf dataset-stat buffer --out RoboticsDiffusionTransformer/configs/dataset_stat.json --merge";

#[derive(Debug, Subcommand)]
enum Command {
    /// What is in a buffer: samples, data sets, coverage, bytes, what was left out
    #[command(after_help = EXAMPLES_STAT)]
    Stat(stat::Args),
    /// Check every checksum and frame; with the sources at hand, every sample
    #[command(after_help = EXAMPLES_VERIFY)]
    Verify(verify::Args),
    /// Show one sample to a person
    #[command(after_help = EXAMPLES_SHOW)]
    Show(show::Args),
    /// Write one sample as safetensors, under RDT's names
    #[command(after_help = EXAMPLES_SAMPLE)]
    Sample(sample::Args),
    /// Write the whole buffer in RDT's own layout
    #[command(after_help = EXAMPLES_EXPORT)]
    Export(export::Args),
    /// Write RDT's dataset_stat.json
    #[command(after_help = EXAMPLES_DATASET_STAT)]
    DatasetStat(dataset_stat::Args),
}

fn main() -> ExitCode {
    code(run(&Cli::parse_from(rdt_cli::args::normalised()).command))
}

fn run(command: &Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Stat(args) => stat::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Show(args) => show::run(args),
        Command::Sample(args) => sample::run(args),
        Command::Export(args) => export::run(args),
        Command::DatasetStat(args) => dataset_stat::run(args),
    }
}
