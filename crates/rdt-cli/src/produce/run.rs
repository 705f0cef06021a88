//! Runs a fill or a dry run and reports.

use clap::Parser;
use rdt_cli::exit::{Outcome, Usage};
use rdt_cli::print;
use rdt_producer::{ProducerError, StopFlag, fill, predict};

use super::args::{Args, Command};
use super::watch::Watch;
use super::{cpu, follow, report, status};

/// `rdt-produce` and what comes behind it.
#[derive(Debug, Parser)]
#[command(name = "rdt-produce", version, about, after_help = super::args::EXAMPLES)]
#[command(args_conflicts_with_subcommands = true)]
struct Program {
    #[command(subcommand)]
    command: Option<Subcommand>,
    #[command(flatten)]
    args: Args,
}

/// Fill a buffer with the samples of robot episodes, for rdt-consume to train on.
#[derive(Debug, clap::Subcommand)]
enum Subcommand {
    /// Say what the producers and consumers of a live buffer are at.
    Status(status::Args),
}

/// The program.
pub(crate) fn run() -> anyhow::Result<Outcome> {
    let program = Program::parse_from(rdt_cli::args::normalised());
    if let Some(Subcommand::Status(status)) = &program.command {
        return status::run(status);
    }
    let args = program.args;
    let is_only_cleaning = args.live.clean_dirty && !args.fill_up && !args.live.follow;
    if is_only_cleaning {
        return follow::clean_dirty(&args.buffer_dir()?).map(|()| Outcome::Done);
    }
    let Command { options, buffer } = args.meaning()?;
    // Where a buffer is only going to be there is nothing to mark. What is wrong with one that is
    // there is said by whoever goes on with it.
    let is_new = || args.fill_up && matches!(rdt_buffer::Manifest::read_if_any(&buffer), Ok(None));
    if args.live.clean_dirty && !args.dry_run && !is_new() {
        follow::clean_dirty(&buffer)?;
    }
    if args.live.follow || !args.fill_up {
        return follow::run(&args, options, &buffer);
    }
    let stop = StopFlag::from(rdt_cli::signals::stop_flag("the chunks in hand are dropped")?);
    let watch = Watch::default();
    if args.dry_run {
        let prediction = predict(&options, &stop, &|event| watch.event(&event));
        watch.finish();
        let prediction = prediction.map_err(usage_or_failure)?;
        match args.json {
            true => print::json(&report::Predicted { dry_run: true, prediction: &prediction })?,
            false => print::text(&report::predicted(&prediction))?,
        }
        return Ok(outcome(prediction.skipped.is_empty()));
    }
    let result = fill(&options, &buffer, &stop, &|event| watch.event(&event));
    watch.finish();
    let result = result.map_err(usage_or_failure)?;
    let cpu_ms_per_sample = match result.written_samples {
        0 => None,
        samples => cpu::seconds().map(|seconds| seconds * 1e3 / samples as f64),
    };
    let filled = report::Filled { dry_run: false, buffer: &buffer, report: &result, cpu_ms_per_sample };
    match args.json {
        true => print::json(&filled)?,
        false => print::text(&report::filled(&filled))?,
    }
    Ok(outcome(result.skipped.is_empty()))
}

fn outcome(nothing_skipped: bool) -> Outcome {
    if nothing_skipped { Outcome::Done } else { Outcome::Incomplete }
}

pub(super) fn usage_or_failure(error: ProducerError) -> anyhow::Error {
    if error.is_usage() { Usage::from_error(error) } else { error.into() }
}
