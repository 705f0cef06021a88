//! `rdt-consume order`: which samples the batches of an epoch hold.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use rdt_consumer::{BatchOrder, BatchPosition, ConsumerError, Holdout, LastBatch, Order, Ranks};
use serde::Serialize;

use crate::consume::holdout::HoldoutFlag;
use crate::consume::order_flags::OrderFlags;
use crate::consume::source::{self, SourceFlags, Wanted};
use crate::exit::{Outcome, Usage};

/// What to print.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[expect(missing_docs, reason = "a comment would become the help of the whole command")]
    #[command(flatten)]
    pub source: SourceFlags,
    /// Sizes of windows [default: the configuration of the buffer; with --load-from-hdf5 the shipped one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Seed of the order
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    #[expect(missing_docs, reason = "clap would show it as the command's description")]
    #[command(flatten)]
    pub order: OrderFlags,
    #[expect(missing_docs, reason = "clap would show it as the command's description")]
    #[command(flatten)]
    pub holdout: HoldoutFlag,
    /// The pass over the buffer, from 0
    #[arg(long, default_value_t = 0)]
    pub epoch: u64,
    /// Samples of a batch over all ranks
    #[arg(long, value_name = "B", default_value_t = 32)]
    pub global_batch_size: u32,
    /// Number of ranks that share each batch
    #[arg(long, value_name = "W", default_value_t = 1)]
    pub world_size: u32,
    /// The rank whose samples are printed
    #[arg(long, value_name = "R", default_value_t = 0)]
    pub rank: u32,
    /// First batch to print
    #[arg(long, value_name = "K", default_value_t = 0)]
    pub start_batch: u64,
    /// Print at most this many batches
    #[arg(long, value_name = "N")]
    pub batches: Option<u64>,
    /// Leave the incomplete batch at the end of the epoch out
    #[arg(long)]
    pub drop_last: bool,
    /// Print JSON, one line a batch: {"batch": 0, "samples": [17, 4, ...]}
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Line {
    batch: u64,
    samples: Vec<u64>,
}

/// Prints the batches of one epoch.
///
/// # Errors
/// The buffer cannot be opened, or the options do not fit it or each other.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    // The order is known as soon as the plan is: a fill may still be going on. Which episode a sample
    // is of is known from its chunk.
    let spec = args.source.spec(Wanted {
        default_buffer: Some(Path::new("buffer")),
        is_complete: args.holdout.holdout != 0.0,
        config: args.config.clone(),
        known_config: None,
        known_data: None,
    })?;
    let source = source::open(&spec, Arc::default())?;
    let kind = args.order.of_chunks(source.buffer.as_ref().map(|buffer| buffer.manifest().chunk_size))?;
    let share = Some(args.holdout.holdout).filter(|share| *share != 0.0);
    let holdout = share.map(|share| Holdout::new(source.samples.as_ref(), share)).transpose();
    let holdout = holdout.map_err(Usage::from_error)?;
    holdout.iter().for_each(|holdout| eprintln!("{}", holdout.describe()));
    let order = match &holdout {
        Some(holdout) => Order::of(Arc::clone(&holdout.training), args.seed),
        None => Order::new(source.samples.sample_count(), args.seed),
    };
    let batches = order.and_then(|order| batches(args, order.of_kind(kind))).map_err(Usage::from_error)?;
    let out = std::io::BufWriter::new(std::io::stdout().lock());
    let outcome = if source.skipped() == 0 { Outcome::Done } else { Outcome::Incomplete };
    match print(args, &batches, out) {
        // Whoever reads has seen enough (`| head`).
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(outcome),
        printed => printed.context("cannot print the order").map(|()| outcome),
    }
}

fn batches(args: &Args, order: Order) -> Result<BatchOrder, ConsumerError> {
    let ranks = Ranks { rank: args.rank, world: args.world_size };
    let last = if args.drop_last { LastBatch::Drop } else { LastBatch::Keep };
    let batches = BatchOrder::new(order, args.global_batch_size, ranks, last)?;
    batches.normalised(BatchPosition { epoch: args.epoch, batch: args.start_batch })?;
    Ok(batches)
}

fn print(args: &Args, batches: &BatchOrder, mut out: impl Write) -> std::io::Result<()> {
    let end = batches.batches_per_epoch();
    let end = args.batches.map_or(end, |count| end.min(args.start_batch.saturating_add(count)));
    for batch in args.start_batch..end {
        let samples = batches.samples(BatchPosition { epoch: args.epoch, batch });
        let line = Line { batch, samples: samples.map(|sample| sample.get()).collect() };
        if args.json {
            serde_json::to_writer(&mut out, &line)?;
            writeln!(out)?;
        } else {
            let samples: Vec<_> = line.samples.iter().map(u64::to_string).collect();
            writeln!(out, "batch {:>6}: {}", line.batch, samples.join(" "))?;
        }
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> Args {
        Args {
            source: SourceFlags { buffer: None, load_from_hdf5: false, datasets: Default::default() },
            config: None,
            seed: 5,
            order: OrderFlags::default(),
            holdout: HoldoutFlag::default(),
            epoch: 1,
            global_batch_size: 4,
            world_size: 1,
            rank: 0,
            start_batch: 0,
            batches: None,
            drop_last: false,
            json: true,
        }
    }

    fn lines(args: &Args) -> Vec<serde_json::Value> {
        let mut out = Vec::new();
        print(args, &batches(args, Order::new(10, args.seed).unwrap()).unwrap(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn one_line_a_batch() {
        let whole = lines(&args());
        assert_eq!(whole.len(), 3);
        assert_eq!(whole[2]["batch"], 2);
        assert_eq!(whole[2]["samples"].as_array().unwrap().len(), 2);
        let ids = |lines: &[serde_json::Value]| -> Vec<u64> {
            let ids = lines.iter().flat_map(|line| line["samples"].as_array().unwrap());
            ids.map(|id| id.as_u64().unwrap()).collect()
        };
        let mut all = ids(&whole);
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());

        assert_eq!(lines(&Args { start_batch: 1, ..args() }), whole[1..]);
        assert_eq!(lines(&Args { start_batch: 1, batches: Some(1), ..args() }), whole[1..2]);
        assert_eq!(lines(&Args { drop_last: true, ..args() }), whole[..2]);
        let first = lines(&Args { world_size: 2, ..args() });
        let second = lines(&Args { world_size: 2, rank: 1, ..args() });
        assert_eq!([ids(&first[..1]), ids(&second[..1])].concat(), ids(&whole[..1]));
        assert_ne!(ids(&lines(&Args { epoch: 2, ..args() })), ids(&whole));
    }

    #[test]
    fn wrong_options_are_refused() {
        for wrong in [
            Args { global_batch_size: 0, ..args() },
            Args { world_size: 0, ..args() },
            Args { rank: 1, ..args() },
            Args { start_batch: 4, ..args() },
            Args { world_size: 5, ..args() },
        ] {
            assert!(batches(&wrong, Order::new(10, wrong.seed).unwrap()).is_err(), "{wrong:?}");
        }
    }
}
