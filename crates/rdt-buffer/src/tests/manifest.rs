//! The manifest: exact, checksummed, and clear about what is wrong with it.

use std::fs;

use super::make::{self, Result};
use crate::*;

#[test]
fn comes_back_as_it_was_written() -> Result {
    let dir = tempfile::tempdir()?;
    let buffer = dir.path().join("new/buffer");
    make::whole(&buffer)?;
    assert_eq!(Manifest::read(&buffer)?, make::manifest(6, BufferState::Complete));
    // People read it with ordinary tools.
    let json: serde_json::Value = serde_json::from_slice(&fs::read(layout::manifest(&buffer))?)?;
    assert_eq!(json["samples"], 6);
    Ok(())
}

#[test]
fn any_flipped_bit_and_any_truncation_is_noticed() -> Result {
    let dir = tempfile::tempdir()?;
    make::whole(dir.path())?;
    let path = layout::manifest(dir.path());
    let whole = fs::read(&path)?;
    let is_refused = |bytes: &[u8]| {
        matches!(
            crate::manifest_file::parse(bytes, &path),
            Err(BufferError::DamagedManifest { .. } | BufferError::OtherVersion { .. })
        )
    };
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        assert!(is_refused(&bytes), "bit {} of byte {at}", at % 8);
    }
    for end in (0..whole.len()).step_by(37) {
        assert!(is_refused(&whole[..end]), "cut at {end}");
    }
    assert!(!is_refused(&whole));
    Ok(())
}

#[test]
fn names_what_it_is_instead() -> Result {
    let dir = tempfile::tempdir()?;
    let text = |error: BufferError| error.to_string();
    let nothing = text(Buffer::open(&dir.path().join("absent")).unwrap_err());
    assert!(nothing.contains("is not a buffer: nothing there"), "{nothing}");
    let empty = text(Buffer::open(dir.path()).unwrap_err());
    assert!(empty.contains("a directory without a manifest"), "{empty}");
    fs::write(dir.path().join("file"), "")?;
    let file = text(Buffer::open(&dir.path().join("file")).unwrap_err());
    assert!(file.contains("is not a buffer: a file"), "{file}");

    let buffer = dir.path().join("buffer");
    make::whole(&buffer)?;
    let path = layout::manifest(&buffer);
    let other = fs::read_to_string(&path)?.replace("\"format_version\": 1", "\"format_version\": 2");
    fs::write(&path, other)?;
    let version = text(Buffer::open(&buffer).unwrap_err());
    assert!(version.contains("format version 2, expected 1"), "{version}");
    fs::write(&path, "{}")?;
    let damaged = text(Buffer::open(&buffer).unwrap_err());
    assert!(damaged.contains("is damaged: no checksum"), "{damaged}");
    Ok(())
}
