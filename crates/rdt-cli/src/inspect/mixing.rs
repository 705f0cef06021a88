//! `rdt-buf mixing`: how well orders mix the episodes of a buffer.

use std::num::NonZeroU32;
use std::path::PathBuf;

use rdt_consumer::{Order, OrderKind};
use rdt_inspect::mixing::measure::HORIZON;
use rdt_inspect::mixing::{Layout, Peer, Row, measure, table};
use rdt_inspect::number::grouped;
use serde::Serialize;

use crate::consume::order_flags::{OrderFlags, OrderName};
use crate::exit::{Outcome, Usage};
use crate::inspect::{note_if_unfinished, open};
use crate::picture;

/// Windows of the orders that are compared where none is asked for.
const WINDOWS: [u32; 2] = [8, 64];
/// Samples that a picture shows of each order.
const SHOWN: usize = 2048;

/// Arguments of `rdt-buf mixing`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The buffer; only its tables are read
    #[arg(required_unless_present = "synthetic", conflicts_with = "synthetic")]
    pub dir: Option<PathBuf>,
    /// So many episodes of so many steps instead of a buffer, such as 1024x256
    #[arg(long, value_name = "EPISODESxSTEPS", value_parser = synthetic)]
    pub synthetic: Option<(u32, u32)>,
    /// Samples a chunk, of --synthetic
    #[arg(long, value_name = "N", default_value_t = 512, requires = "synthetic")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub chunk_size: u32,
    /// Chunks that steps are spread over, of --synthetic, as rdt-produce does it
    #[cfg(feature = "hdf5")]
    #[arg(long, value_name = "N", requires = "synthetic", value_parser = clap::value_parser!(u32).range(2..=4096))]
    pub spread: Option<u32>,
    /// Most steps of a run, with --spread
    #[cfg(feature = "hdf5")]
    #[arg(long, value_name = "STEPS", default_value_t = 32, requires = "spread")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub run_length: u32,
    /// Measure this order alone [default: uniform, windowed with 8 and 64 chunks, and the other
    /// loaders' algorithms]
    #[arg(long, value_enum)]
    pub order: Option<OrderName>,
    /// Chunks open at a time with --order windowed [default: 64]
    #[arg(long, value_name = "N", requires = "order", value_parser = clap::value_parser!(u32).range(1..))]
    pub window: Option<u32>,
    /// Measure the other loaders' algorithms beside --order
    #[arg(long)]
    pub peers: bool,
    /// Seed of all orders
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Samples of a batch over all ranks
    #[arg(long, value_name = "B", default_value_t = 32, value_parser = clap::value_parser!(u32).range(2..))]
    pub batch_size: u32,
    /// Epochs that are measured; pair repeat takes two
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub epochs: u64,
    /// Of a larger buffer, measure the first so many samples that each epoch delivers. Pair repeat
    /// and coverage need whole epochs and are then left out, and so are algorithms that arrange an
    /// epoch in memory
    #[arg(long, value_name = "N", default_value_t = 1 << 22, value_parser = clap::value_parser!(u64).range(64..))]
    pub samples: u64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Draw the first samples that each order delivers, by episode
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Report<'a> {
    samples: u64,
    episodes: u64,
    chunk_size: u32,
    batch_size: u32,
    seed: u64,
    epochs: u64,
    orders: &'a [Row],
    /// Algorithms that were left out since the buffer is too large for them here.
    left_out: &'a [String],
}

/// Measures and prints.
///
/// # Errors
/// Wrong usage; a buffer or chunk that cannot be read; a picture that cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let layout = match &args.dir {
        Some(dir) => {
            let buffer = open(dir)?;
            note_if_unfinished(&buffer);
            Layout::of(&buffer)?
        }
        None => synthetic_layout(args),
    };
    if layout.samples() < 2 * u64::from(args.batch_size) {
        return Err(Usage::new(format!(
            "there are {} samples, expected at least two batches of {}; give a smaller --batch-size",
            layout.samples(),
            args.batch_size
        )));
    }
    let mut rows = Vec::new();
    let mut shown = Vec::new();
    let mut add = |name: String, source: &str, layout: &Layout, epochs: Vec<Vec<u64>>| {
        let figures = measure(layout, &epochs, args.batch_size);
        let first = epochs.first().into_iter().flatten().take(SHOWN).map(|&sample| layout.episode(sample));
        shown.push(first.collect::<Vec<u32>>());
        rows.push(Row { name, source: source.to_owned(), figures });
    };
    let held = layout.samples().min(args.samples);
    for kind in kinds(args, &layout)? {
        let order = Order::new(layout.samples(), args.seed)?.of_kind(kind);
        let epoch = |epoch| -> Vec<u64> {
            let order = order.epoch(epoch);
            (0..held).map(|position| order.sample(position).get()).collect()
        };
        let name = match kind {
            OrderKind::Uniform => "ours, uniform".to_owned(),
            OrderKind::Windowed { window, .. } => format!("ours, windowed, {window} chunks"),
        };
        add(name, "ours", &layout, (0..args.epochs).map(epoch).collect());
    }
    let mut left_out = Vec::new();
    if args.order.is_none() || args.peers {
        let sorted = layout.sorted();
        for peer in Peer::ALL {
            if peer.arranges_everything() && held < layout.samples() {
                left_out.push(peer.name());
                continue;
            }
            let epoch = |epoch| -> Vec<u64> {
                peer.epoch(&sorted, args.batch_size, args.seed, epoch).take(held as usize).collect()
            };
            add(peer.name(), peer.source(), &sorted, (0..args.epochs).map(epoch).collect());
        }
    }
    print(args, &layout, &rows, &left_out)?;
    if let Some(path) = &args.png {
        let captions: Vec<(String, String)> =
            rows.iter().map(|row| (row.name.clone(), caption(row))).collect();
        picture::mixing(path, &captions, &shown, layout.lengths().len() as u32)?;
        eprintln!("{}", path.display());
    }
    Ok(Outcome::Done)
}

