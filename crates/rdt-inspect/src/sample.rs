//! One sample as tensors, under RDT's names.

use std::collections::HashMap;
use std::path::Path;

use rdt_chunk::FrameDecoder;
use rdt_schema::{STATE_DIM, Sample};
use safetensors::tensor::{Dtype, TensorView};

use crate::error::{Context, Result};
use crate::locate::Located;

/// Decodes a sample; the error names it.
///
/// # Errors
/// It is damaged.
pub fn decode(located: &Located) -> Result<Sample> {
    located.view()?.to_sample(&mut FrameDecoder::new()).with_context(|| {
        format!(
            "{} cannot be read from {}; rdt-buf verify lists all that is damaged",
            located.place(),
            located.path.display()
        )
    })
}

/// For a person: data set, episode and step.
pub fn origin(sample: &Sample) -> String {
    let colon = if sample.key.is_empty() { "" } else { ":" };
    format!("{} {}{colon}{} step {}", sample.dataset_name, sample.source, sample.key, sample.step_id)
}

/// What is not a tensor: names, numbers, origin, for the header of a file.
///
/// # Errors
/// It cannot be put into JSON.
pub fn metadata(
    sample: &Sample,
    located: &Located,
    frame_size: Option<u32>,
) -> Result<HashMap<String, String>> {
    let wordings: Vec<serde_json::Value> = sample
        .instructions
        .iter()
        .map(|wording| serde_json::json!({"weight": wording.weight, "text": wording.text}))
        .collect();
    let first = sample.instructions.first().map(|wording| wording.text.clone()).unwrap_or_default();
    let generation = located.chunk.header().generation;
    let entries = [
        ("dataset_name", sample.dataset_name.clone()),
        ("#steps", sample.num_steps.to_string()),
        ("instruction", first),
        ("instructions", serde_json::to_string(&wordings)?),
        ("source", sample.source.clone()),
        ("episode", sample.key.clone()),
        ("step", sample.step_id.to_string()),
        ("control_freq", sample.control_freq.to_string()),
        ("sample", located.id.to_string()),
        ("chunk", located.chunk_id.get().to_string()),
        ("slot", located.slot.to_string()),
        ("generation", generation.to_string()),
    ];
    // Only where frames were padded and resized when they were stored.
    let size = frame_size.map(|size| ("frame_size", size.to_string()));
    Ok(entries.into_iter().chain(size).map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Name, element type, shape and little-endian bytes.
type Entry = (String, Dtype, Vec<usize>, Vec<u8>);

/// Writes a sample as safetensors, with `metadata` in its header.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, sample: &Sample, metadata: HashMap<String, String>) -> Result<()> {
    let entries = entries(sample);
    let views: Vec<(&str, TensorView<'_>)> = entries
        .iter()
        .map(|(name, dtype, shape, bytes)| {
            Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?))
        })
        .collect::<std::result::Result<_, safetensors::SafeTensorError>>()?;
    let bytes = safetensors::serialize(views, Some(metadata))?;
    std::fs::write(path, bytes).with_context(|| {
        format!("cannot write {}; check that its folder exists and has space", path.display())
    })
}

/// The tensors under RDT's names: vectors f32, masks and frames u8, the step i64.
fn entries(sample: &Sample) -> Vec<Entry> {
    let floats = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let rows = |name: &str, values: &[f32]| -> Entry {
        (name.into(), Dtype::F32, vec![values.len() / STATE_DIM, STATE_DIM], floats(values))
    };
    let vector = |name: &str, values: &[f32]| -> Entry {
        (name.into(), Dtype::F32, vec![values.len()], floats(values))
    };
    let mask = |name: &str, values: &[u8]| -> Entry {
        (name.into(), Dtype::U8, vec![values.len()], values.to_vec())
    };
    let mut entries = vec![
        ("step_id".into(), Dtype::I64, vec![], i64::from(sample.step_id).to_le_bytes().to_vec()),
        rows("state_chunk", &sample.state_chunk),
        mask("state_chunk_time_mask", &sample.state_chunk_time_mask),
        rows("action_chunk", &sample.action_chunk),
        mask("action_chunk_time_mask", &sample.action_chunk_time_mask),
        mask("state_vec_mask", &sample.state_vec_mask),
    ];
    for (camera, frames) in sample.frames.iter().enumerate() {
        let (height, width) = (frames.height as usize, frames.width as usize);
        let channels = if height == 0 { 0 } else { 3 };
        let shape = vec![frames.time_mask.len(), height, width, channels];
        entries.push((format!("past_frames_{camera}"), Dtype::U8, shape, frames.pixels.clone()));
        entries.push(mask(&format!("past_frames_{camera}_time_mask"), &frames.time_mask));
    }
    entries.extend([
        vector("state_std", &sample.state_std),
        vector("state_mean", &sample.state_mean),
        vector("state_norm", &sample.state_norm),
    ]);
    entries
}
