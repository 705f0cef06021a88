//! `rdt-buf show`: one sample for a person, as text and as a picture.

use std::fmt::Write as _;
use std::path::PathBuf;

use rdt_chunk::SampleView;
use rdt_inspect::locate::Located;
use rdt_inspect::sample::{decode, origin};
use rdt_schema::state_vec::label_of;
use rdt_schema::{CameraSlot, STATE_DIM, Sample};

use crate::exit::Outcome;
use crate::inspect::open;
use crate::inspect::which::WhichFlags;
use crate::picture;

/// Arguments of `rdt-buf show`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The buffer
    pub dir: PathBuf,
    #[expect(missing_docs, reason = "clap would show it as the command's description")]
    #[command(flatten)]
    pub which: WhichFlags,
    /// Also draw the sample: its frames and its windows of states and actions
    #[arg(long, value_name = "FILE")]
    pub png: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// There is no such sample, it is damaged, or the picture cannot be written.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let buffer = open(&args.dir)?;
    let located = args.which.find(&buffer)?;
    let sample = decode(&located)?;
    let view = located.view()?;
    // First what can fail: an exit code of 1 after a whole report would be missed.
    if let Some(path) = &args.png {
        picture::sample(path, &sample, view.dataset(), &located.place())?;
    }
    say!("{}", text(&located, &view, &sample, buffer.manifest().fill.frame_size)?);
    if let Some(path) = &args.png {
        say!("picture written to {}", path.display());
    }
    Ok(Outcome::Done)
}

fn text(
    located: &Located,
    view: &SampleView<'_>,
    sample: &Sample,
    frame_size: Option<u32>,
) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let info = view.episode();
    writeln!(out, "{}   generation {}", located.place(), located.chunk.header().generation)?;
    writeln!(out, "{}", origin(sample))?;
    writeln!(
        out,
        "  episode of {} steps (RDT's #steps: {}), samples from step {} on",
        info.steps, info.num_steps, info.first_step
    )?;
    for wording in &sample.instructions {
        writeln!(out, "  told {:>5.1} %  \u{201c}{}\u{201d}", wording.weight * 100.0, wording.text)?;
    }
    let prepared = frame_size.map_or(String::new(), |_| ", padded and resized when they were stored".into());
    writeln!(out, "\nframes (oldest first{prepared})")?;
    for slot in CameraSlot::ALL {
        writeln!(out, "  {:<12}{}", slot.name().replace('_', " "), camera(view, slot))?;
    }
    let window = &view.dataset().window;
    writeln!(
        out,
        "\nwindows\n  states   {} rows to this step, {} of them padding",
        window.state_rows,
        padding(&sample.state_chunk_time_mask)
    )?;
    writeln!(
        out,
        "  actions  {} rows from this step on, {} of them padding",
        window.action_rows,
        padding(&sample.action_chunk_time_mask)
    )?;
    write_entries(&mut out, view, sample)?;
    Ok(out)
}

fn camera(view: &SampleView<'_>, slot: CameraSlot) -> String {
    let frames: Vec<String> = (0..view.dataset().window.image_history)
        .filter_map(|history| view.frame(slot, history))
        .map(|frame| {
            let bytes = frame.bytes().map_or(0, <[u8]>::len);
            let padding = if frame.valid { "" } else { " (padding)" };
            format!(
                "{} x {} {} {} bytes{padding}",
                frame.form.width,
                frame.form.height,
                frame.codec.name(),
                bytes
            )
        })
        .collect();
    if frames.is_empty() { "absent".to_owned() } else { frames.join(", ") }
}

fn padding(mask: &[u8]) -> usize {
    mask.iter().filter(|&&valid| valid == 0).count()
}

/// State now, the first and the last action row, and the episode's statistics, an entry a line.
fn write_entries(out: &mut String, view: &SampleView<'_>, sample: &Sample) -> std::fmt::Result {
    let schema = view.dataset();
    let mut entries: Vec<u8> = schema.state_columns.iter().chain(&schema.action_columns).copied().collect();
    entries.sort_unstable();
    entries.dedup();
    writeln!(
        out,
        "\n{:>3}  {:<28}{:>11}{:>11}{:>11}{:>11}{:>11}{:>11}",
        "", "entry", "state", "action", "last act.", "mean", "std", "norm"
    )?;
    let last = |rows: &[f32]| rows.len() / STATE_DIM - 1;
    let at = |rows: &[f32], row: usize, entry: u8| rows[row * STATE_DIM + usize::from(entry)];
    let shown = |is_filled: bool, value: f32| {
        if is_filled { format!("{value:.5}") } else { "-".to_owned() }
    };
    for entry in entries {
        let is_state = schema.state_columns.contains(&entry);
        let is_action = schema.action_columns.contains(&entry);
        let is_norm = schema.norm_columns().contains(&entry);
        let index = usize::from(entry);
        writeln!(
            out,
            "{entry:>3}  {:<28}{:>11}{:>11}{:>11}{:>11}{:>11}{:>11}",
            label_of(index),
            shown(is_state, at(&sample.state_chunk, last(&sample.state_chunk), entry)),
            shown(is_action, at(&sample.action_chunk, 0, entry)),
            shown(is_action, at(&sample.action_chunk, last(&sample.action_chunk), entry)),
            shown(is_state, sample.state_mean[index]),
            shown(is_state, sample.state_std[index]),
            shown(is_norm, sample.state_norm[index]),
        )?;
    }
    Ok(())
}
