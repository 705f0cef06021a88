//! Figures of a live buffer for Prometheus, as text over HTTP.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use rdt_cli::exit::Usage;
use rdt_inspect::live_status::LiveStatus;
use rdt_producer::Figures;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Duration, timeout};

/// A request is a few lines; who sends more or takes longer is no scraper.
const REQUEST_BYTES: usize = 8192;
const REQUEST_TIME: Duration = Duration::from_secs(5);

/// So many connections are served at a time; others wait.
const MOST_CONNECTIONS: usize = 64;

/// Listens at `address`, of this machine alone: what is told is for its own users.
///
/// # Errors
/// The address is another machine's or everybody's, or is taken.
pub(super) fn listen(address: SocketAddr) -> anyhow::Result<std::net::TcpListener> {
    if !address.ip().is_loopback() {
        return Err(Usage::new(format!(
            "--metrics is {address}, expected an address of this machine alone, such as 127.0.0.1:{}",
            address.port()
        )));
    }
    let listener = std::net::TcpListener::bind(address)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|error| {
            Usage::new(format!("cannot serve metrics at {address}: {error}; give another port, or port 0"))
        })?;
    Ok(listener)
}

/// Answers every request with what `figures` says at that moment, for ever. Connections do not wait
/// for each other.
pub(super) async fn serve(listener: TcpListener, figures: impl Fn() -> String) {
    let mut asking: JoinSet<Option<(TcpStream, bool)>> = JoinSet::new();
    let mut answering: JoinSet<()> = JoinSet::new();
    loop {
        let has_room = asking.len() + answering.len() < MOST_CONNECTIONS;
        tokio::select! {
            // A connection that cannot be taken is the other side's loss.
            taken = listener.accept(), if has_room => if let Ok((stream, _)) = taken {
                asking.spawn(async { timeout(REQUEST_TIME, request(stream)).await.ok()?.ok() });
            },
            Some(asked) = asking.join_next() => if let Ok(Some((stream, is_known))) = asked {
                let text = is_known.then(&figures);
                answering.spawn(async {
                    let _ = timeout(REQUEST_TIME, answer(stream, text)).await;
                });
            },
            Some(_) = answering.join_next() => {}
        }
    }
}

/// Reads a request; says whether it asks for the metrics.
async fn request(mut stream: TcpStream) -> std::io::Result<(TcpStream, bool)> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < REQUEST_BYTES {
        if stream.read_buf(&mut request).await? == 0 {
            break;
        }
    }
    let is_known = request.starts_with(b"GET /metrics ") || request.starts_with(b"GET / ");
    Ok((stream, is_known))
}

async fn answer(mut stream: TcpStream, text: Option<String>) -> std::io::Result<()> {
    let (status, body) = match text {
        Some(text) => ("200 OK", text),
        None => ("404 Not Found", "GET /metrics\n".to_owned()),
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
pub(super) fn text(status: Option<&LiveStatus>, figures: &Figures, most_lost: &AtomicU64) -> String {
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Ipv4Addr, TcpStream as Client};

    use super::*;

    #[test]
    fn metrics_are_for_this_machine_and_a_silent_connection_blocks_nobody() -> anyhow::Result<()> {
        let refused = listen((Ipv4Addr::UNSPECIFIED, 0).into()).err().map(|error| error.to_string());
        assert!(refused.is_some_and(|text| text.contains("this machine alone")));
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into())?;
        let address = listener.local_addr()?;
        let refused = listen(address).err().map(|error| error.to_string());
        assert!(refused.is_some_and(|text| text.contains("another port")));
        let _silent = Client::connect(address)?;
        let client = std::thread::spawn(move || -> std::io::Result<String> {
            let mut client = Client::connect(address)?;
            client.set_read_timeout(Some(REQUEST_TIME / 2))?;
            client.write_all(b"GET /metrics HTTP/1.1\r\n\r\n")?;
            let mut text = String::new();
            client.read_to_string(&mut text).map(|_| text)
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let serving = serve(TcpListener::from_std(listener)?, || "rdt_x 1\n".to_owned());
            let _ = timeout(REQUEST_TIME / 2, serving).await;
            anyhow::Ok(())
        })?;
        let text = client.join().map_err(|_| anyhow::anyhow!("the client panicked"))??;
        assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("rdt_x 1\n"), "{text}");
        Ok(())
    }
}
