//! Named tensors in a file, mapped: safetensors, or what `torch.save` makes of a state_dict.
//!
//! Reading maps the file and copies each tensor once, to where it belongs. Which of the two a
//! file is says its beginning, not its name. Invariant: every tensor lies inside the file.

mod safetensors;
pub mod torch;

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use tch::{Device, Kind, Tensor};

use crate::error::ModelError;
use crate::parameters::ParameterLayout;

pub use safetensors::write;

/// Names printed in an error before the rest is only counted.
const NAMES_SHOWN: usize = 8;
/// How zip archives begin, and the pickles of `torch.save` before it made archives.
const ZIP_START: &[u8] = b"PK";
const PICKLE_START: &[u8] = b"\x80\x02\x8a\x0a";

/// An open file.
#[derive(Debug)]
pub struct TensorFile {
    path: PathBuf,
    bytes: Tensor,
    names: Vec<String>,
    places: HashMap<String, Place>,
}

/// Where a tensor lies in a file.
#[derive(Debug)]
struct Place {
    /// `None` for a kind that no weights have.
    kind: Option<Kind>,
    /// The kind in the file's own words.
    kind_name: String,
    shape: Vec<i64>,
    /// In elements.
    strides: Vec<i64>,
    /// Its first byte in the file.
    start: i64,
    /// Bytes from there on that its elements lie in.
    bytes: i64,
}

/// Why the list of tensors could not be read.
#[derive(Debug)]
enum ReadError {
    Io(std::io::Error),
    /// What was found.
    Wrong(String),
}

impl From<std::io::Error> for ReadError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl TensorFile {
    /// Maps `path` and reads its list of tensors.
    ///
    /// # Errors
    /// The file cannot be read, or is no whole file of these two kinds.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let wrong = |found: String| ModelError::Content {
            path: path.to_owned(),
            found,
            expected:
                "a whole safetensors or torch.save file; take it from another checkpoint or download it again"
                    .into(),
        };
        let read = || -> Result<_, ReadError> {
            let mut file = File::open(path)?;
            let file_bytes = file.metadata()?.len();
            let mut start = [0; 4];
            let length = file.read(&mut start)?;
            let list = match &start[..length] {
                start if start.starts_with(ZIP_START) => torch::directory(&mut file, file_bytes)?,
                start if start.starts_with(PICKLE_START) => {
                    return Err(ReadError::Wrong(
                        "it was saved by torch before version 1.6; in Python, torch.save(torch.load(FILE), FILE) \
                         brings it up to date"
                            .into(),
                    ));
                }
                _ => safetensors::directory(&mut file, file_bytes)?,
            };
            Ok((file_bytes, list))
        };
        let (file_bytes, list) = read().map_err(|error| match error {
            ReadError::Io(source) => ModelError::file(path, "read the list of tensors")(source),
            ReadError::Wrong(found) => wrong(found),
        })?;
        let text = path.to_str().ok_or_else(|| wrong("its path is not text".into()))?;
        let bytes = Tensor::f_from_file(text, false, file_bytes as i64, (Kind::Uint8, Device::Cpu))?;
        let names = list.iter().map(|(name, _)| name.clone()).collect();
        Ok(Self { path: path.to_owned(), bytes, names, places: list.into_iter().collect() })
    }

    /// Names of all tensors, in the order of the file.
    pub fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    /// Shape of a tensor.
    pub fn shape(&self, name: &str) -> Option<Vec<i64>> {
        Some(self.places.get(name)?.shape.clone())
    }

    /// A view into the mapped file; `None` if there is no tensor of that name.
    ///
    /// # Errors
    /// The tensor is of a kind that no weights have.
    pub fn tensor(&self, name: &str) -> Result<Option<Tensor>, ModelError> {
        let Some(place) = self.places.get(name) else { return Ok(None) };
        let kind = place.kind.ok_or_else(|| ModelError::Content {
            path: self.path.clone(),
            found: format!("{name} is of kind {}", place.kind_name),
            expected: "f32, f64, f16, bf16, i64 or u8".into(),
        })?;
        let raw = self.bytes.f_narrow(0, place.start, place.bytes)?;
        // Old writers did not align: then the bytes are copied to where they can be looked at
        // as numbers.
        let raw = if place.start % 8 == 0 {
            raw
        } else {
            let mut copy = Tensor::f_empty_like(&raw)?;
            copy.f_copy_(&raw)?;
            copy
        };
        let (shape, strides) = (place.shape.as_slice(), place.strides.as_slice());
        Ok(Some(raw.f_view_dtype(kind)?.f_as_strided(shape, strides, None)?))
    }

    /// Copies all parameters of `layout`, stored as `<prefix><name>`, into the buffer `flat`.
    ///
    /// # Errors
    /// Tensors are missing, of another shape, or (with an empty prefix) not the network's:
    /// the error lists them, and `flat` is unchanged.
    pub fn load(&self, layout: &ParameterLayout, prefix: &str, flat: &Tensor) -> Result<(), ModelError> {
        self.check(layout, prefix)?;
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

    /// Holds the file against a network: all parameters of `layout` as `<prefix><name>`.
    ///
    /// # Errors
    /// As of [`TensorFile::load`].
    pub fn check(&self, layout: &ParameterLayout, prefix: &str) -> Result<(), ModelError> {
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
        let known: HashSet<_> = layout.parameters().iter().map(|p| format!("{prefix}{}", p.name)).collect();
        let mut extra = self.names();
        extra.retain(|name| name.starts_with(prefix) && !known.contains(name));
        let complaints: Vec<String> =
            [("missing", missing), ("of another shape", misshapen), ("not known", extra)]
                .into_iter()
                .filter(|(_, names)| !names.is_empty())
                .map(|(what, names)| format!("{} tensors {what}: {}", names.len(), list(&names)))
                .collect();
        if !complaints.is_empty() {
            return Err(ModelError::Content {
                path: self.path.clone(),
                found: complaints.join("; "),
                expected:
                    "the tensors of the configured network; use the configuration the weights were made with"
                        .into(),
            });
        }
        Ok(())
    }
}

fn list(names: &[String]) -> String {
    let shown = names[..names.len().min(NAMES_SHOWN)].join(", ");
    match names.len().checked_sub(NAMES_SHOWN) {
        Some(rest) if rest > 0 => format!("{shown} and {rest} more"),
        _ => shown,
    }
}
