//! `--order` and `--window`, and what they mean to the loader.

use std::num::NonZeroU32;

use clap::ValueEnum;
use rdt_consumer::OrderKind;
use rdt_data::OrderChoice;

use crate::consume::source::usage_or_failure;
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
    /// What they mean.
    ///
    /// # Errors
    /// Wrong usage: a window for an order that has none.
    pub fn order(self) -> anyhow::Result<OrderChoice> {
        match (self.order, self.window) {
            (OrderName::Uniform, None) => Ok(OrderChoice::Uniform),
            (OrderName::Uniform, Some(_)) => Err(Usage::new(
                "--window is given with --order uniform, which has all chunks open; expected --order windowed",
            )),
            (OrderName::Windowed, window) => {
                Ok(OrderChoice::Windowed(window.and_then(NonZeroU32::new).unwrap_or(DEFAULT_WINDOW)))
            }
        }
    }

    /// The order of chunks of so many samples.
    ///
    /// # Errors
    /// Wrong usage: a window for an order that has none, or where there are no chunks.
    pub fn of_chunks(self, chunk_size: Option<u32>) -> anyhow::Result<OrderKind> {
        self.order()?.kind(chunk_size).map_err(usage_or_failure)
    }
}
