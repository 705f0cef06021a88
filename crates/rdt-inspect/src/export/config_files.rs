//! RDT's configuration files for an exported buffer.

use std::path::Path;

use rdt_buffer::{Manifest, ManifestDataset};
use rdt_schema::card::CameraSource;
use rdt_schema::{CameraSlot, Config, DatasetCard};
use serde_json::{Map, Value, json};

use super::{cannot_write, create_folder};
use crate::dataset_stat::write_json;
use crate::error::{Context, Result};

/// Writes `OUT/configs/`: what RDT's consumer reads from its own folder of that name.
pub(super) fn write(manifest: &Manifest, out: &Path) -> Result<()> {
    let folder = out.join("configs");
    create_folder(&folder)?;
    let by_name = |value: &dyn Fn(&ManifestDataset) -> Value| -> Value {
        let entries = manifest.datasets.iter().map(|d| (d.schema.name.clone(), value(d)));
        Value::Object(entries.collect::<Map<_, _>>())
    };
    let names: Vec<&str> = manifest.datasets.iter().map(|d| d.schema.name.as_str()).collect();
    let weights = by_name(&|dataset| number(dataset.weight));
    let mut statistics = Map::new();
    for dataset in &manifest.datasets {
        statistics.insert(dataset.schema.name.clone(), serde_json::to_value(&dataset.statistics)?);
    }
    let json = |name: &str, value: Value| write_json(&folder.join(name), &value);
    json("finetune_datasets.json", json!(names))?;
    json("pretrain_datasets.json", json!(names))?;
    json("finetune_sample_weights.json", weights.clone())?;
    json("pretrain_sample_weights.json", weights)?;
    json("dataset_control_freq.json", by_name(&|d| number(d.schema.control_freq.into())))?;
    json("dataset_img_keys.json", by_name(&image_keys))?;
    json("dataset_stat.json", Value::Object(statistics))?;

    let buffer = std::path::absolute(out)
        .with_context(|| format!("cannot make {} absolute; check the path", out.display()))?;
    let chunks = u32::try_from(manifest.chunk_count()).unwrap_or(u32::MAX);
    let path = folder.join("base.yaml");
    let text = base_yaml(&manifest.config.text, &manifest.config.path, &buffer, chunks, manifest.chunk_size)?;
    std::fs::write(&path, text).with_context(|| cannot_write(&path))
}

/// Whole numbers without a fraction, as RDT writes them.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 1e15 { json!(value as i64) } else { json!(value) }
}

/// Names of the four cameras; an absent one repeats the first, as RDT's lists do.
fn image_keys(dataset: &ManifestDataset) -> Value {
    let card = DatasetCard::from_text(&dataset.card.text, &dataset.card.path).ok();
    let rule = |slot: CameraSlot| card.as_ref().and_then(|card| card.cameras[slot.index()].as_ref());
    let name = |slot: CameraSlot| match rule(slot).map(|rule| &rule.source) {
        Some(CameraSource::Array { path, .. }) => path.rsplit('/').next().unwrap_or(path).to_owned(),
        _ => slot.name().to_owned(),
    };
    let is_there = |slot: CameraSlot| dataset.schema.cameras[slot.index()] || rule(slot).is_some();
    let first = CameraSlot::ALL.into_iter().find(|&slot| is_there(slot)).unwrap_or(CameraSlot::External);
    let keys = CameraSlot::ALL.map(|slot| name(if is_there(slot) { slot } else { first }));
    json!({
        "image_keys": keys,
        "image_mask": CameraSlot::ALL.map(|slot| u8::from(is_there(slot))),
    })
}

/// The buffer's own configuration with its place and size changed; comments stay.
fn base_yaml(text: &str, path: &Path, buffer: &Path, chunks: u32, chunk_size: u32) -> Result<String> {
    // A JSON string is a YAML string, whatever the path holds.
    let place = Value::from(buffer.display().to_string()).to_string();
    let values = [
        ("buf_path", place),
        ("buf_num_chunks", chunks.to_string()),
        ("buf_chunk_size", chunk_size.to_string()),
    ];
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    let mut anchor = None;
    for (key, value) in values.iter().rev() {
        let found = lines.iter().position(|line| {
            line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with(':'))
        });
        match (found, anchor) {
            (Some(at), _) => {
                let indent = lines[at].len() - lines[at].trim_start().len();
                lines[at] = format!("{}{key}: {value}", " ".repeat(indent));
                anchor = Some((at, indent));
            }
            // The key is optional: put before the one that follows it.
            (None, Some((at, indent))) => lines.insert(at, format!("{}{key}: {value}", " ".repeat(indent))),
            (None, None) => {}
        }
    }
    let edited = lines.join("\n") + "\n";
    let expected = |config: &Config| {
        let dataset = &config.dataset;
        dataset.buf_path.as_deref() == Some(buffer)
            && (dataset.buf_num_chunks, dataset.buf_chunk_size) == (chunks, chunk_size)
    };
    if Config::from_text(&edited, path).is_ok_and(|config| expected(&config)) {
        return Ok(edited);
    }
    // Written in a style that lines do not show: written anew, without its comments.
    let mut config = Config::from_text(text, path)?;
    config.dataset.buf_path = Some(buffer.to_owned());
    config.dataset.buf_num_chunks = chunks;
    config.dataset.buf_chunk_size = chunk_size;
    // JSON is YAML.
    Ok(serde_json::to_string_pretty(&config)?)
}

#[cfg(test)]
mod tests;
