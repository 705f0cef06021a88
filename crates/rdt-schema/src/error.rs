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
    /// A row of a robot's state that does not fit its card.
    #[error("array {array} is {found}, expected {expected}")]
    Row {
        /// The array, as the card names it.
        array: String,
        /// What was found.
        found: String,
        /// What the card asks for.
        expected: String,
    },
    /// A card scales by extremes that nobody knows.
    #[error(
        "data set {dataset}: its card scales by the extremes of the data (min_max), and they are not known; take \
         them from the buffer that it was trained on"
    )]
    NoExtremes {
        /// The data set.
        dataset: String,
    },
    /// A description of data that this program does not know.
    #[error(
        "format version of the data's description is {found}, expected {expected}; use the program that wrote it"
    )]
    AboutVersion {
        /// The version found.
        found: u32,
        /// The version that is read.
        expected: u32,
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
