//! Safetensors files: their list of tensors, and writing them in one pass.
//!
//! Every size in the header is checked against the file before a byte is used.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::Path;

use safetensors::tensor::{Dtype, Metadata, View};
use tch::{Device, Kind, Tensor};

use super::{Place, ReadError};
use crate::error::ModelError;
use crate::parameters::ParameterLayout;

/// Length of the number in front of the header, and the longest header (the format's own limit).
const LENGTH_BYTES: u64 = 8;
const LONGEST_HEADER: u64 = 100_000_000;

/// Where each tensor of `file` lies, in its order.
pub(super) fn directory(file: &mut File, file_bytes: u64) -> Result<Vec<(String, Place)>, ReadError> {
    let mut length = [0; LENGTH_BYTES as usize];
    file.rewind()?;
    file.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length).min(LONGEST_HEADER).min(file_bytes);
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header)?;
    let metadata: Metadata = serde_json::from_slice(&header)
        .map_err(|error| ReadError::Wrong(format!("its header is no tensor list ({error})")))?;
    let data_start = LENGTH_BYTES + header.len() as u64;
    let expected = data_start + metadata.data_len() as u64;
    if file_bytes != expected {
        let found = format!("it has {file_bytes} bytes where its header says {expected}");
        return Err(ReadError::Wrong(found));
    }
    let mut places = Vec::new();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        let (start, end) = info.data_offsets;
        let shape: Vec<i64> = info.shape.iter().map(|&length| length as i64).collect();
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis];
        }
        let place = Place {
            kind: kind(info.dtype),
            kind_name: format!("{:?}", info.dtype),
            shape,
            strides,
            start: (data_start + start as u64) as i64,
            bytes: (end - start) as i64,
        };
        places.push((name, place));
    }
    Ok(places)
}

fn kind(dtype: Dtype) -> Option<Kind> {
    match dtype {
        Dtype::F32 => Some(Kind::Float),
        Dtype::F64 => Some(Kind::Double),
        Dtype::F16 => Some(Kind::Half),
        Dtype::BF16 => Some(Kind::BFloat16),
        Dtype::I64 => Some(Kind::Int64),
        Dtype::U8 => Some(Kind::Uint8),
        _ => None,
    }
}

/// Writes the named views of buffers (each with a prefix for its names) and waits until the
/// file is on the disk.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, layout: &ParameterLayout, buffers: &[(&str, &Tensor)]) -> Result<(), ModelError> {
    let mut tensors = Vec::new();
    for (prefix, flat) in buffers {
        let flat = flat.detach();
        for view in layout.views(&flat) {
            let (parameter, tensor) = view?;
            let shape = parameter.shape.iter().map(|&n| n as usize).collect();
            tensors.push((format!("{prefix}{}", parameter.name), Stored { tensor, shape }));
        }
    }
    // What RDT's library writes, and looks for when it reads.
    let info = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    // The library makes files that only their owner may read; this one gets a new file's mode.
    let mode = File::create(path)
        .and_then(|file| file.metadata())
        .map_err(ModelError::file(path, "create"))?
        .permissions();
    safetensors::serialize_to_file(tensors, Some(info), path).map_err(|error| {
        let source = std::io::Error::other(error);
        ModelError::File { path: path.to_owned(), action: "write", source }
    })?;
    fs::set_permissions(path, mode).map_err(ModelError::file(path, "set the mode of"))?;
    File::open(path).and_then(|file| file.sync_all()).map_err(ModelError::file(path, "write"))
}

/// An f32 tensor on any device, fetched when it is its turn to be written.
struct Stored {
    tensor: Tensor,
    shape: Vec<usize>,
}

impl View for Stored {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let mut bytes = vec![0; self.data_len()];
        let elements = self.tensor.numel();
        self.tensor.contiguous().to_device(Device::Cpu).copy_data_u8(&mut bytes, elements);
        Cow::Owned(bytes)
    }

    fn data_len(&self) -> usize {
        self.tensor.numel() * size_of::<f32>()
    }
}
