//! Reading arrays, texts and frames out of HDF5 files, cheaply and from any thread.
//!
//! Owns everything that knows HDF5: how a file is opened, how arrays are stored in it, and
//! how bytes become rows, texts and frames. Does not know dataset cards, episodes or what
//! an array means.
//!
//! The HDF5 library serialises all of its calls by one process-wide lock. So it is asked
//! for metadata only (once an array: type, shape, file offset or chunk table); the bytes
//! themselves are read with `pread`, inflated and put in order by this module, outside that
//! lock. What this module does not decode itself (unusual filters, layouts or number
//! formats, variable-length data) goes through the library.
//!
//! Invariants:
//! - source files are never mapped and never written; a file that shrinks under the reader
//!   is an error, not a signal;
//! - a value is returned only if every byte of it was read: short files are errors;
//! - reading one frame decodes nothing that does not share an HDF5 chunk with it.

mod filters;
mod frames;
mod groups;
mod jpeg;
mod layout;
mod library;
mod lzf;
mod matrix;
mod rows;
mod source;
mod text;
mod variable;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

pub(crate) use frames::FrameArray;

use self::source::SourceFile;
use crate::EpisodeError;
use crate::matrix::Matrix;

/// An HDF5 file, open for reading.
///
/// Cheap to clone; every `FrameArray` taken from it keeps it open.
#[derive(Debug, Clone)]
pub struct Hdf5File(Arc<SourceFile>);

impl Hdf5File {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// [`EpisodeError::Open`] where the path is missing, a directory, not HDF5, truncated,
    /// not permitted, or open for writing in another process.
    pub fn open(path: &Path) -> Result<Self, EpisodeError> {
        SourceFile::open(path).map(|file| Self(Arc::new(file)))
    }

    /// The path the file was opened by.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Groups whose path matches `pattern`, in natural order (`demo_2` before `demo_10`).
    ///
    /// `*` stands for any run of characters inside one path component; `""` gives `[""]`, the
    /// file itself. Only groups are listed, not arrays. A pattern without match gives an empty list.
    ///
    /// # Errors
    /// [`EpisodeError::Content`] where a group cannot be listed.
    pub fn groups(&self, pattern: &str) -> Result<Vec<String>, EpisodeError> {
        groups::matching(&self.0, pattern)
    }

    /// Whether a group or array of that path exists.
    pub fn exists(&self, path: &str) -> bool {
        groups::exists(&self.0, path)
    }

    /// Shape of an array (empty for a scalar); `None` where there is no array of that path.
    pub fn shape(&self, path: &str) -> Option<Vec<usize>> {
        layout::shape(&self.0, path)
    }

    /// An array of integers, floats or booleans of any width, as `f64`, row by row. The first
    /// dimension counts rows; the others are flattened into columns. A 1-D array is one column.
    ///
    /// # Errors
    /// [`EpisodeError::Content`] where the array is missing, a scalar, empty, not numeric, or damaged.
    pub fn read_f64(&self, path: &str) -> Result<Matrix, EpisodeError> {
        Matrix::read(&self.0, path)
    }

    /// The text of a string data set: a scalar, or the first entry of an array.
    /// Fixed and variable length; NUL padding is cut.
    ///
    /// # Errors
    /// [`EpisodeError::Content`] where it is missing, empty, not text, or not UTF-8.
    pub fn read_text(&self, path: &str) -> Result<String, EpisodeError> {
        text::of_dataset(&self.0, path)
    }

    /// The text of an attribute of a group or array (`""` is the file itself).
    ///
    /// # Errors
    /// [`EpisodeError::Content`] where it is missing, not text, or not UTF-8.
    pub fn attribute_text(&self, group: &str, name: &str) -> Result<String, EpisodeError> {
        text::of_attribute(&self.0, group, name)
    }

    /// Whether a group or array (`""` is the file itself) has an attribute of that name.
    pub fn has_attribute(&self, group: &str, name: &str) -> bool {
        text::has_attribute(&self.0, group, name)
    }

    /// The frames of one camera. The storage form is found from type and rank: raw `u8 (T,H,W,3)`;
    /// JPEG as `|S<n> (T,)`, as variable-length `u8 (T,)`, or as `u8 (T,N)`.
    ///
    /// `compress_len`: for the last form, the path of the table of lengths and this camera's
    /// row in it; without it, trailing NULs are cut.
    ///
    /// # Errors
    /// [`EpisodeError::Content`] where the array is missing, empty or of another form, or the table
    /// does not fit it.
    pub fn frames(
        &self,
        path: &str,
        compress_len: Option<(&str, usize)>,
    ) -> Result<FrameArray, EpisodeError> {
        FrameArray::open(&self.0, path, compress_len)
    }
}
