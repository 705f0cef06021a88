//! `manifest.json` on disk: JSON whose last line is a checksum of all lines before it.
//!
//! The line is found and compared as bytes, so a flipped bit anywhere in the file is noticed,
//! also one that leaves the JSON valid.

use std::io::Write;
use std::path::Path;

use crate::error::BufferError;
use crate::layout;
use crate::manifest::{FORMAT, FORMAT_VERSION, Manifest};
use crate::storage::Storage;

/// What precedes the checksum's eight hexadecimal digits.
const CHECKSUM_KEY: &str = ",\n  \"crc32c\": \"";
/// What follows them, to the end of the file.
const TAIL: &str = "\"\n}\n";

impl Manifest {
    /// Reads the manifest of the buffer at `dir`.
    ///
    /// # Errors
    /// `dir` is not a buffer, one of another version, or its manifest is damaged.
    pub fn read(dir: &Path) -> Result<Self, BufferError> {
        match Self::read_if_any(dir)? {
            Some(manifest) => Ok(manifest),
            None => Err(BufferError::NotABuffer {
                dir: dir.to_owned(),
                found: describe(dir),
                remedy: "check the path, or fill a buffer there with rdt-produce --fill-up",
            }),
        }
    }

    /// As [`Manifest::read`]; `None` where there is no manifest.
    ///
    /// # Errors
    /// As [`Manifest::read`].
    pub fn read_if_any(dir: &Path) -> Result<Option<Self>, BufferError> {
        let path = layout::manifest(dir);
        match std::fs::read(&path) {
            Ok(bytes) => parse(&bytes, &path).map(Some),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => Ok(None),
            Err(e) => Err(BufferError::io("read", path, e)),
        }
    }

    /// Puts this manifest in place of the one at `dir`, durably and in one step.
    pub(crate) fn write(&self, storage: &dyn Storage, dir: &Path) -> Result<(), BufferError> {
        let path = layout::manifest(dir);
        let text =
            to_text(self).map_err(|source| BufferError::SerialiseManifest { path: path.clone(), source })?;
        let temporary = dir.join(layout::TMP).join(layout::MANIFEST);
        let io = |action, at: &Path| {
            let at = at.to_owned();
            move |e| BufferError::io(action, at, e)
        };
        let mut file = storage.create(&temporary).map_err(io("create", &temporary))?;
        file.write_all(text.as_bytes()).map_err(io("write", &temporary))?;
        file.sync().map_err(io("sync", &temporary))?;
        storage.rename(&temporary, &path).map_err(io("rename a temporary file to", &path))?;
        storage.sync_folder(dir).map_err(io("sync", dir))
    }
}

fn describe(dir: &Path) -> String {
    match std::fs::metadata(dir) {
        Ok(data) if data.is_dir() => "a directory without a manifest".into(),
        Ok(_) => "a file".into(),
        Err(_) => "nothing there".into(),
    }
}

fn to_text(manifest: &Manifest) -> serde_json::Result<String> {
    let mut text = serde_json::to_string_pretty(manifest)?;
    // The object's closing brace goes behind the checksum.
    text.truncate(text.trim_end_matches(['}', '\n']).len());
    let checksum = crc32c::crc32c(text.as_bytes());
    Ok(format!("{text}{CHECKSUM_KEY}{checksum:08x}{TAIL}"))
}

/// The manifest in `bytes`; `path` is only named in errors.
pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Manifest, BufferError> {
    let damaged = |found: String, expected: &str| BufferError::DamagedManifest {
        path: path.to_owned(),
        found,
        expected: expected.to_owned(),
    };
    // The version goes first: another one may keep its checksum elsewhere.
    if let Some(found) = other_version(bytes) {
        return Err(BufferError::OtherVersion { path: path.to_owned(), found, expected: FORMAT_VERSION });
    }
    check_sum(bytes).map_err(|(found, expected)| damaged(found, &expected))?;
    let text = std::str::from_utf8(bytes)
        .map_err(|e| damaged(format!("not UTF-8 at byte {}", e.valid_up_to()), "UTF-8 text"))?;
    let mut value: serde_json::Value =
        serde_json::from_str(text).map_err(|e| damaged(e.to_string(), "JSON"))?;
    if let Some(object) = value.as_object_mut() {
        object.remove("crc32c");
    }
    let manifest: Manifest =
        serde_json::from_value(value).map_err(|e| damaged(e.to_string(), "the keys of docs/protocol.md"))?;
    if manifest.chunk_size == 0 {
        return Err(damaged("chunk_size 0".into(), "at least 1"));
    }
    Ok(manifest)
}

/// The version that a JSON object claims, where it is a buffer's manifest and not ours.
fn other_version(bytes: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    if value.get("format")?.as_str()? != FORMAT {
        return None;
    }
    let version = value.get("format_version")?;
    (version.as_u64() != Some(u64::from(FORMAT_VERSION))).then(|| version.to_string())
}

/// Compares the last line with the bytes before it; `Err` is (found, expected).
fn check_sum(bytes: &[u8]) -> Result<(), (String, String)> {
    let line = CHECKSUM_KEY.len() + 8 + TAIL.len();
    let no_line = || ("no checksum in its last line".to_owned(), "a whole manifest".to_owned());
    let Some(at) = bytes.len().checked_sub(line) else {
        return Err(no_line());
    };
    let (covered, last) = bytes.split_at(at);
    let computed = crc32c::crc32c(covered);
    let expected = format!("{CHECKSUM_KEY}{computed:08x}{TAIL}");
    if last == expected.as_bytes() {
        return Ok(());
    }
    let digits = last
        .strip_prefix(CHECKSUM_KEY.as_bytes())
        .and_then(|rest| rest.strip_suffix(TAIL.as_bytes()))
        .ok_or_else(no_line)?;
    let stored = String::from_utf8_lossy(digits).into_owned();
    Err((format!("crc32c of its content is {computed:08x}"), stored))
}
