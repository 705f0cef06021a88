//! What can be wrong with a source file, an episode in it, or a card that meets it.
//!
//! Owns the one error enum of the crate. Every text names the file, the place inside it,
//! what was found, what was expected, and what to do; causes are kept as sources, so
//! nothing is said twice.

use std::path::{Path, PathBuf};

/// The cause below an error: an I/O error, or the HDF5 library's message.
pub type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A source file or episode that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EpisodeError {
    /// The file cannot be opened, or is not what it should be.
    #[error(transparent)]
    Open(Box<OpenFault>),
    /// Something inside the file is missing, broken, or of another form than expected.
    #[error(transparent)]
    Content(Box<ContentFault>),
}

/// Why a file cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("{}: {found}, expected {expected}; {remedy}", file.display())]
pub struct OpenFault {
    /// The file.
    pub file: PathBuf,
    /// What is there.
    pub found: String,
    /// What should be there.
    pub expected: String,
    /// What to do.
    pub remedy: String,
    /// The cause.
    #[source]
    pub source: Option<Cause>,
}

/// What is wrong at one place inside a file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {place}: found {found}, expected {expected}; {remedy}", file.display())]
pub struct ContentFault {
    /// The file.
    pub file: PathBuf,
    /// Path of the array, group or attribute inside the file, with the frame or row where it matters.
    pub place: String,
    /// What is there.
    pub found: String,
    /// What should be there.
    pub expected: String,
    /// What to do.
    pub remedy: String,
    /// The cause.
    #[source]
    pub source: Option<Cause>,
}

impl EpisodeError {
    /// A file that cannot be opened.
    pub fn open(
        file: &Path,
        found: impl Into<String>,
        expected: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Open(Box::new(OpenFault {
            file: file.to_owned(),
            found: found.into(),
            expected: expected.into(),
            remedy: remedy.into(),
            source: None,
        }))
    }

    /// A place inside a file that is not as expected.
    pub fn content(
        file: &Path,
        place: impl Into<String>,
        found: impl Into<String>,
        expected: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Content(Box::new(ContentFault {
            file: file.to_owned(),
            place: place.into(),
            found: found.into(),
            expected: expected.into(),
            remedy: remedy.into(),
            source: None,
        }))
    }

    /// The same error with its cause.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Cause>) -> Self {
        match &mut self {
            Self::Open(fault) => fault.source = Some(cause.into()),
            Self::Content(fault) => fault.source = Some(cause.into()),
        }
        self
    }
}
