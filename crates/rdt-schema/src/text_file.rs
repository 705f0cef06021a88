//! A text file that is kept with what was made by it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A text file, verbatim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextFile {
    /// Where it was read from.
    pub path: PathBuf,
    /// Its content.
    pub text: String,
}
