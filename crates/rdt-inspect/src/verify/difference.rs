//! In what two samples differ, said so that a person finds the place.

use rdt_schema::state_vec::label_of;
use rdt_schema::{CameraSlot, STATE_DIM, Sample};

/// Of frames that were encoded with loss: the mean difference, in levels of 255, up to
/// which they are taken for the same picture.
const LOSSY_LEVELS: f64 = 16.0;

/// The first difference between a stored sample and its source, frames aside; `None` if
/// there is none. Numbers are compared bit by bit.
pub(super) fn first(stored: &Sample, source: &Sample) -> Option<String> {
    let rows = [
        ("state_chunk", &stored.state_chunk, &source.state_chunk),
        ("action_chunk", &stored.action_chunk, &source.action_chunk),
        ("state_std", &stored.state_std, &source.state_std),
        ("state_mean", &stored.state_mean, &source.state_mean),
        ("state_norm", &stored.state_norm, &source.state_norm),
    ];
    let masks = [
        ("state_chunk_time_mask", &stored.state_chunk_time_mask, &source.state_chunk_time_mask),
        ("action_chunk_time_mask", &stored.action_chunk_time_mask, &source.action_chunk_time_mask),
        ("state_vec_mask", &stored.state_vec_mask, &source.state_vec_mask),
    ];
    let words = [
        ("dataset_name", stored.dataset_name.clone(), source.dataset_name.clone()),
        ("#steps", stored.num_steps.to_string(), source.num_steps.to_string()),
        ("control_freq", stored.control_freq.to_string(), source.control_freq.to_string()),
    ];
    words
        .into_iter()
        .find(|(_, stored, source)| stored != source)
        .map(|(name, stored, source)| format!("{name} is {stored}, the source says {source}"))
        .or_else(|| {
            (stored.instructions != source.instructions).then(|| {
                let text = |sample: &Sample| sample.instructions.first().map(|i| i.text.clone());
                let (stored, source) = (text(stored), text(source));
                format!("instructions differ: {stored:?}, the source says {source:?}")
            })
        })
        .or_else(|| rows.into_iter().find_map(|(name, stored, source)| of_rows(name, stored, source)))
        .or_else(|| masks.into_iter().find_map(|(name, stored, source)| of_mask(name, stored, source)))
}

fn of_rows(name: &str, stored: &[f32], source: &[f32]) -> Option<String> {
    if stored.len() != source.len() {
        return Some(format!("{name} has {} numbers, the source gives {}", stored.len(), source.len()));
    }
    let at = stored.iter().zip(source).position(|(a, b)| a.to_bits() != b.to_bits())?;
    let (row, entry) = (at / STATE_DIM, at % STATE_DIM);
    Some(format!(
        "{name} row {row} entry {entry} ({}) is {}, the source says {}",
        label_of(entry),
        stored[at],
        source[at]
    ))
}

fn of_mask(name: &str, stored: &[u8], source: &[u8]) -> Option<String> {
    (stored != source).then(|| format!("{name} is {stored:?}, the source says {source:?}"))
}

/// In what two frames differ; sizes are (height, width), pixels upright RGB.
pub(super) fn of_pixels(
    slot: CameraSlot,
    (size, stored): ((u32, u32), &[u8]),
    (source_size, source): ((u32, u32), &[u8]),
    is_lossy: bool,
) -> Option<String> {
    let name = slot.name();
    if size != source_size || stored.len() != source.len() {
        let ((h, w), (source_h, source_w)) = (size, source_size);
        return Some(format!("frames of {name} are {h} x {w}, the source's {source_h} x {source_w}"));
    }
    if stored == source {
        return None;
    }
    let pairs = || stored.iter().zip(source);
    let differing = pairs().filter(|(a, b)| a != b).count();
    let sum: u64 = pairs().map(|(&a, &b)| u64::from(a.abs_diff(b))).sum();
    let mean = sum as f64 / stored.len().max(1) as f64;
    (!(is_lossy && mean <= LOSSY_LEVELS)).then(|| {
        format!(
            "frames of {name} differ in {differing} of {} values, {mean:.2} levels in the mean",
            stored.len()
        )
    })
}
