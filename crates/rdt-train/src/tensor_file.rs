//! Named tensors in a safetensors file: mapped for reading, written in one pass.
//!
//! Reading maps the file and copies each tensor once, to where it belongs. Every size in the
//! header is checked against the file before a byte is used.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, Metadata, View};
use tch::{Device, Kind, Tensor};

use crate::error::TrainError;
use crate::flat_parameters::ParameterLayout;

/// Length of the number in front of the header, and the longest header (the format's own limit).
const LENGTH_BYTES: u64 = 8;
const LONGEST_HEADER: u64 = 100_000_000;
/// Names printed in an error before the rest is only counted.
const NAMES_SHOWN: usize = 8;

/// An open file.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    bytes: Tensor,
    data_start: i64,
    metadata: Metadata,
}

impl TensorFile {
    /// Maps `path` and reads its header.
    ///
    /// # Errors
    /// The file cannot be read, or is not a whole safetensors file.
    pub fn open(path: &Path) -> Result<Self, TrainError> {
        let read = || -> std::io::Result<(u64, Vec<u8>)> {
            let mut file = File::open(path)?;
            let file_bytes = file.metadata()?.len();
            let mut length = [0; LENGTH_BYTES as usize];
            file.read_exact(&mut length)?;
            let length = u64::from_le_bytes(length).min(LONGEST_HEADER).min(file_bytes);
            let mut header = Vec::new();
            file.take(length).read_to_end(&mut header)?;
            Ok((file_bytes, header))
        };
        let (file_bytes, header) = read().map_err(TrainError::file(path, "read the safetensors header"))?;
        let wrong = |found: String| TrainError::Content {
            path: path.to_owned(),
            found,
            expected: "a whole safetensors file; take it from another checkpoint or download it again".into(),
        };
        let metadata: Metadata = serde_json::from_slice(&header)
            .map_err(|e| wrong(format!("its header is no tensor list ({e})")))?;
        let data_start = LENGTH_BYTES + header.len() as u64;
        let expected = data_start + metadata.data_len() as u64;
        if file_bytes != expected {
            return Err(wrong(format!("it has {file_bytes} bytes where its header says {expected}")));
        }
        let text = path.to_str().ok_or_else(|| wrong("its path is not text".into()))?;
        let bytes = Tensor::f_from_file(text, false, file_bytes as i64, (Kind::Uint8, Device::Cpu))?;
        Ok(Self { path: path.to_owned(), bytes, data_start: data_start as i64, metadata })
    }

    /// Names of all tensors, in the order of the file.
    pub fn names(&self) -> Vec<String> {
        self.metadata.offset_keys()
    }

    /// Shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<Vec<i64>> {
        Some(self.metadata.info(name)?.shape.iter().map(|&n| n as i64).collect())
    }

    /// A view into the mapped file; `None` if there is no tensor of that name.
    ///
    /// # Errors
    /// The tensor is of a kind that no weights have.
    pub fn tensor(&self, name: &str) -> Result<Option<Tensor>, TrainError> {
        let (Some(info), Some(shape)) = (self.metadata.info(name), self.shape(name)) else {
            return Ok(None);
        };
        let kind = match info.dtype {
            Dtype::F32 => Kind::Float,
            Dtype::F64 => Kind::Double,
            Dtype::F16 => Kind::Half,
            Dtype::BF16 => Kind::BFloat16,
            Dtype::I64 => Kind::Int64,
            Dtype::U8 => Kind::Uint8,
            other => {
                return Err(TrainError::Content {
                    path: self.path.clone(),
                    found: format!("{name} is of kind {other:?}"),
                    expected: "F32, F64, F16, BF16, I64 or U8".into(),
                });
            }
        };
        let (start, end) = info.data_offsets;
        let start = self.data_start + start as i64;
        let raw = self.bytes.f_narrow(0, start, end as i64 - (start - self.data_start))?;
        // Old writers did not align the header: then the bytes are copied to where they can
        // be looked at as numbers.
        let raw = if start % 8 == 0 { raw } else { raw.f_clone(&Tensor::f_empty_like(&raw)?)? };
        Ok(Some(raw.f_view_dtype(kind)?.f_view(shape.as_slice())?))
    }

    /// Copies all parameters of `layout`, stored as `<prefix><name>`, into the buffer `flat`.
    ///
    /// # Errors
    /// Tensors are missing, of another shape, or (with an empty prefix) not the network's:
    /// the error lists them, and `flat` is unchanged.
    pub fn load(&self, layout: &ParameterLayout, prefix: &str, flat: &Tensor) -> Result<(), TrainError> {
        let (mut missing, mut misshapen) = (Vec::new(), Vec::new());
        for parameter in layout.parameters() {
            let name = format!("{prefix}{}", parameter.name);
            match self.shape(&name) {
                None => missing.push(name),
                Some(shape) if shape != parameter.shape => {
                    misshapen.push(format!("{name} {shape:?} instead of {:?}", parameter.shape));
                }
                Some(_) => {}
            }
        }
        let known: std::collections::HashSet<_> =
            layout.parameters().iter().map(|p| format!("{prefix}{}", p.name)).collect();
        let mut extra = self.names();
        extra.retain(|name| name.starts_with(prefix) && !known.contains(name));
        let complaints: Vec<String> =
            [("missing", missing), ("of another shape", misshapen), ("not known", extra)]
                .into_iter()
                .filter(|(_, names)| !names.is_empty())
                .map(|(what, names)| format!("{} tensors {what}: {}", names.len(), list(&names)))
                .collect();
        if !complaints.is_empty() {
            return Err(TrainError::Content {
                path: self.path.clone(),
                found: complaints.join("; "),
                expected:
                    "the tensors of the configured network; use the configuration the weights were made with"
                        .into(),
            });
        }
        tch::no_grad(|| {
            for view in layout.views(&flat.detach()) {
                let (parameter, mut view) = view?;
                if let Some(stored) = self.tensor(&format!("{prefix}{}", parameter.name))? {
                    view.f_copy_(&stored)?;
                }
            }
            Ok(())
        })
    }
}

fn list(names: &[String]) -> String {
    let shown = names[..names.len().min(NAMES_SHOWN)].join(", ");
    match names.len().checked_sub(NAMES_SHOWN) {
        Some(rest) if rest > 0 => format!("{shown} and {rest} more"),
        _ => shown,
    }
}

/// Writes the named views of buffers (each with a prefix for its names) and waits until the
/// file is on the disk.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, layout: &ParameterLayout, buffers: &[(&str, &Tensor)]) -> Result<(), TrainError> {
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
    safetensors::serialize_to_file(tensors, Some(info), path).map_err(|error| {
        let source = std::io::Error::other(error);
        TrainError::File { path: path.to_owned(), action: "write", source }
    })?;
    File::open(path).and_then(|file| file.sync_all()).map_err(TrainError::file(path, "write"))
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
