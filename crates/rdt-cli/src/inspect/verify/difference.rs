//! In what two samples differ, said so that a person finds the place.

use rdt_schema::state_vec::label_of;
use rdt_schema::{CameraSlot, STATE_DIM, Sample};

/// Of frames that were encoded with loss: the mean difference, in levels of 255, up to
/// which they are taken for the same picture.
const LOSSY_LEVELS: f64 = 16.0;

/// The first difference between a stored sample and its source; `None` if there is none.
/// Numbers are compared bit by bit. With `is_lossy`, frames may differ as JPEGs do.
pub(super) fn first(stored: &Sample, source: &Sample, is_lossy: bool) -> Option<String> {
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
        .or_else(|| CameraSlot::ALL.into_iter().find_map(|slot| of_frames(slot, stored, source, is_lossy)))
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

fn of_frames(slot: CameraSlot, stored: &Sample, source: &Sample, is_lossy: bool) -> Option<String> {
    let (stored, source) = (&stored.frames[slot.index()], &source.frames[slot.index()]);
    let name = slot.name();
    let sizes = [(stored.height, stored.width), (source.height, source.width)];
    if sizes[0] != sizes[1] || stored.pixels.len() != source.pixels.len() {
        let [(h, w), (source_h, source_w)] = sizes;
        return Some(format!("frames of {name} are {h} x {w}, the source's {source_h} x {source_w}"));
    }
    if let Some(difference) = of_mask(&format!("the mask of {name}"), &stored.time_mask, &source.time_mask) {
        return Some(difference);
    }
    let pairs = || stored.pixels.iter().zip(&source.pixels);
    let differing = pairs().filter(|(a, b)| a != b).count();
    let sum: u64 = pairs().map(|(&a, &b)| u64::from(a.abs_diff(b))).sum();
    let mean = sum as f64 / stored.pixels.len().max(1) as f64;
    let same = if is_lossy { mean <= LOSSY_LEVELS } else { differing == 0 };
    (!same).then(|| {
        format!(
            "frames of {name} differ in {differing} of {} values, {mean:.2} levels in the mean",
            stored.pixels.len()
        )
    })
}
