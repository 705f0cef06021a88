//! `rdt-buf`: look at a buffer, check it, take samples out of it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rdt_cli::exit::{Outcome, code};
use rdt_cli::inspect::{dataset_stat, export, mixing, sample, show, stat, verify};

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

const EXAMPLES_MIXING: &str = "\
Examples:
  rdt-buf mixing buffer --png mixing.png                  our orders and other loaders' on this buffer
  rdt-buf mixing buffer --order windowed --window 32      one order
  rdt-buf mixing --synthetic 1024x256 --spread 64 --run-length 32
  rdt-buf mixing --synthetic 2000000x250                  half a billion samples: the first 4,194,304 of each epoch

For each order, over all full batches of all epochs looked at:
  episodes    mean number of distinct episodes in a batch; p1: what one batch in a hundred does not exceed
  of unif.    that mean as a share of what draws without replacement from the whole buffer give on average
  64 bat.     the same share for 64 batches in a row taken as one: what a window hides from one batch
  neighbours  how often the next sample is of the same episode, divided by how often it would be by chance
  pairs       how often two samples of a batch are in one batch again in the next epoch, divided by chance
  covered     share of the buffer's samples that an epoch delivers
Other loaders' algorithms see the same episodes in order, as their own formats would have them, in shards of
the buffer's chunk size. --json names the source of each. docs/mixing.md says why these figures and no others.";

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
    /// Measure how well orders mix the buffer's episodes, ours and other loaders'
    #[command(after_help = EXAMPLES_MIXING)]
    Mixing(mixing::Args),
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
        Command::Mixing(args) => mixing::run(args),
        Command::DatasetStat(args) => dataset_stat::run(args),
    }
}
