//! What can go wrong when a buffer is looked at.

use std::error::Error;

use rdt_buffer::BufferError;
use rdt_chunk::ChunkError;
use rdt_schema::SchemaError;

/// A command about a buffer that cannot be carried out. What is wrong *with* the buffer is no error, but
/// what is found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// The user must ask for something else.
    #[error("{0}")]
    Usage(String),
    /// Something was found where it is not looked for as damage.
    #[error("{0}")]
    Found(String),
    /// What was being done, and why it failed.
    #[error("{what}")]
    While {
        /// What, and what to do.
        what: String,
        /// Whether the user must ask for something else.
        is_usage: bool,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The buffer cannot be read.
    #[error(transparent)]
    Buffer(#[from] BufferError),
    /// A chunk cannot be.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// Its configuration, cards or statistics cannot be understood.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A frame cannot be prepared.
    #[error(transparent)]
    Image(#[from] rdt_image::ImageError),
    /// Something cannot be put into JSON.
    #[error("cannot be put into JSON")]
    Json(#[from] serde_json::Error),
    /// A sample cannot be put into safetensors.
    #[error("cannot be put into safetensors")]
    Tensors(#[from] safetensors::SafeTensorError),
    /// A source file cannot be read.
    #[cfg(feature = "hdf5")]
    #[error(transparent)]
    Episode(#[from] rdt_episode::EpisodeError),
}

pub(crate) type Result<T> = std::result::Result<T, InspectError>;

impl InspectError {
    /// Whether the user must ask for something else; otherwise the world failed.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Usage(_) | Self::While { is_usage: true, .. })
    }
}

/// Says what was being done when something failed.
pub(crate) trait Context<T> {
    /// With a text that is made only then.
    fn with_context(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Box<dyn Error + Send + Sync>>> Context<T> for std::result::Result<T, E> {
    fn with_context(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| InspectError::While { what: what(), is_usage: false, source: source.into() })
    }
}
