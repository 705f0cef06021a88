//! `rdt-produce status`: what the producers and consumers of a buffer are at.

use std::path::PathBuf;

use rdt_cli::exit::Outcome;
use rdt_cli::print;
use rdt_inspect::live_status::LiveStatus;

/// Arguments of `rdt-produce status`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The buffer
    pub dir: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    rdt_buffer::Manifest::read(&args.dir)?;
    let status = LiveStatus::of(&args.dir)?;
    match args.json {
        true => print::json(&status)?,
        false => print::text(&text(&status))?,
    }
    Ok(Outcome::Done)
}

fn text(status: &LiveStatus) -> String {
    let totals = &status.totals;
    let mut text = format!(
        "{} chunks, {} of them without unread samples, {} refills\n\
         {} samples produced: {} delivered, {} in flight, {} unread, {} lost with killed consumers\n",
        totals.chunks,
        totals.exhausted,
        totals.refills,
        totals.produced,
        totals.delivered,
        totals.in_flight,
        totals.unread,
        totals.lost
    );
    if status.producers.is_empty() {
        text += "no producer\n";
    }
    for producer in &status.producers {
        let number = |key: &str| producer.said["figures"][key].as_u64().unwrap_or(0);
        text += &format!(
            "producer {} (shard {}): {} samples in {} chunks, {} carried, waited {:.1} s, {} skipped{}\n",
            producer.pid,
            producer.shard,
            number("produced"),
            number("published"),
            number("carried"),
            number("waited_ms") as f64 / 1e3,
            number("skipped"),
            if producer.said["figures"]["is_paused"] == true {
                ", paused: no room on the device"
            } else {
                ""
            }
        );
        for worker in producer.said["workers"].as_array().into_iter().flatten() {
            let at = worker["at"].as_str().filter(|at| !at.is_empty()).unwrap_or("waiting");
            text += &format!("  worker {}: {at}\n", worker["worker"]);
        }
    }
    if status.consumers.is_empty() {
        text += "no consumer\n";
    }
    for consumer in &status.consumers {
        text += &format!(
            "consumer {}: {} delivered, {} unreadable, waited {:.1} s\n",
            consumer.pid,
            consumer.delivered,
            consumer.bad,
            consumer.waited_ms as f64 / 1e3
        );
    }
    text
}
