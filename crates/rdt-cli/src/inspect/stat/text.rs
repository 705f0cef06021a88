//! `rdt-buf stat` for a person.

use std::fmt;
use std::path::Path;

use rdt_buffer::BufferState;
use rdt_inspect::number::{bytes, counted, grouped};
use rdt_inspect::stat::{DamagedChunk, DatasetReport, OmissionReport, Report};

/// Omissions shown; `--json` has all of them.
const SHOWN: usize = 20;

/// A report as text.
pub(super) struct Text<'a> {
    pub(super) report: &'a Report,
    pub(super) dir: &'a Path,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let r = self.report;
        let state = match r.state {
            BufferState::Complete => "complete".to_owned(),
            BufferState::Live => format!(
                "live: {} of {} chunks, {} samples",
                grouped(r.chunks),
                grouped(r.planned_chunks),
                grouped(r.samples)
            ),
            BufferState::Filling => format!(
                "filling: {} of {} chunks, {} of {} samples",
                grouped(r.chunks),
                grouped(r.planned_chunks),
                grouped(r.samples),
                grouped(r.planned_samples)
            ),
        };
        writeln!(f, "{}   {state}, format {}", self.dir.display(), r.format_version)?;
        writeln!(f)?;
        let row = |f: &mut fmt::Formatter<'_>, name: &str, value: String| writeln!(f, "  {name:<10}{value}");
        row(
            f,
            "samples",
            format!(
                "{} in {} of {}, from {}",
                grouped(r.samples),
                counted(r.chunks, "chunk"),
                grouped(r.chunk_size.into()),
                counted(r.episodes, "episode")
            ),
        )?;
        let rest = (r.bytes - r.frame_bytes) as f64 / r.samples.max(1) as f64;
        row(
            f,
            "size",
            format!(
                "{}, {} a sample (frames {}, the rest {})",
                bytes(r.bytes as f64),
                bytes(r.bytes_per_sample),
                bytes(r.frame_bytes as f64 / r.samples.max(1) as f64),
                bytes(rest)
            ),
        )?;
        let form = match r.frame_size {
            None => format!("codec {}", r.codec),
            Some(size) => format!("padded and resized to {size} x {size}, codec {}", r.codec),
        };
        row(f, "frames", format!("{}, each stored once a chunk, {form}", grouped(r.frames)))?;
        let sampling = if r.sampling == "all" {
            "every step once".to_owned()
        } else {
            format!("{} (seed {})", r.sampling, r.seed)
        };
        row(f, "sampling", sampling)?;
        let spread = match r.spread {
            None => "in order".to_owned(),
            Some(spread) => {
                format!("spread over {} chunks in runs of {} steps", spread.chunks, spread.run_length)
            }
        };
        let episodes = counted_mean(r.episodes_per_chunk, "episode");
        row(f, "layout", format!("{spread}; {episodes} a chunk, {:.1} steps a run", r.steps_per_run))?;
        let generations = match r.generations.keys().collect::<Vec<_>>().as_slice() {
            [] => "none".to_owned(),
            [only] => format!("{only}"),
            [first, .., last] => format!("{first} to {last}"),
        };
        row(
            f,
            "bits",
            format!("{} clean, {} dirty, generation {generations}", grouped(r.clean), grouped(r.dirty)),
        )?;
        if let Some(language) = &r.embeddings.language {
            let missing = match language.missing {
                0 => String::new(),
                missing => format!(", {} missing: run rdt-consume embed", grouped(missing)),
            };
            row(
                f,
                "embedded",
                format!(
                    "{} by encoder {}, {} x {}, {}{missing}",
                    counted(language.instructions, "instruction"),
                    &language.encoder[..8.min(language.encoder.len())],
                    language.width,
                    language.element.name(),
                    bytes(language.bytes as f64)
                ),
            )?;
        }
        if let Some(images) = &r.embeddings.images {
            let missing = match images.missing_chunks {
                0 => String::new(),
                missing => format!(", {} missing: run rdt-consume embed --images", counted(missing, "chunk")),
            };
            row(
                f,
                "embedded",
                format!(
                    "frames of {} by encoder {}, {} x {} {} an image, {}{missing}",
                    counted(images.chunks, "chunk"),
                    &images.encoder[..8.min(images.encoder.len())],
                    images.tokens,
                    images.width,
                    images.element.name(),
                    bytes(images.bytes as f64)
                ),
            )?;
        }
        for damaged in &r.embeddings.damaged {
            writeln!(f, "damaged embeddings: {}", damaged.reason)?;
        }
        for dataset in &r.datasets {
            write_dataset(f, dataset)?;
        }
        write_omissions(f, "skipped (something is wrong with them)", &r.skipped)?;
        write_omissions(f, "filtered out (by design)", &r.filtered)?;
        write_damaged(f, "damaged chunks; rdt-buf verify lists all that is lost:", &r.damaged)?;
        write_damaged(
            f,
            "chunks without usable bits, their samples whole; the same rdt-produce --fill-up command, \
             run again, makes the bits anew:",
            &r.damaged_bits,
        )
    }
}

