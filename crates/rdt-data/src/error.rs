//! What can be wrong with a source or its batches.

use rdt_buffer::BufferError;
use rdt_consumer::ConsumerError;
use rdt_schema::{SchemaError, Setting};

/// A source that cannot be opened, or batches that cannot be made of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Settings that exclude each other, or one that is out of its range.
    #[error("{setting} is {found}, expected {expected}")]
    Setting {
        /// The setting.
        setting: Setting,
        /// What was found.
        found: String,
        /// What it may be, and what to do.
        expected: String,
    },
    /// The configuration cannot be read.
    #[error(transparent)]
    Config(#[from] SchemaError),
    /// The buffer cannot be used.
    #[error(transparent)]
    Buffer(#[from] BufferError),
    /// Stored embeddings do not cover the buffer.
    #[error(transparent)]
    NotEmbedded(BufferError),
    /// The samples cannot become such batches.
    #[error(transparent)]
    Batches(#[from] ConsumerError),
    /// The source files cannot be used.
    #[cfg(feature = "hdf5")]
    #[error(transparent)]
    Producer(#[from] rdt_producer::ProducerError),
}

impl DataError {
    pub(crate) fn setting(setting: Setting, found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Setting { setting, found: found.into(), expected: expected.into() }
    }

    /// Whether the user must change what was asked for; otherwise the world failed.
    pub fn is_usage(&self) -> bool {
        match self {
            Self::Setting { .. } | Self::Config(_) | Self::NotEmbedded(_) => true,
            Self::Buffer(_) => false,
            Self::Batches(error) => error.is_usage(),
            #[cfg(feature = "hdf5")]
            Self::Producer(error) => error.is_usage(),
        }
    }
}
