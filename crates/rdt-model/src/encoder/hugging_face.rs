//! Folders in which Hugging Face's libraries keep a model: `config.json`, and the weights in
//! `model.safetensors`, in the files that `model.safetensors.index.json` lists, or in the
//! older form, `pytorch_model.bin` alone or with its index.
//!
//! The weight files are mapped. A tensor that is wanted in the kind in which it is stored,
//! on the CPU, stays a view of its file; otherwise it is converted on its own, so that
//! beside the result never more than one tensor is in memory.
//!
//! Invariant: nothing is loaded before every tensor of the model was found with its shape
//! and every tensor of the files is accounted for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use tch::{Device, Kind, Tensor};

use crate::error::ModelError;
use crate::weights::tensor_file::TensorFile;

const CONFIG: &str = "config.json";
/// In the order in which `transformers` looks.
const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];
/// Names printed a complaint before the rest is only counted.
const NAMES_SHOWN: usize = 64;

/// Reads a folder's `config.json`.
///
/// # Errors
/// The file cannot be read or is not JSON.
pub fn read_config(folder: &Path) -> Result<serde_json::Value, ModelError> {
    read_json(&folder.join(CONFIG), "a Hugging Face model configuration")
}

pub(super) fn read_json<T: DeserializeOwned>(path: &Path, expected: &str) -> Result<T, ModelError> {
    let bytes = std::fs::read(path).map_err(ModelError::file(path, "read"))?;
    serde_json::from_slice(&bytes).map_err(|error| ModelError::Content {
        path: path.to_owned(),
        found: format!("it cannot be understood ({error})"),
        expected: expected.into(),
    })
}

/// The weight files of a folder, mapped.
#[derive(Debug)]
pub struct ModelFolder {
    path: PathBuf,
    files: Vec<TensorFile>,
    /// Which of the files holds a tensor.
    file_of: HashMap<String, usize>,
}

impl ModelFolder {
    /// Maps the weight files in `folder`.
    ///
    /// # Errors
    /// There are none, one cannot be read, or they are not what their index says.
    pub fn open(folder: &Path) -> Result<Self, ModelError> {
        for weights in WEIGHTS {
            let (single, index) = (folder.join(weights), folder.join(format!("{weights}.index.json")));
            if single.is_file() {
                let file = TensorFile::open(&single)?;
                let file_of = file.names().into_iter().map(|name| (name, 0)).collect();
                return Ok(Self { path: folder.to_owned(), files: vec![file], file_of });
            }
            if index.is_file() {
                return Self::open_sharded(folder, &index);
            }
        }
        Err(ModelError::Content {
            path: folder.to_owned(),
            found: "it holds no weights".into(),
            expected: format!(
                "{} or {}, or the index of one; download the model's folder whole",
                WEIGHTS[0], WEIGHTS[1]
            ),
        })
    }

    fn open_sharded(folder: &Path, index: &Path) -> Result<Self, ModelError> {
        #[derive(serde::Deserialize)]
        struct Index {
            weight_map: BTreeMap<String, String>,
        }
        let Index { weight_map } = read_json(index, "an index of weight files with a weight_map")?;
        let wrong = |found: String| ModelError::Content {
            path: index.to_owned(),
            found,
            expected: "the index that was saved with these weight files; download the model again".into(),
        };
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let (mut files, mut file_of) = (Vec::new(), HashMap::new());
        for name in weight_map.values() {
            if numbers.contains_key(name.as_str()) {
                continue;
            }
            if Path::new(name).file_name() != Some(name.as_ref()) {
                return Err(wrong(format!("it names a file outside its folder: {name}")));
            }
            let file = TensorFile::open(&folder.join(name))?;
            let number = files.len();
            file_of.extend(file.names().into_iter().map(|tensor| (tensor, number)));
            numbers.insert(name, number);
            files.push(file);
        }
        let strayed: Vec<String> = weight_map
            .iter()
            .filter(|(tensor, file)| file_of.get(*tensor) != numbers.get(file.as_str()))
            .map(|(tensor, file)| format!("{tensor} ({file})"))
            .collect();
        if !strayed.is_empty() {
            return Err(wrong(format!("tensors are not in the file it says: {}", shown(&strayed))));
        }
        Ok(Self { path: folder.to_owned(), files, file_of })
    }

