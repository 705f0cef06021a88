//! Figures of a live buffer for Prometheus, as text over HTTP.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use rdt_cli::live_status::LiveStatus;
use rdt_producer::Figures;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, timeout};

/// A request is a few lines; who sends more or takes longer is no scraper.
const REQUEST_BYTES: usize = 8192;
const REQUEST_TIME: Duration = Duration::from_secs(5);

/// Answers every request with what `figures` says at that moment, for ever.
pub async fn serve(listener: TcpListener, figures: impl Fn() -> String) {
    loop {
        // A connection that cannot be taken is the other side's loss.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = timeout(REQUEST_TIME, answer(stream, &figures)).await;
    }
}

async fn answer(mut stream: TcpStream, figures: &impl Fn() -> String) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < REQUEST_BYTES {
        if stream.read_buf(&mut request).await? == 0 {
            break;
        }
    }
    let is_known = request.starts_with(b"GET /metrics ") || request.starts_with(b"GET / ");
    let (status, body) = match is_known {
        true => ("200 OK", figures()),
        false => ("404 Not Found", "GET /metrics\n".to_owned()),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

/// The figures in Prometheus' text format. `most_lost` keeps the samples lost at the last look: a
/// counter does not go down.
pub fn text(status: Option<&LiveStatus>, figures: &Figures, most_lost: &AtomicU64) -> String {
    let mut text = String::new();
    let mut metric = |name: &str, kind: &str, help: &str, value: f64| {
        // Writing to a string does not fail.
        let _ = write!(text, "# HELP rdt_{name} {help}\n# TYPE rdt_{name} {kind}\nrdt_{name} {value}\n");
    };
    let seconds = |ms: u64| ms as f64 / 1e3;
    metric(
        "producer_samples_total",
        "counter",
        "Samples published by this producer.",
        figures.produced as f64,
    );
    metric(
        "producer_carried_total",
        "counter",
        "Samples carried into a new generation.",
        figures.carried as f64,
    );
    metric("producer_chunks_total", "counter", "Chunks published.", figures.published as f64);
    metric("producer_bytes_total", "counter", "Bytes of published chunk files.", figures.bytes as f64);
    metric(
        "producer_wait_seconds_total",
        "counter",
        "Time that workers waited for consumed chunks.",
        seconds(figures.waited_ms),
    );
    metric("producer_sync_seconds_total", "counter", "Time spent in syncs.", seconds(figures.sync_ms));
    metric(
        "producer_workers_replaced_total",
        "counter",
        "Workers replaced.",
        figures.replaced_workers as f64,
    );
    metric("producer_skipped", "gauge", "Files and episodes left out as faulty.", figures.skipped as f64);
    metric("producer_paused", "gauge", "1 while there is no room.", f64::from(u8::from(figures.is_paused)));
    let Some(status) = status else { return text };
    let totals = &status.totals;
    metric("samples_produced_total", "counter", "Samples put into the buffer.", totals.produced as f64);
    metric("samples_delivered_total", "counter", "Samples delivered.", totals.delivered as f64);
    let lost = most_lost.fetch_max(totals.lost, Ordering::Relaxed).max(totals.lost);
    metric("samples_lost_total", "counter", "Samples lost with killed consumers.", lost as f64);
    metric("samples_in_flight", "gauge", "Samples claimed and not delivered yet.", totals.in_flight as f64);
    metric("samples_unread", "gauge", "Samples that nobody has taken.", totals.unread as f64);
    metric("dirty_share", "gauge", "Share of the slots that are taken.", status.dirty_share);
    metric("consumers", "gauge", "Consumers that are running.", status.consumers.len() as f64);
    metric(
        "samples_unreadable",
        "gauge",
        "Samples that the running consumers could not read; they count as delivered.",
        status.consumers.iter().map(|consumer| consumer.bad).sum::<u64>() as f64,
    );
    let waited = status.consumers.iter().map(|consumer| consumer.waited_ms).sum();
    metric(
        "consumer_wait_seconds",
        "gauge",
        "Time that the running consumers have waited for samples.",
        seconds(waited),
    );
    text
}
