//! What can go wrong in training, for a person: place, found, expected, remedy.

use std::path::PathBuf;

use tch::TchError;

/// A failure of the network, the trainer or its files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// libtorch refused an operation; most often memory ran out.
    #[error(
        "libtorch failed; if memory ran out, lower --train-batch-size and raise --gradient-accumulation-steps"
    )]
    Torch {
        /// libtorch's own words.
        source: TorchWords,
    },
    /// The configuration or a flag asks for something that cannot be.
    #[error("{what} is {found}, expected {expected}")]
    Setting {
        /// Key or flag.
        what: String,
        /// Its value.
        found: String,
        /// What it may be, and what to do.
        expected: String,
    },
    /// A file cannot be read or written.
    #[error("{}: cannot {action}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What was being done.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// A file was read and does not fit.
    #[error("{}: {found}; expected {expected}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        found: String,
        /// What should be there, and what to do.
        expected: String,
    },
    /// A frame, or an image size, that cannot be prepared.
    #[error(transparent)]
    Image(#[from] rdt_image::ImageError),
    /// Loss or gradient became infinite or not a number.
    #[error(
        "step {step}: {what} is {value}; the step was not applied and the samples of its batch are listed in {}; \
         look at them with `rdt-buf show`, or lower --learning-rate", list.display()
    )]
    NonFinite {
        /// Optimiser step, from 0.
        step: u64,
        /// `loss` or `gradient norm`.
        what: &'static str,
        /// Its value.
        value: f64,
        /// File with the ids of the samples.
        list: PathBuf,
    },
    /// Stored embeddings cannot be read or written.
    #[error(transparent)]
    Embeddings(#[from] rdt_buffer::BufferError),
    /// The samples could not be delivered.
    #[error("the data loader stopped")]
    Data {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl From<TchError> for TrainError {
    fn from(error: TchError) -> Self {
        Self::Torch { source: TorchWords(error) }
    }
}

/// What libtorch says: its first line. The C++ backtrace under it is only for those who set
/// `RUST_BACKTRACE`.
#[derive(Debug)]
pub struct TorchWords(TchError);

impl std::fmt::Display for TorchWords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = self.0.to_string();
        let all = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
        f.write_str(quoted(&words, all))
    }
}

fn quoted(words: &str, all: bool) -> &str {
    if all { words } else { words.lines().next().unwrap_or_default() }
}

// No source: it would print the words again, all of them.
impl std::error::Error for TorchWords {}

impl TrainError {
    /// A [`TrainError::Data`], for `map_err`.
    pub fn data(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Data { source: error.into() }
    }

    /// A [`TrainError::File`] about `path`, for `map_err`.
    pub(crate) fn file(
        path: impl Into<PathBuf>,
        action: &'static str,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, action, source }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use tch::{Device, Kind, Tensor};

    use super::*;

    #[test]
    fn libtorch_is_quoted_in_one_line() -> Result<(), Box<dyn Error>> {
        let zeros = |n: i64| Tensor::zeros([n], (Kind::Float, Device::Cpu));
        let torch = zeros(2).f_add(&zeros(3)).err().ok_or("added")?;
        assert!(torch.to_string().lines().count() > 1, "{torch}");
        let words = torch.to_string();
        assert_eq!(quoted(&words, true), words);
        assert_eq!(quoted(&words, false).lines().count(), 1);
        let said = TrainError::from(torch).source().ok_or("no cause")?.to_string();
        assert!(said.contains("must match the size"), "{said}");
        Ok(())
    }
}