fn kinds(args: &Args, layout: &Layout) -> anyhow::Result<Vec<OrderKind>> {
    let chunk_size = layout.chunk_size();
    if let Some(order) = args.order {
        return Ok(vec![OrderFlags { order, window: args.window }.of_chunks(Some(chunk_size))?]);
    }
    let windows = WINDOWS.into_iter().filter_map(NonZeroU32::new);
    let windowed = windows.map(|window| OrderKind::Windowed { window, chunk_size });
    Ok([OrderKind::Uniform].into_iter().chain(windowed).collect())
}

fn print(args: &Args, layout: &Layout, rows: &[Row], left_out: &[String]) -> anyhow::Result<()> {
    let episodes = layout.lengths().iter().filter(|&&length| length > 0).count() as u64;
    if args.json {
        let report = Report {
            samples: layout.samples(),
            episodes,
            chunk_size: layout.chunk_size(),
            batch_size: args.batch_size,
            seed: args.seed,
            epochs: args.epochs,
            orders: rows,
            left_out,
        };
        say!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(());
    }
    let expected = rows.first().map_or(0.0, |row| row.figures.distinct_expected);
    say!(
        "{} samples of {} episodes in chunks of {}, batches of {}; a uniform draw has {expected:.2} episodes a batch",
        grouped(layout.samples()),
        grouped(episodes),
        layout.chunk_size(),
        args.batch_size
    );
    if layout.samples() > args.samples {
        say!("the first {} samples of each epoch", grouped(args.samples));
    }
    say!("");
    say!("{}", table(rows).trim_end());
    say!("");
    say!(
        "episodes, p1, of unif.: distinct episodes a batch, the hundredth-worst batch, share of a uniform draw;"
    );
    say!(
        "64 bat.: that share for {HORIZON} batches together; neighbours: next sample of the same episode, against"
    );
    say!(
        "chance; pairs: two of a batch together again next epoch, against chance; covered: samples an epoch has"
    );
    if !left_out.is_empty() {
        say!("left out, since they arrange a whole epoch in memory: {}", left_out.join("; "));
    }
    Ok(())
}

fn caption(row: &Row) -> String {
    let figures = &row.figures;
    format!(
        "{:.1} % of uniform a batch, neighbours {:.2}x",
        100.0 * figures.distinct_share,
        figures.same_episode_neighbours
    )
}

fn synthetic_layout(args: &Args) -> Layout {
    let (episodes, steps) = args.synthetic.unwrap_or_default();
    let lengths = vec![steps; episodes as usize];
    #[cfg(feature = "hdf5")]
    if let (Some(chunks), Some(run_length)) =
        (args.spread.and_then(NonZeroU32::new), NonZeroU32::new(args.run_length))
    {
        let spread = rdt_producer::Spread { chunks, run_length };
        return Layout::spread(&lengths, args.chunk_size, args.seed, spread);
    }
    Layout::in_order(&lengths, args.chunk_size)
}

/// Most samples of an imagined buffer: a thousand million.
const MOST_SYNTHETIC: u64 = 1 << 30;

fn synthetic(text: &str) -> Result<(u32, u32), String> {
    let numbers = text.split_once('x').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    let fits = |&(episodes, steps): &(u32, u32)| {
        episodes > 0 && steps > 0 && u64::from(episodes) * u64::from(steps) <= MOST_SYNTHETIC
    };
    numbers.filter(fits).ok_or_else(|| {
        format!("expected two numbers as in 1024x256, of at most {MOST_SYNTHETIC} samples together")
    })
}