/// A mean of a count, without the decimal place that says nothing.
fn counted_mean(mean: f64, what: &str) -> String {
    if mean == 1.0 { format!("1 {what}") } else { format!("{mean:.1} {what}s") }
}

fn write_dataset(f: &mut fmt::Formatter<'_>, d: &DatasetReport) -> fmt::Result {
    writeln!(f, "\n{}   {}", d.name, d.path.display())?;
    let row = |f: &mut fmt::Formatter<'_>, name: &str, value: String| writeln!(f, "  {name:<10}{value}");
    row(f, "episodes", format!("{} with {}", grouped(d.episodes), counted(d.steps, "step")))?;
    row(
        f,
        "stored",
        format!(
            "{}, coverage {:.2} % ({} distinct of {} steps)",
            counted(d.samples, "sample"),
            // A missing step must not be rounded away.
            (d.coverage * 1e4).floor() / 1e2,
            grouped(d.distinct_steps),
            grouped(d.steps)
        ),
    )?;
    let hz = if d.control_freq > 0.0 { format!("{} Hz, ", d.control_freq) } else { String::new() };
    row(
        f,
        "vector",
        format!(
            "{hz}{} state and {} action entries, card {}",
            d.state_columns.len(),
            d.action_columns.len(),
            d.card
        ),
    )?;
    let cameras: Vec<String> = d
        .frame_sizes
        .iter()
        .map(|size| {
            let camera = size.slot.name().replace('_', " ");
            format!("{camera} {} x {} {}", size.width, size.height, size.codec)
        })
        .collect();
    row(f, "cameras", if cameras.is_empty() { "none".into() } else { cameras.join(", ") })?;
    let examples: Vec<String> =
        d.instruction_examples.iter().map(|text| format!("\u{201c}{text}\u{201d}")).collect();
    let more = d.instructions - examples.len() as u64;
    let more = if more == 0 { String::new() } else { format!(" and {} more", grouped(more)) };
    row(f, "told", format!("{}{more}", examples.join(", ")))
}

fn write_damaged(f: &mut fmt::Formatter<'_>, title: &str, chunks: &[DamagedChunk]) -> fmt::Result {
    if chunks.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}")?;
    for damaged in chunks.iter().take(SHOWN) {
        writeln!(f, "  {:08}  {}", damaged.chunk, damaged.reason)?;
    }
    if chunks.len() > SHOWN {
        writeln!(f, "  and {} more, see --json", grouped((chunks.len() - SHOWN) as u64))?;
    }
    Ok(())
}

fn write_omissions(f: &mut fmt::Formatter<'_>, title: &str, omissions: &[OmissionReport]) -> fmt::Result {
    if omissions.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{} {title}", grouped(omissions.len() as u64))?;
    for omission in omissions.iter().take(SHOWN) {
        let episode = if omission.episode.is_empty() { "" } else { ":" };
        writeln!(
            f,
            "  {} {}{episode}{}: {}",
            omission.dataset, omission.source, omission.episode, omission.reason
        )?;
    }
    if omissions.len() > SHOWN {
        writeln!(f, "  and {} more, see --json", grouped((omissions.len() - SHOWN) as u64))?;
    }
    Ok(())
}
