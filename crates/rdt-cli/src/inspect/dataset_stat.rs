//! `rdt-buf dataset-stat`: RDT's `dataset_stat.json`, from the sums of the fill.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rdt_buffer::Buffer;
use rdt_schema::dataset_lists::read_statistics;
use rdt_schema::statistics::DatasetStatistics;

use crate::exit::{Outcome, Usage};
use crate::inspect::number::counted;
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
    let mut all = existing(args)?;
    check_others(args, &buffer, &all)?;
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

/// Refuses to drop data sets that an existing file holds. Before anything is printed.
fn check_others(
    args: &Args,
    buffer: &Buffer,
    existing: &BTreeMap<String, DatasetStatistics>,
) -> anyhow::Result<()> {
    let datasets = &buffer.manifest().datasets;
    let is_other = |name: &&String| !datasets.iter().any(|dataset| dataset.schema.name == **name);
    let others: Vec<&str> = existing.keys().filter(is_other).map(String::as_str).collect();
    if args.merge || others.is_empty() {
        return Ok(());
    }
    Err(Usage::new(format!(
        "{} holds other data sets: {}; add --merge to keep them, or give another --out",
        args.out.display(),
        others.join(", ")
    )))
}

fn existing(args: &Args) -> anyhow::Result<BTreeMap<String, DatasetStatistics>> {
    if !args.out.exists() {
        return Ok(BTreeMap::new());
    }
    Ok(read_statistics(&args.out)?)
}

/// Writes JSON as RDT's scripts do: four spaces, ASCII only.
pub(crate) fn write_json(path: &Path, value: &impl serde::Serialize) -> anyhow::Result<()> {
    std::fs::write(path, to_json(value)?).with_context(|| {
        format!("cannot write {}; check that its folder exists and has space", path.display())
    })
}

fn to_json(value: &impl serde::Serialize) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, format))?;
    let text = String::from_utf8(bytes)?;
    // RDT opens its JSON in the locale's encoding: only ASCII reads the same everywhere.
    let mut ascii = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_ascii() {
            ascii.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    Ok(ascii)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_ascii_and_reads_back() {
        let text = "caf\u{e9} \u{1f916}";
        let json = to_json(&serde_json::json!({"a": text})).expect("json");
        assert_eq!(json, "{\n    \"a\": \"caf\\u00e9 \\ud83e\\udd16\"\n}");
        let back: serde_json::Value = serde_json::from_str(&json).expect("json");
        assert_eq!(back["a"], text);
    }
}
