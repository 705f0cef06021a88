//! Runs a producer of a live buffer: starts it, watches over it, says how it is, ends it.
//!
//! One tokio runtime on this thread has the timers and the metrics; the work is done by the
//! producer's own threads.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use rdt_buffer::live::Shard;
use rdt_buffer::storage::Disk;
use rdt_buffer::{ProducerLock, layout};
use rdt_cli::exit::Outcome;
use rdt_cli::{print, signals};
use rdt_inspect::live_status::{LiveStatus, file_name};
use rdt_producer::{Follow, Options, ProducerError, StopFlag, predict};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval};

use super::args::Args;
use super::run::usage_or_failure;
use super::watch::Watch;
use super::{metrics, report};

/// Between two looks at the signals.
const SIGNAL_PERIOD: Duration = Duration::from_millis(50);
/// Between two looks at the workers.
const WATCH_PERIOD: Duration = Duration::from_secs(1);
/// Between two lines.
const LINE_PERIOD: Duration = Duration::from_secs(5);
/// How long workers get to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// Marks all samples as unread.
pub(super) fn clean_dirty(dir: &Path) -> anyhow::Result<()> {
    rdt_buffer::Manifest::read(dir)?;
    let lock = ProducerLock::acquire(dir)?;
    let samples = rdt_buffer::live::clean_dirty(&lock, &Disk)?;
    eprintln!("marked {samples} consumed samples of {} as unread", dir.display());
    Ok(())
}

/// Follows until it is stopped.
pub(super) fn run(args: &Args, options: Options, dir: &Path) -> anyhow::Result<Outcome> {
    let flag = signals::stop_flag("the chunks in hand are dropped")?;
    let stop = StopFlag::from(Arc::clone(&flag));
    let watch = Arc::new(Watch::default());
    let following = args.live.options(options.clone(), args.fill_up)?;
    following.check().map_err(usage_or_failure)?;
    if args.dry_run {
        let (chunks, chunk_size) =
            (following.chunk_count(dir).map_err(usage_or_failure)?, options.chunk_size);
        let options = Options { num_chunks: None, ..options };
        let prediction = predict(&options, &stop, &|event| watch.event(&event)).map_err(usage_or_failure)?;
        watch.finish();
        match args.json {
            true => print::json(&report::PredictedLive {
                dry_run: true,
                live: report::LiveSize { chunks, chunk_size, samples: chunks * u64::from(chunk_size) },
                prediction: &prediction,
            })?,
            false => print::text(&format!(
                "a pass over the data:\n{}the live buffer: {chunks} chunks of {chunk_size}, {} samples\n",
                report::predicted(&prediction),
                chunks * u64::from(chunk_size)
            ))?,
        }
        return Ok(if prediction.skipped.is_empty() { Outcome::Done } else { Outcome::Incomplete });
    }
    let shard = args.live.shard;
    // Before anything is read: a port that is taken is said at once.
    let listener = args.live.metrics.map(metrics::listen).transpose()?;
    let watcher = Arc::clone(&watch);
    let follow = Follow::start(following, dir, stop, move |event| watcher.event(&event));
    let follow = match follow {
        Ok(follow) => follow,
        Err(ProducerError::InterruptedWhilePlanning) => {
            return Err(ProducerError::InterruptedWhilePlanning.into());
        }
        Err(error) => return Err(usage_or_failure(error)),
    };
    watch.finish();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the timers")?;
    let supervised = runtime.block_on(supervise(args, listener, &follow, dir, &flag));
    let report = follow.finish(PATIENCE);
    let _ = std::fs::remove_file(dir.join(layout::STATUS).join(file_name(shard)));
    supervised?;
    match args.json {
        true => print::json(&report)?,
        false => {
            let figures = &report.figures;
            print::text(&format!(
                "stopped: {} samples in {} chunks ({} carried over), {:.1} s\n",
                figures.produced, figures.published, figures.carried, report.seconds
            ))?;
        }
    }
    Ok(if report.skipped.is_empty() { Outcome::Done } else { Outcome::Incomplete })
}

async fn supervise(
    args: &Args,
    listener: Option<std::net::TcpListener>,
    follow: &Follow,
    dir: &Path,
    stop: &std::sync::atomic::AtomicBool,
) -> anyhow::Result<()> {
    let metrics = async {
        match listener {
            Some(listener) => {
                let address = listener.local_addr().context("cannot serve metrics")?;
                let listener = TcpListener::from_std(listener).context("cannot serve metrics")?;
                eprintln!("metrics at http://{address}/metrics");
                let lost = AtomicU64::new(0);
                let text = || metrics::text(LiveStatus::of(dir).ok().as_ref(), &follow.figures(), &lost);
                metrics::serve(listener, text).await;
                Ok(())
            }
            None => std::future::pending::<anyhow::Result<()>>().await,
        }
    };
    tokio::pin!(metrics);
    let mut signal = interval(SIGNAL_PERIOD);
    let mut watch = interval(WATCH_PERIOD);
    let mut line = interval(LINE_PERIOD);
    for timer in [&mut signal, &mut watch, &mut line] {
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
    line.tick().await;
    let mut before: Option<(LiveStatus, Instant)> = None;
    loop {
        tokio::select! {
            _ = signal.tick() => {
                if stop.load(Ordering::Relaxed) {
                    return Ok(());
                }
            }
            _ = watch.tick() => {
                follow.supervise().map_err(usage_or_failure)?;
                say(dir, args.live.shard, follow);
            }
            _ = line.tick() => {
                // A look that fails now succeeds the next time, or the workers say why not.
                if let Ok(status) = LiveStatus::of(dir) {
                    let seconds = before.as_ref().map_or(0.0, |(_, at)| at.elapsed().as_secs_f64());
                    eprintln!("{}", status.line(before.as_ref().map(|(status, _)| (status, seconds))));
                    before = Some((status, Instant::now()));
                }
            }
            ended = &mut metrics => return ended,
        }
    }
}

/// Leaves a note of how this producer is, for `rdt-produce status`.
fn say(dir: &Path, shard: Shard, follow: &Follow) {
    let workers: Vec<_> =
        follow.workers().into_iter().map(|(worker, at)| json!({ "worker": worker, "at": at })).collect();
    let text =
        json!({ "pid": std::process::id(), "figures": follow.figures(), "workers": workers }).to_string();
    let folder = dir.join(layout::STATUS);
    let temporary = folder.join(format!("{}.tmp", file_name(shard)));
    // It is only told to people: where there is no room there is no note.
    if std::fs::write(&temporary, text).is_ok() {
        let _ = std::fs::rename(&temporary, folder.join(file_name(shard)));
    }
}
