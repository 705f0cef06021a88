//! What a live buffer is at: totals, producers, consumers. For `rdt-produce status`, for its own
//! status line and metrics, and for `rdt-buf stat --watch`.

use std::path::Path;

use rdt_buffer::layout;
use rdt_buffer::live::{ConsumerInfo, Totals, alive_consumers, producers_alive, totals};
use serde::Serialize;
use serde_json::Value;

use crate::error::Result;

/// A look at a buffer.
#[derive(Debug, Clone, Serialize)]
pub struct LiveStatus {
    /// What became of all samples.
    #[serde(flatten)]
    pub totals: Totals,
    /// Share of the slots that are taken.
    pub dirty_share: f64,
    /// Producers that are running.
    pub producers: Vec<ProducerStatus>,
    /// Consumers that are running.
    pub consumers: Vec<ConsumerInfo>,
}

/// A producer that is running.
#[derive(Debug, Clone, Serialize)]
pub struct ProducerStatus {
    /// Its process.
    pub pid: String,
    /// Its part of the chunks.
    pub shard: String,
    /// What it said of itself last; null where it has not yet.
    pub said: Value,
}

impl LiveStatus {
    /// Looks at the buffer at `dir`.
    ///
    /// # Errors
    /// A folder or file of it cannot be read.
    pub fn of(dir: &Path) -> Result<Self> {
        let totals = totals(dir)?;
        let producer = |(shard, pid): (rdt_buffer::live::Shard, String)| {
            let said = std::fs::read(dir.join(layout::STATUS).join(file_name(shard)));
            let said = said.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(Value::Null);
            ProducerStatus { pid, shard: shard.to_string(), said }
        };
        Ok(Self {
            totals,
            dirty_share: totals.dirty_share(),
            producers: producers_alive(dir)?.into_iter().map(producer).collect(),
            consumers: alive_consumers(dir)?,
        })
    }

    /// In one line.
    pub fn line(&self, before: Option<(&Self, f64)>) -> String {
        let Totals { produced, delivered, unread, in_flight, lost, .. } = self.totals;
        let rates = match before {
            Some((before, seconds)) if seconds > 0.0 => {
                let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / seconds;
                format!(
                    " ({:.0}/s in, {:.0}/s out)",
                    rate(produced, before.totals.produced),
                    rate(delivered, before.totals.delivered)
                )
            }
            _ => String::new(),
        };
        format!(
            "{produced} produced, {delivered} delivered{rates}, {unread} unread ({:.0} % dirty), {in_flight} in \
             flight, {lost} lost; {} producers, {} consumers",
            100.0 * self.dirty_share,
            self.producers.len(),
            self.consumers.len()
        )
    }
}

/// The file in which a producer says what it is at.
pub fn file_name(shard: rdt_buffer::live::Shard) -> String {
    format!("producer-{}-of-{}.json", shard.index(), shard.count())
}
