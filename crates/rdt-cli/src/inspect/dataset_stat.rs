//! `rdt-buf dataset-stat`: RDT's `dataset_stat.json`, from the sums of the fill.

use std::path::PathBuf;

use rdt_inspect::dataset_stat::{existing, others, write_json};
use rdt_inspect::number::counted;

use crate::exit::{Outcome, Usage};
use crate::inspect::open;

/// Arguments of `rdt-buf dataset-stat`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The buffer
    pub dir: PathBuf,
    /// Where to write the statistics
    #[arg(long, value_name = "dataset_stat.json")]
    pub out: PathBuf,
    /// Keep the other data sets of an existing file, as RDT's script does
    #[arg(long)]
    pub merge: bool,
    /// With --merge: leave data sets that the file has as they are
    #[arg(long, requires = "merge")]
    pub skip_exist: bool,
}

/// Runs the command.
///
/// # Errors
/// The path is not a buffer; the file exists with other data sets and `--merge` is not
/// given; it cannot be read or written.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let buffer = open(&args.dir)?;
    let mut all = existing(&args.out)?;
    let others = others(&buffer, &all);
    // Before anything is printed.
    if !args.merge && !others.is_empty() {
        return Err(Usage::new(format!(
            "{} holds other data sets: {}; add --merge to keep them, or give another --out",
            args.out.display(),
            others.join(", ")
        )));
    }
    for dataset in &buffer.manifest().datasets {
        let name = &dataset.schema.name;
        if args.skip_exist && all.contains_key(name) {
            say!("{name}: kept as it is in {}", args.out.display());
            continue;
        }
        say!("{name}: from {}", counted(dataset.episodes, "episode"));
        all.insert(name.clone(), dataset.statistics.clone());
    }
    write_json(&args.out, &all)?;
    Ok(Outcome::Done)
}
