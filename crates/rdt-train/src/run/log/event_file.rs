//! TensorBoard's event files: scalars by tag and step.
//!
//! A file is a row of records (TensorFlow's TFRecord: length, its checksum, content, its
//! checksum; the checksums are masked crc32c), each an `Event` message. The few fields that
//! scalars need are written by hand: field numbers are those of tensorflow's `event.proto`
//! and `summary.proto`.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::TrainError;

/// Content of the first event of a file.
const VERSION: &str = "brain.Event:2";

// Protocol buffers: field number << 3 | wire type.
const EVENT_WALL_TIME: u8 = 1 << 3 | 1;
const EVENT_STEP: u8 = 2 << 3;
const EVENT_FILE_VERSION: u8 = 3 << 3 | 2;
const EVENT_SUMMARY: u8 = 5 << 3 | 2;
const EVENT_SESSION_LOG: u8 = 7 << 3 | 2;
const SUMMARY_VALUE: u8 = 1 << 3 | 2;
const VALUE_TAG: u8 = 1 << 3 | 2;
const VALUE_SIMPLE: u8 = 2 << 3 | 5;
const SESSION_STATUS: u8 = 1 << 3;
const SESSION_START: u64 = 1;

/// An open event file.
#[derive(Debug)]
pub struct EventFile {
    path: PathBuf,
    file: BufWriter<File>,
}

impl EventFile {
    /// Opens a new file in `folder` for a run that has done `steps` steps. Where
    /// that is more than none, TensorBoard is told to forget what an earlier file says of
    /// later steps, since they are taken again.
    ///
    /// # Errors
    /// The folder or the file cannot be written.
    pub fn create(folder: &Path, steps: u64) -> Result<Self, TrainError> {
        fs::create_dir_all(folder).map_err(TrainError::file(folder, "create"))?;
        // TensorBoard reads files in the order of their names, which begin with the time.
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let (seconds, fraction) = (since.as_secs(), since.subsec_micros());
        let name =
            format!("events.out.tfevents.{seconds:010}.rdt-consume.{}.{fraction:06}", std::process::id());
        let path = folder.join(name);
        let file = File::create_new(&path).map_err(TrainError::file(&path, "create"))?;
        let mut events = Self { path, file: BufWriter::new(file) };
        let mut version = header(0);
        bytes(&mut version, EVENT_FILE_VERSION, VERSION.as_bytes());
        events.record(&version)?;
        if steps > 0 {
            let mut start = header(steps + 1);
            bytes(&mut start, EVENT_SESSION_LOG, &[SESSION_STATUS, SESSION_START as u8]);
            events.record(&start)?;
        }
        Ok(events)
    }

    /// Appends scalars of a step and hands them to the system, so that they can be watched.
    ///
    /// # Errors
    /// The disk is full.
    pub fn scalars<'a>(
        &mut self,
        step: u64,
        values: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Result<(), TrainError> {
        let mut summary = Vec::new();
        for (tag, value) in values {
            let mut entry = Vec::new();
            bytes(&mut entry, VALUE_TAG, tag.as_bytes());
            entry.push(VALUE_SIMPLE);
            entry.extend_from_slice(&(value as f32).to_le_bytes());
            bytes(&mut summary, SUMMARY_VALUE, &entry);
        }
        let mut event = header(step);
        bytes(&mut event, EVENT_SUMMARY, &summary);
        self.record(&event)?;
        self.file.flush().map_err(TrainError::file(&self.path, "write"))
    }

    fn record(&mut self, event: &[u8]) -> Result<(), TrainError> {
        let length = (event.len() as u64).to_le_bytes();
        let parts = [&length[..], &masked_crc(&length), event, &masked_crc(event)];
        parts
            .iter()
            .try_for_each(|part| self.file.write_all(part))
            .map_err(TrainError::file(&self.path, "write"))
    }
}

/// What every event begins with: now, and the step.
fn header(step: u64) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let mut event = vec![EVENT_WALL_TIME];
    event.extend_from_slice(&now.to_le_bytes());
    event.push(EVENT_STEP);
    varint(&mut event, step);
    event
}

fn bytes(out: &mut Vec<u8>, field: u8, content: &[u8]) {
    out.push(field);
    varint(out, content.len() as u64);
    out.extend_from_slice(content);
}

/// Seven bits a byte, lowest first.
fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A crc32c turned by 15 bits and moved by a constant, so that checksums of content that
/// holds checksums stay good ones.
fn masked_crc(content: &[u8]) -> [u8; 4] {
    crc32c::crc32c(content).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_as_tensorboard_writes_them() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let mut events = EventFile::create(folder.path(), 0)?;
        events.scalars(300, [("loss", 0.5)])?;
        let written = fs::read(&events.path)?;
        assert_eq!(written[..8], 26u64.to_le_bytes());
        assert_eq!(written[21..23], [EVENT_STEP, 0]);
        assert_eq!(&written[25..38], VERSION.as_bytes());
        let second = 8 + 4 + 26 + 4;
        let content = &written[second + 12..written.len() - 4];
        assert_eq!(content[9..12], [0x10, 0xac, 0x02], "step 300");
        assert_eq!(content[12..], *b"\x2a\x0d\x0a\x0b\x0a\x04loss\x15\x00\x00\x00\x3f");
        assert_eq!(written[second + 8..second + 12], masked_crc(&written[second..second + 8]));
        // From the specification of crc32c (RFC 3720, B.4): 32 zeros give 0x8a9136aa.
        assert_eq!(
            masked_crc(&[0; 32]),
            0x8a91_36aa_u32.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
        );
        Ok(())
    }
}
