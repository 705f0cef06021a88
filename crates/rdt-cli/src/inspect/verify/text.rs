//! `rdt-buf verify` for a person: faults of one cause in one line, and what helps.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use rdt_inspect::number::{bytes, counted, grouped};
use rdt_inspect::verify::{Bad, Kind, Report};

/// Groups of faults shown; `--json` has every fault.
const SHOWN: usize = 20;

/// Prints a report.
pub(super) fn print(report: &Report) -> anyhow::Result<()> {
    say!(
        "{}, {}, {}, {}: every checksum and frame looked at",
        counted(report.chunks, "chunk"),
        counted(report.samples, "sample"),
        counted(report.frames, "frame"),
        bytes(report.bytes as f64)
    );
    if let Some(compared) = report.compared {
        say!("{} compared with the source files", counted(compared, "sample"));
    }
    if report.embedding_files > 0 {
        say!("{}: every embedding looked at", counted(report.embedding_files, "embedding file"));
    }
    if report.ok {
        say!("all is as it was written");
        return Ok(());
    }
    for bad in &report.bad_embeddings {
        say!("{}", bad.reason);
    }
    let groups = groups(&report.bad);
    for group in groups.iter().take(SHOWN) {
        say!("{group}");
    }
    if groups.len() > SHOWN {
        say!("and {} more such lines; --json lists every fault", grouped((groups.len() - SHOWN) as u64));
    }
    say!(
        "{}, {} lost or wrong",
        counted(report.bad.len() as u64, "fault"),
        counted(report.bad_samples, "sample")
    );
    for kind in report.bad.iter().map(|bad| bad.kind).collect::<BTreeSet<_>>() {
        say!("{}", remedy(kind));
    }
    Ok(())
}

/// What to do about it.
fn remedy(kind: Kind) -> &'static str {
    match kind {
        Kind::Damaged => {
            "damaged or missing chunks: remove those that are named and run the same rdt-produce \
             command again"
        }
        Kind::Bits => {
            "bits: run the same rdt-produce --fill-up command again, which makes them anew; \
             no sample is lost"
        }
        Kind::Source => {
            "frames that do not decode under a checksum that fits: the source itself is bad, and the \
             same command would store the same bytes; leave the named episodes out, or produce the \
             buffer again with --check-frames, which finds and skips them"
        }
        Kind::Differs => {
            "samples unlike their source: it was changed after the fill; put the old files back, or \
             produce the buffer again"
        }
    }
}

/// Faults of the same chunk, episode and reason.
struct Group<'a> {
    first: &'a Bad,
    /// First and last slot; `None` where the whole chunk is concerned.
    slots: Option<(u32, u32)>,
    steps: Option<(u32, u32)>,
    samples: u64,
}

/// Groups faults; in the order of the first fault of each.
fn groups(bad: &[Bad]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut places: BTreeMap<_, usize> = BTreeMap::new();
    for fault in bad {
        let key =
            (fault.chunk, fault.slot.is_some(), &fault.dataset, &fault.source, &fault.episode, &fault.reason);
        let at = *places.entry(key).or_insert(groups.len());
        if at == groups.len() {
            groups.push(Group { first: fault, slots: None, steps: None, samples: 0 });
        }
        let group = &mut groups[at];
        group.slots = widened(group.slots, fault.slot);
        group.steps = widened(group.steps, fault.step);
        group.samples += fault.samples;
    }
    groups
}

fn widened(range: Option<(u32, u32)>, by: Option<u32>) -> Option<(u32, u32)> {
    match (range, by) {
        (Some((first, last)), Some(by)) => Some((first.min(by), last.max(by))),
        (None, Some(by)) => Some((by, by)),
        (range, None) => range,
    }
}

impl fmt::Display for Group<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "chunk {:08}", self.first.chunk)?;
        write_range(f, "slot", self.slots)?;
        if let (Some(dataset), Some(source)) = (&self.first.dataset, &self.first.source) {
            let key = self.first.episode.as_deref().unwrap_or_default();
            write!(f, " ({dataset} {source}{}{key}", if key.is_empty() { "" } else { ":" })?;
            write_range(f, "step", self.steps)?;
            write!(f, ")")?;
        }
        if self.samples > 1 {
            write!(f, ", {}", counted(self.samples, "sample"))?;
        }
        write!(f, ": {}", self.first.reason)
    }
}

fn write_range(f: &mut fmt::Formatter<'_>, noun: &str, range: Option<(u32, u32)>) -> fmt::Result {
    match range {
        Some((first, last)) if first == last => write!(f, " {noun} {first}"),
        Some((first, last)) => write!(f, " {noun}s {first} to {last}"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(chunk: u32, slot: u32, reason: &str) -> Bad {
        Bad {
            chunk,
            slot: Some(slot),
            step: Some(slot + 7),
            dataset: Some("libero".into()),
            source: Some("a.hdf5".into()),
            episode: Some("data/demo_0".into()),
            samples: 1,
            reason: reason.into(),
            ..Bad::default()
        }
    }

    #[test]
    fn faults_of_one_cause_are_one_line() {
        let bad = [fault(0, 1, "x"), fault(0, 2, "x"), fault(0, 2, "y"), fault(0, 3, "x"), fault(1, 3, "x")];
        let lines: Vec<String> = groups(&bad).iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "chunk 00000000 slots 1 to 3 (libero a.hdf5:data/demo_0 steps 8 to 10), 3 samples: x",
                "chunk 00000000 slot 2 (libero a.hdf5:data/demo_0 step 9): y",
                "chunk 00000001 slot 3 (libero a.hdf5:data/demo_0 step 10): x",
            ]
        );
    }
}
