//! What can go wrong with a network, an encoder or their files, for a person: place, found, expected,
//! remedy.

use std::path::PathBuf;

use rdt_schema::Setting;
use tch::TchError;

/// A failure of the network, the encoders or their files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// libtorch refused an operation; most often memory ran out.
    #[error(
        "libtorch failed; if memory ran out, lower {} and raise {}",
        Setting::TRAIN_BATCH_SIZE,
        Setting::GRADIENT_ACCUMULATION_STEPS
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
    /// The description of the data cannot be used.
    #[error(transparent)]
    About(#[from] rdt_schema::SchemaError),
    /// Stored embeddings cannot be read or written.
    #[error(transparent)]
    Embeddings(#[from] rdt_buffer::BufferError),
}

impl From<TchError> for ModelError {
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

impl ModelError {
    /// A [`ModelError::File`] about `path`, for `map_err`.
    pub fn file(path: impl Into<PathBuf>, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
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
        let said = ModelError::from(torch).source().ok_or("no cause")?.to_string();
        assert!(said.contains("must match the size"), "{said}");
        Ok(())
    }
}
