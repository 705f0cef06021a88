//! What a source file is to whoever reads episodes out of it, whatever its format: named arrays, texts
//! and frames, in groups.
//!
//! Each format is a variant here and a folder beside this file, which alone knows the format. A format is
//! a feature of this crate; a card names its format. Paths inside a file are joined by `/`; `""` is the
//! file itself.

#![cfg_attr(
    not(feature = "hdf5"),
    allow(unused_variables, dead_code, reason = "without a format there is nothing to ask")
)]

use std::path::Path;

use rdt_schema::FrameEncoding;
use rdt_schema::card::SourceFormat;

use crate::error::EpisodeError;
#[cfg(feature = "hdf5")]
use crate::hdf5::{self, Hdf5File};
use crate::matrix::Matrix;

/// A source file, open for reading.
#[derive(Debug)]
pub(crate) enum Container {
    /// HDF5.
    #[cfg(feature = "hdf5")]
    Hdf5(Hdf5File),
    /// No format is built in: there is no such file.
    #[cfg(not(feature = "hdf5"))]
    None(std::convert::Infallible),
}

/// The frames of one camera, in an array of a source file.
#[derive(Debug)]
pub(crate) enum FrameArray {
    /// In an HDF5 file.
    #[cfg(feature = "hdf5")]
    Hdf5(hdf5::FrameArray),
    /// No format is built in.
    #[cfg(not(feature = "hdf5"))]
    None(std::convert::Infallible),
}

/// Does the same with whatever format it is.
macro_rules! with {
    ($kind:ident, $value:expr, $file:ident => $done:expr) => {
        match $value {
            #[cfg(feature = "hdf5")]
            $kind::Hdf5($file) => $done,
            #[cfg(not(feature = "hdf5"))]
            $kind::None(never) => match *never {},
        }
    };
}

impl Container {
    /// Opens a file of a format.
    ///
    /// # Errors
    /// It cannot be opened, or the format is not built in.
    pub(crate) fn open(format: SourceFormat, path: &Path) -> Result<Self, EpisodeError> {
        match format {
            #[cfg(feature = "hdf5")]
            SourceFormat::Hdf5 => Hdf5File::open(path).map(Self::Hdf5),
            #[cfg(not(feature = "hdf5"))]
            SourceFormat::Hdf5 => Err(EpisodeError::content(
                path,
                "",
                "an HDF5 file, and this program was built without HDF5",
                "a format that is built in",
                "build it with the feature hdf5",
            )),
        }
    }

    /// Groups whose path matches `pattern`, in natural order (`demo_2` before `demo_10`); `*` stands for
    /// any run of characters in one part, and `""` gives `[""]`.
    ///
    /// # Errors
    /// A group cannot be listed.
    pub(crate) fn groups(&self, pattern: &str) -> Result<Vec<String>, EpisodeError> {
        with!(Self, self, file => file.groups(pattern))
    }

    /// Whether a group or array of that path exists.
    pub(crate) fn exists(&self, path: &str) -> bool {
        with!(Self, self, file => file.exists(path))
    }

    /// Shape of an array (empty for a scalar); `None` where there is no array of that path.
    pub(crate) fn shape(&self, path: &str) -> Option<Vec<usize>> {
        with!(Self, self, file => file.shape(path))
    }

    /// An array of numbers, row by row: the first dimension counts rows, the others are columns.
    ///
    /// # Errors
    /// It is missing, a scalar, empty, not numeric, or damaged.
    pub(crate) fn read_f64(&self, path: &str) -> Result<Matrix, EpisodeError> {
        with!(Self, self, file => file.read_f64(path))
    }

    /// The text of an array: a scalar, or its first entry.
    ///
    /// # Errors
    /// It is missing, empty, not text, or not UTF-8.
    pub(crate) fn read_text(&self, path: &str) -> Result<String, EpisodeError> {
        with!(Self, self, file => file.read_text(path))
    }

    /// The text of an attribute of a group or array.
    ///
    /// # Errors
    /// It is missing, not text, or not UTF-8.
    pub(crate) fn attribute_text(&self, group: &str, name: &str) -> Result<String, EpisodeError> {
        with!(Self, self, file => file.attribute_text(group, name))
    }

    /// Whether a group or array has an attribute of that name.
    pub(crate) fn has_attribute(&self, group: &str, name: &str) -> bool {
        with!(Self, self, file => file.has_attribute(group, name))
    }

    /// The frames of one camera; `lengths` is the path of a table of their lengths in bytes, and this
    /// camera's row in it, where they are padded.
    ///
    /// # Errors
    /// The array is missing, empty or of no form that frames have, or the table does not fit it.
    pub(crate) fn frames(
        &self,
        path: &str,
        lengths: Option<(&str, usize)>,
    ) -> Result<FrameArray, EpisodeError> {
        with!(Self, self, file => file.frames(path, lengths).map(FrameArray::Hdf5))
    }
}

impl FrameArray {
    /// Number of frames.
    pub(crate) fn len(&self) -> usize {
        with!(Self, self, array => array.len())
    }

    /// How they are encoded.
    pub(crate) fn encoding(&self) -> FrameEncoding {
        with!(Self, self, array => array.encoding())
    }

    /// Reads a frame's bytes into `out`, replacing what it holds, and gives its height and width.
    ///
    /// # Errors
    /// There is no such frame, or it is damaged.
    pub(crate) fn read(&self, index: usize, out: &mut Vec<u8>) -> Result<(u32, u32), EpisodeError> {
        with!(Self, self, array => array.read(index, out))
    }

    /// Looks at the structure of all frames, which must be of one size; gives height and width.
    ///
    /// # Errors
    /// One is damaged or of another size.
    pub(crate) fn check_all(&self) -> Result<(u32, u32), EpisodeError> {
        with!(Self, self, array => array.check_all())
    }
}
