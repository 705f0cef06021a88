//! What can be wrong with a configuration file, a dataset card or a name in them.

use std::path::PathBuf;

/// A configuration file or dataset card that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The file could not be read.
    #[error("cannot read {}; check the path", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not YAML or JSON of the expected form.
    #[error("{}: {found}; {expected}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The parser's message, with line and column.
        found: String,
        /// What the file should hold, and what to do.
        expected: String,
    },
    /// A value is of the right type and still unusable.
    #[error("{}: {field} is {found}, expected {expected}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key, dotted from the top of the file.
        field: String,
        /// The value found.
        found: String,
        /// What it may be.
        expected: String,
    },
}

/// An error and its causes in one line.
///
/// ```
/// let wrong = "x".parse::<u8>().unwrap_err();
/// assert_eq!(rdt_schema::in_full(&wrong), "invalid digit found in string");
/// ```
pub fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
