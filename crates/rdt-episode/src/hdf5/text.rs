//! Texts: string data sets and string attributes, of fixed and of variable length.

use std::sync::Arc;

use hdf5::Container;
use hdf5::types::{FixedAscii, FixedUnicode, TypeDescriptor, VarLenAscii, VarLenUnicode};

use super::layout::{Kind, Storage, damaged, look_up};
use super::library::library;
use super::rows::Rows;
use super::source::SourceFile;
use crate::EpisodeError;

/// The text of a scalar string data set, or the first of an array of them.
pub(super) fn of_dataset(file: &Arc<SourceFile>, place: &str) -> Result<String, EpisodeError> {
    let (dataset, mut layed) = look_up(file, place)?;
    if layed.shape.contains(&0) {
        return Err(no_text(file, place, format!("shape {:?}: no values", layed.shape)));
    }
    let bytes = match layed.kind {
        Kind::FixedText if !matches!(layed.storage, Storage::Library { .. }) => {
            if layed.shape.is_empty() {
                layed.shape.push(1);
            }
            let want = layed.element_bytes;
            let mut bytes = Vec::new();
            Rows::new(file, place, layed)?.read(0, want, &mut bytes)?;
            bytes
        }
        Kind::FixedText | Kind::Text { .. } => library(|| first(&dataset))
            .map_err(|message| damaged(file, place, message))?
            .ok_or_else(|| no_text(file, place, "a form of text that is not read"))?,
        other => return Err(no_text(file, place, other.describe(layed.element_bytes))),
    };
    clean(file, place, bytes)
}

/// Whether a group or array has an attribute of that name.
pub(super) fn has_attribute(file: &SourceFile, group: &str, name: &str) -> bool {
    library(|| find(file, group, name)).is_ok()
}

fn find(file: &SourceFile, group: &str, name: &str) -> hdf5::Result<hdf5::Attribute> {
    if group.is_empty() {
        return file.library.attr(name);
    }
    match file.library.group(group) {
        Ok(group) => group.attr(name),
        Err(_) => file.library.dataset(group)?.attr(name),
    }
}

/// The text of an attribute of a group or array.
pub(super) fn of_attribute(file: &SourceFile, group: &str, name: &str) -> Result<String, EpisodeError> {
    let place = format!("{}@{name}", if group.is_empty() { "/" } else { group });
    let missing = "check the group and attribute names in the dataset card against the file (h5dump -A FILE)";
    let attribute = library(|| find(file, group, name))
        .map_err(|message| file.fault(&place, "nothing", "a text attribute", missing).caused_by(message))?;
    let bytes = library(|| first(&attribute))
        .map_err(|message| damaged(file, &place, message))?
        .ok_or_else(|| no_text(file, &place, "an attribute that is not one text"))?;
    clean(file, &place, bytes)
}

/// The first text of a data set or attribute; `None` where it is not text.
fn first(container: &Container) -> hdf5::Result<Option<Vec<u8>>> {
    /// Longer fixed-length texts do not occur where the library has to read them: compact
    /// data sets and attributes end at 64 KiB.
    const MOST: usize = 1 << 16;
    const SOME: usize = 1 << 10;
    if container.size() == 0 {
        return Ok(None);
    }
    let first = match container.dtype()?.to_descriptor()? {
        TypeDescriptor::VarLenUnicode => {
            container.read_raw::<VarLenUnicode>()?.first().map(|text| text.as_bytes().to_vec())
        }
        TypeDescriptor::VarLenAscii => {
            container.read_raw::<VarLenAscii>()?.first().map(|text| text.as_bytes().to_vec())
        }
        TypeDescriptor::FixedUnicode(n) if n <= SOME => {
            container.read_raw::<FixedUnicode<SOME>>()?.first().map(|text| text.as_bytes().to_vec())
        }
        TypeDescriptor::FixedUnicode(n) if n <= MOST => {
            container.read_raw::<FixedUnicode<MOST>>()?.first().map(|text| text.as_bytes().to_vec())
        }
        TypeDescriptor::FixedAscii(n) if n <= SOME => {
            container.read_raw::<FixedAscii<SOME>>()?.first().map(|text| text.as_bytes().to_vec())
        }
        TypeDescriptor::FixedAscii(n) if n <= MOST => {
            container.read_raw::<FixedAscii<MOST>>()?.first().map(|text| text.as_bytes().to_vec())
        }
        _ => None,
    };
    Ok(first)
}

/// Cuts the padding and checks that the rest is UTF-8.
fn clean(file: &SourceFile, place: &str, mut bytes: Vec<u8>) -> Result<String, EpisodeError> {
    bytes.truncate(bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len()));
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        file.fault(
            place,
            format!("text that is not UTF-8 at byte {at}"),
            "UTF-8 text",
            "write the text again as UTF-8",
        )
        .caused_by(error)
    })
}

fn no_text(file: &SourceFile, place: &str, found: impl Into<String>) -> EpisodeError {
    file.fault(
        place,
        found,
        "a text: a scalar string or an array of strings",
        "name another array in the dataset card, or write the text into this one",
    )
}
