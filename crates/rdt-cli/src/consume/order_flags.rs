//! `--order` and `--window`, and what they mean to the loader.

use std::num::NonZeroU32;

use clap::ValueEnum;
use rdt_buffer::Buffer;
use rdt_consumer::OrderKind;

use crate::exit::Usage;

/// Chunks open at a time where `--window` is not given: with 64, and steps spread in runs, batches
/// mix as a uniform order's do.
const DEFAULT_WINDOW: NonZeroU32 = NonZeroU32::new(64).unwrap();

/// How an epoch goes through the buffer.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct OrderFlags {
    /// Order of an epoch: any sample after any other, or few chunks open at a time, for disks
    /// that read badly at random (fill with rdt-produce --spread)
    #[arg(long, value_enum, default_value_t)]
    pub order: OrderName,
    /// Chunks open at a time with --order windowed [default: 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub window: Option<u32>,
}

/// Values of `--order`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum OrderName {
    /// Any sample may follow any other
    #[default]
    Uniform,
    /// A few chunks are open at a time
    Windowed,
}

impl OrderFlags {
    /// The order of `buffer`; none if samples are read from episodes.
    ///
    /// # Errors
    /// Wrong usage: a window for an order that has none, or where there are no chunks.
    pub fn kind(self, buffer: Option<&Buffer>) -> anyhow::Result<OrderKind> {
        self.of_chunks(buffer.map(|buffer| buffer.manifest().chunk_size))
    }

    /// As [`OrderFlags::kind`], of chunks of so many samples.
    ///
    /// # Errors
    /// As [`OrderFlags::kind`].
    pub fn of_chunks(self, chunk_size: Option<u32>) -> anyhow::Result<OrderKind> {
        match (self.order, self.window, chunk_size) {
            (OrderName::Uniform, None, _) => Ok(OrderKind::Uniform),
            (OrderName::Uniform, Some(_), _) => Err(Usage::new(
                "--window is given with --order uniform, which has all chunks open; expected --order windowed",
            )),
            (OrderName::Windowed, _, None) => Err(Usage::new(
                "--order windowed is given with --load-from-hdf5, which has no chunks; expected a --buffer",
            )),
            (OrderName::Windowed, window, Some(chunk_size)) => {
                let window = window.and_then(NonZeroU32::new).unwrap_or(DEFAULT_WINDOW);
                Ok(OrderKind::Windowed { window, chunk_size })
            }
        }
    }

    /// What a checkpoint says of the order beside the buffer, so that a run goes on in the same one
    /// only; nothing of the usual one.
    pub fn note(kind: OrderKind) -> String {
        match kind {
            OrderKind::Uniform => String::new(),
            OrderKind::Windowed { window, .. } => format!(", windowed order of {window} chunks"),
        }
    }
}
