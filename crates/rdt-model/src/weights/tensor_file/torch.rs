//! Files of `torch.save`: the list of tensors of a state_dict.
//!
//! Such a file is a zip archive: `data.pkl`, a pickle that says how tensors lie on storages,
//! and one uncompressed member a storage. The pickle is never executed: `pickle.rs` knows
//! the few words that a state_dict is written with and refuses all others.
//!
//! Owns the way from an archive to places of tensors. Invariant: a place that is handed out
//! lies inside the file.

mod pickle;
mod write;
mod zip;

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use tch::Kind;

use super::{Place, ReadError};

pub use write::write;

/// The longest pickle that is read. RDT-1B's has 80 KB.
const LONGEST_PICKLE: u64 = 1 << 28;
const PICKLE: &str = "data.pkl";

/// Where each tensor of the state_dict in `file` lies, in its order.
pub(super) fn directory(file: &mut File, file_bytes: u64) -> Result<Vec<(String, Place)>, ReadError> {
    let members = zip::members(file, file_bytes)?;
    let pickled = members
        .iter()
        .find(|member| member.name.rsplit_once('/').is_some_and(|(_, name)| name == PICKLE))
        .ok_or_else(|| ReadError::Wrong(format!("it is a zip archive without {PICKLE}")))?;
    let archive = pickled.name.strip_suffix(PICKLE).unwrap_or_default().to_owned();
    if pickled.size > LONGEST_PICKLE {
        return Err(ReadError::Wrong(format!("its {PICKLE} has {} bytes", pickled.size)));
    }
    let read = |file: &mut File, member: &zip::Member| -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(member.start))?;
        file.take(member.size).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let by_name: HashMap<&str, &zip::Member> =
        members.iter().map(|member| (member.name.as_str(), member)).collect();
    if let Some(order) = by_name.get(format!("{archive}byteorder").as_str())
        && read(file, order)? != b"little"
    {
        return Err(ReadError::Wrong("its numbers are big-endian".into()));
    }
    let tensors = pickle::state_dict(&read(file, pickled)?)?;
    tensors
        .into_iter()
        .map(|(name, tensor)| {
            let member = by_name.get(format!("{archive}data/{}", tensor.storage.key).as_str());
            let place = place(&tensor, member.copied())
                .ok_or_else(|| ReadError::Wrong(format!("the tensor {name} lies outside its storage")))?;
            Ok((name, place))
        })
        .collect()
}

/// `None` where the tensor does not lie inside the member.
fn place(tensor: &pickle::Tensor, member: Option<&zip::Member>) -> Option<Place> {
    let member = member?;
    let (kind, size) = kind(&tensor.storage.kind);
    let mut span: i64 = 1;
    for (&length, &stride) in tensor.shape.iter().zip(&tensor.strides) {
        if length < 0 || stride < 0 {
            return None;
        }
        span = span.checked_add((length - 1).max(0).checked_mul(stride)?)?;
    }
    if tensor.shape.contains(&0) {
        span = 0;
    }
    let begin = tensor.offset.checked_mul(size)?;
    let bytes = span.checked_mul(size)?;
    let end = begin.checked_add(bytes)?;
    if tensor.offset < 0 || (kind.is_some() && u64::try_from(end).ok()? > member.size) {
        return None;
    }
    Some(Place {
        kind,
        kind_name: tensor.storage.kind.clone(),
        shape: tensor.shape.clone(),
        strides: tensor.strides.clone(),
        start: i64::try_from(member.start).ok()?.checked_add(begin)?,
        bytes,
    })
}

/// The kind that a storage class holds, if weights may have it, and bytes an element.
fn kind(storage: &str) -> (Option<Kind>, i64) {
    match storage {
        "FloatStorage" => (Some(Kind::Float), 4),
        "DoubleStorage" => (Some(Kind::Double), 8),
        "HalfStorage" => (Some(Kind::Half), 2),
        "BFloat16Storage" => (Some(Kind::BFloat16), 2),
        "LongStorage" => (Some(Kind::Int64), 8),
        "ByteStorage" => (Some(Kind::Uint8), 1),
        _ => (None, 1),
    }
}

#[cfg(test)]
mod tests;