    /// Loads the tensors of `list` to `device` as `kind`. Tensors whose names begin with one
    /// of `unused` may be in the files and are left there.
    ///
    /// # Errors
    /// Tensors are missing, of another shape, of no kind that weights have, or not known: the
    /// error lists them. Or the memory is not there.
    pub fn load(
        &self,
        list: &TensorList,
        unused: &[&str],
        device: Device,
        kind: Kind,
    ) -> Result<FrozenTensors, ModelError> {
        let mut complaints = Complaints::default();
        let views: Vec<Option<Tensor>> =
            list.wanted.iter().map(|wanted| self.view(wanted, &mut complaints)).collect::<Result<_, _>>()?;
        let known: HashSet<&str> =
            list.wanted.iter().flat_map(|wanted| &wanted.names).map(String::as_str).collect();
        let is_extra =
            |name: &str| !known.contains(name) && !unused.iter().any(|start| name.starts_with(start));
        complaints.extra = self.file_of.keys().filter(|name| is_extra(name)).cloned().collect();
        complaints.extra.sort_unstable();
        complaints.into_result(&self.path)?;
        let tensors = views
            .into_iter()
            .flatten()
            // To the device first: the conversion is faster there.
            .map(|view| Ok(view.f_to_device(device)?.f_to_kind(kind)?))
            .collect::<Result<_, ModelError>>()?;
        Ok(FrozenTensors { tensors })
    }

    /// Names and mapped views of those tensors of `list` that are there, in its order.
    ///
    /// # Errors
    /// One is of a kind that no weights have.
    pub(super) fn tensors(&self, list: &TensorList) -> Result<Vec<(String, Tensor)>, ModelError> {
        let mut found = Vec::new();
        for wanted in &list.wanted {
            let place = wanted.names.iter().find_map(|name| Some((name, *self.file_of.get(name)?)));
            if let Some((name, number)) = place
                && let Some(tensor) = self.files[number].tensor(name)?
            {
                found.push((name.clone(), tensor));
            }
        }
        Ok(found)
    }

    fn view(&self, wanted: &Wanted, complaints: &mut Complaints) -> Result<Option<Tensor>, ModelError> {
        let place = wanted.names.iter().find_map(|name| Some((name, *self.file_of.get(name)?)));
        let Some((name, number)) = place else {
            complaints.missing.push(wanted.names.join(" or "));
            return Ok(None);
        };
        let tensor = self.files[number].tensor(name)?;
        match tensor {
            Some(tensor) if tensor.size() != wanted.shape => {
                complaints.misshapen.push(format!(
                    "{name} {:?} instead of {:?}",
                    tensor.size(),
                    wanted.shape
                ));
                Ok(None)
            }
            Some(tensor) if !tensor.is_floating_point() => {
                complaints.misshapen.push(format!("{name} holds whole numbers instead of fractions"));
                Ok(None)
            }
            other => Ok(other),
        }
    }
}

/// What does not fit between a model and its files.
#[derive(Debug, Default)]
struct Complaints {
    missing: Vec<String>,
    misshapen: Vec<String>,
    extra: Vec<String>,
}

impl Complaints {
    fn into_result(self, folder: &Path) -> Result<(), ModelError> {
        let found: Vec<String> =
            [("missing", self.missing), ("of another shape", self.misshapen), ("not known", self.extra)]
                .iter()
                .filter(|(_, names)| !names.is_empty())
                .map(|(what, names)| format!("{} tensors {what}: {}", names.len(), shown(names)))
                .collect();
        if found.is_empty() {
            return Ok(());
        }
        Err(ModelError::Content {
            path: folder.to_owned(),
            found: found.join("; "),
            expected: format!("the tensors of the model in its {CONFIG}; take both from the same place"),
        })
    }
}

fn shown(names: &[String]) -> String {
    let first = names[..names.len().min(NAMES_SHOWN)].join(", ");
    match names.len().saturating_sub(NAMES_SHOWN) {
        0 => first,
        rest => format!("{first} and {rest} more"),
    }
}

/// A tensor of a [`TensorList`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TensorId(usize);

/// Names and shapes of all the tensors that a model needs.
#[derive(Debug, Default)]
pub struct TensorList {
    wanted: Vec<Wanted>,
}

#[derive(Debug)]
struct Wanted {
    names: Vec<String>,
    shape: Vec<i64>,
}

impl TensorList {
    /// Adds a tensor.
    pub fn want(&mut self, name: impl Into<String>, shape: &[i64]) -> TensorId {
        self.want_any([name.into()], shape)
    }

    /// Adds a tensor that goes by one of several names, for they are copies of each other.
    pub fn want_any(&mut self, names: impl Into<Vec<String>>, shape: &[i64]) -> TensorId {
        self.wanted.push(Wanted { names: names.into(), shape: shape.to_vec() });
        TensorId(self.wanted.len() - 1)
    }

    /// Names (the first where there are several) and shapes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[i64])> {
        self.wanted.iter().map(|wanted| (wanted.names[0].as_str(), wanted.shape.as_slice()))
    }
}

/// The tensors of a [`TensorList`], in memory. They take no gradient.
#[derive(Debug)]
pub struct FrozenTensors {
    tensors: Vec<Tensor>,
}

impl FrozenTensors {
    /// One of them. The list it was added to must be the one that was loaded.
    pub fn get(&self, id: TensorId) -> &Tensor {
        &self.tensors[id.0]
    }
}

#[cfg(test)]
mod tests;
