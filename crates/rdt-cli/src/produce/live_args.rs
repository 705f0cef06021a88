//! The flags of a live buffer's producer.

use std::net::SocketAddr;
use std::time::Duration;

use rdt_buffer::live::Shard;
use rdt_cli::exit::Usage;
use rdt_producer::{DatasetSpec, FollowOptions, Options};

/// Flags of `--follow`.
#[derive(Debug, clap::Args)]
pub(super) struct LiveArgs {
    /// Replace samples that consumers have taken, until stopped: the data is repeated endlessly, each
    /// pass in a new order, data sets drawn by weight. Without --fill-up on a buffer that is there.
    #[arg(long)]
    pub follow: bool,

    /// Mark all samples of the buffer as unread; without another mode, and stop.
    #[arg(long)]
    pub clean_dirty: bool,

    /// Refill a chunk when this share of its samples is consumed; the others are carried over.
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    pub refill_at: f64,

    /// This producer's part of the chunks, where several work on one buffer: part I of N, from 0.
    #[arg(long, value_name = "I/N", value_parser = shard, default_value = "0/1")]
    pub shard: Shard,

    /// Share of a data set's episodes among all that are drawn, relative to the others [default: 1, or
    /// as RDT's list has it].
    #[arg(long, value_name = "NAME=W")]
    pub weight: Vec<String>,

    /// Serve Prometheus metrics at this address, such as 127.0.0.1:9100.
    #[arg(long, value_name = "ADDR:PORT")]
    pub metrics: Option<SocketAddr>,

    /// Replace a worker that shows no sign of life for so many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub stall_seconds: f64,
}

impl LiveArgs {
    /// Puts the given weights in place of the data sets' own.
    pub(super) fn weigh(&self, datasets: &mut [DatasetSpec]) -> anyhow::Result<()> {
        for text in &self.weight {
            let wrong = |found: String| {
                Usage::new(format!(
                    "--weight is {found}, expected NAME=W with the name of a data set and a number"
                ))
            };
            let (name, weight) = text.split_once('=').ok_or_else(|| wrong(format!("{text:?}")))?;
            let weight: f64 = weight.parse().map_err(|_| wrong(format!("{text:?}")))?;
            let dataset = datasets.iter_mut().find(|dataset| dataset.name == name);
            dataset.ok_or_else(|| wrong(format!("{text:?}, and there is no data set {name}")))?.weight =
                weight;
        }
        Ok(())
    }

    /// What they mean.
    pub(super) fn options(&self, options: Options, fill: bool) -> anyhow::Result<FollowOptions> {
        let stall_after = Duration::try_from_secs_f64(self.stall_seconds)
            .ok()
            .filter(|after| !after.is_zero())
            .ok_or_else(|| Usage::new("--stall-seconds is out of range, expected more than 0"))?;
        Ok(FollowOptions {
            fill,
            refill_at: self.refill_at,
            shard: self.shard,
            stall_after,
            ..FollowOptions::new(options)
        })
    }
}

fn shard(text: &str) -> Result<Shard, String> {
    let numbers =
        text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
    let shard = numbers.and_then(|(index, count)| Shard::new(index, count));
    shard.ok_or_else(|| format!("{text:?}, expected I/N with I below N, such as 0/2"))
}
