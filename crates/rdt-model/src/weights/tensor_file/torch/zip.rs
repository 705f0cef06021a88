//! The zip format as far as `torch.save` uses it: uncompressed members, 64-bit sizes.
//!
//! PKWARE, ".ZIP File Format Specification" (APPNOTE.TXT), sections 4.3.7 to 4.3.16 and 4.5.3.
//! Invariant: a member that is handed out lies inside the file.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use super::super::ReadError;

pub(super) const LOCAL_HEADER: u32 = 0x0403_4b50;
pub(super) const DIRECTORY_ENTRY: u32 = 0x0201_4b50;
pub(super) const END: u32 = 0x0605_4b50;
pub(super) const END_64: u32 = 0x0606_4b50;
pub(super) const END_64_LOCATOR: u32 = 0x0706_4b50;
/// In a 32-bit field: the value is in the 64-bit extra field.
pub(super) const ELSEWHERE: u32 = u32::MAX;
/// The extra field of 64-bit values.
pub(super) const EXTRA_64: u16 = 1;

const LOCAL_HEADER_BYTES: u64 = 30;
const ENTRY_BYTES: usize = 46;
const END_BYTES: usize = 22;
const LOCATOR_BYTES: usize = 20;
const LONGEST_COMMENT: u64 = u16::MAX as u64;

/// An uncompressed member.
#[derive(Debug)]
pub(super) struct Member {
    pub name: String,
    /// Its first byte in the file.
    pub start: u64,
    pub size: u64,
}

/// All members of an archive of `file_bytes` bytes.
pub(super) fn members(file: &mut File, file_bytes: u64) -> Result<Vec<Member>, ReadError> {
    let (start, size) = directory(file, file_bytes)?;
    let bytes = read_at(file, start, size)?;
    let mut rest = bytes.as_slice();
    let mut members = Vec::new();
    while !rest.is_empty() {
        let member = entry(&mut rest).ok_or_else(|| wrong("its zip directory is damaged"))?;
        let member = member.map_err(|name| wrong(&format!("its member {name} is compressed")))?;
        members.push(locate(file, file_bytes, member)?);
    }
    Ok(members)
}

/// Turns the offset of a local header into that of the bytes behind it.
fn locate(file: &mut File, file_bytes: u64, member: Member) -> Result<Member, ReadError> {
    let damaged = || wrong(&format!("its member {} lies outside the file", member.name));
    let header = read_at(file, member.start, LOCAL_HEADER_BYTES)?;
    let name = u16_at(&header, 26).ok_or_else(damaged)?;
    let extra = u16_at(&header, 28).ok_or_else(damaged)?;
    if u32_at(&header, 0) != Some(LOCAL_HEADER) {
        return Err(damaged());
    }
    let start = member.start + LOCAL_HEADER_BYTES + u64::from(name) + u64::from(extra);
    if start.checked_add(member.size).is_none_or(|end| end > file_bytes) {
        return Err(damaged());
    }
    Ok(Member { start, ..member })
}

/// Takes one entry off the directory; its start is still that of its local header. The name
/// alone if it is compressed or encrypted.
fn entry(rest: &mut &[u8]) -> Option<Result<Member, String>> {
    let bytes = *rest;
    if u32_at(bytes, 0)? != DIRECTORY_ENTRY {
        return None;
    }
    let (name, extra, comment) = (u16_at(bytes, 28)?, u16_at(bytes, 30)?, u16_at(bytes, 32)?);
    let (name, extra, comment) = (usize::from(name), usize::from(extra), usize::from(comment));
    let text = bytes.get(ENTRY_BYTES..ENTRY_BYTES + name)?;
    let text = String::from_utf8_lossy(text).into_owned();
    let extras = bytes.get(ENTRY_BYTES + name..ENTRY_BYTES + name + extra)?;
    *rest = bytes.get(ENTRY_BYTES + name + extra + comment..)?;
    let mut wide = wide_values(extras);
    let mut value = |place: usize| -> Option<u64> {
        match u32_at(bytes, place)? {
            ELSEWHERE => {
                let (first, others) = wide.split_first_chunk()?;
                wide = others;
                Some(u64::from_le_bytes(*first))
            }
            narrow => Some(narrow.into()),
        }
    };
    let (size, stored, start) = (value(24)?, value(20)?, value(42)?);
    let is_encrypted = u16_at(bytes, 8)? & 1 == 1;
    if u16_at(bytes, 10)? != 0 || stored != size || is_encrypted {
        return Some(Err(text));
    }
    Some(Ok(Member { name: text, start, size }))
}

/// The bytes of the 64-bit extra field, or none.
fn wide_values(mut extras: &[u8]) -> &[u8] {
    while let (Some(id), Some(length)) = (u16_at(extras, 0), u16_at(extras, 2)) {
        let Some(content) = extras.get(4..4 + usize::from(length)) else { break };
        if id == EXTRA_64 {
            return content;
        }
        extras = &extras[4 + usize::from(length)..];
    }
    &[]
}

/// Start and length of the directory.
fn directory(file: &mut File, file_bytes: u64) -> Result<(u64, u64), ReadError> {
    let tail_bytes = file_bytes.min(LONGEST_COMMENT + (END_BYTES + LOCATOR_BYTES) as u64);
    let tail = read_at(file, file_bytes - tail_bytes, tail_bytes)?;
    let cut = || wrong("it has no zip directory: it is cut short");
    let end = (0..(tail.len() + 1).saturating_sub(END_BYTES))
        .rev()
        .find(|&place| u32_at(&tail, place) == Some(END))
        .ok_or_else(cut)?;
    let (Some(size), Some(start)) = (u32_at(&tail, end + 12), u32_at(&tail, end + 16)) else {
        return Err(cut());
    };
    let (mut size, mut start) = (u64::from(size), u64::from(start));
    if let Some(locator) = end.checked_sub(LOCATOR_BYTES)
        && u32_at(&tail, locator) == Some(END_64_LOCATOR)
        && let Some(place) = u64_at(&tail, locator + 8)
    {
        let wide = read_at(file, place, 56)?;
        let (Some(END_64), Some(wide_size), Some(wide_start)) =
            (u32_at(&wide, 0), u64_at(&wide, 40), u64_at(&wide, 48))
        else {
            return Err(cut());
        };
        (size, start) = (wide_size, wide_start);
    }
    if start.checked_add(size).is_none_or(|end| end > file_bytes) {
        return Err(cut());
    }
    Ok((start, size))
}

fn read_at(file: &mut File, start: u64, length: u64) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn wrong(found: &str) -> ReadError {
    ReadError::Wrong(found.to_owned())
}

fn u16_at(bytes: &[u8], place: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(place..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], place: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(place..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], place: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(place..)?.first_chunk()?))
}
