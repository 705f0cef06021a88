//! RDT's `dataset_stat.json`, from the sums of the fill.

use std::collections::BTreeMap;
use std::path::Path;

use rdt_buffer::Buffer;
use rdt_schema::dataset_lists::read_statistics;
use rdt_schema::statistics::DatasetStatistics;

use crate::error::{Context, InspectError, Result};

/// Statistics by name of the data set.
pub type Statistics = BTreeMap<String, DatasetStatistics>;

/// Those of a file; none where there is no file.
///
/// # Errors
/// It cannot be read or understood.
pub fn existing(path: &Path) -> Result<Statistics> {
    if path.exists() { Ok(read_statistics(path)?) } else { Ok(Statistics::new()) }
}

/// The names in `existing` of data sets that the buffer does not have.
pub fn others<'a>(buffer: &Buffer, existing: &'a Statistics) -> Vec<&'a str> {
    let datasets = &buffer.manifest().datasets;
    let is_other = |name: &&String| !datasets.iter().any(|dataset| dataset.schema.name == **name);
    existing.keys().filter(is_other).map(String::as_str).collect()
}

/// Writes JSON as RDT's scripts do: four spaces, ASCII only.
///
/// # Errors
/// The file cannot be written.
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    std::fs::write(path, to_json(value)?).with_context(|| {
        format!("cannot write {}; check that its folder exists and has space", path.display())
    })
}

fn to_json(value: &impl serde::Serialize) -> Result<String> {
    let mut bytes = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, format))?;
    let text = String::from_utf8(bytes).map_err(|error| InspectError::Found(error.to_string()))?;
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
