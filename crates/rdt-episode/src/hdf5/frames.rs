//! The frames of one camera, in any storage form.
//!
//! Owns what makes an array an array of frames: which forms there are, how long a padded
//! frame is, and what a well-formed frame looks like. Decodes no pictures.

use std::sync::{Arc, Mutex};

use rdt_schema::FrameEncoding;

use super::jpeg::{self, Flaw};
use super::layout::{Kind, look_up};
use super::rows::{Rows, is_u8};
use super::source::SourceFile;
use super::variable::{Run, VariableRows};
use crate::EpisodeError;
use crate::matrix::Matrix;

const FORMS: &str = "frames: u8 (T, H, W, 3), strings |S<n> (T,), u8 (T, N), or variable-length u8 (T,)";

/// The frames of one camera: read one at a time, from any thread.
#[derive(Debug)]
pub struct FrameArray {
    form: Form,
}

#[derive(Debug)]
enum Form {
    Raw { rows: Rows, height: u32, width: u32 },
    Padded { rows: Rows, lengths: Option<Vec<usize>> },
    Variable(VariableRows),
}

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<FrameArray>();
};

impl FrameArray {
    /// Number of frames; at least 1.
    pub fn len(&self) -> usize {
        match &self.form {
            Form::Raw { rows, .. } | Form::Padded { rows, .. } => rows.count,
            Form::Variable(rows) => rows.count,
        }
    }

    /// What the bytes of a frame are.
    pub fn encoding(&self) -> FrameEncoding {
        match self.form {
            Form::Raw { .. } => FrameEncoding::Raw,
            Form::Padded { .. } | Form::Variable(_) => FrameEncoding::Jpeg,
        }
    }

    /// Replaces `out` by the bytes of one frame, padding removed, and returns its (height, width)
    /// in pixels. The size of a JPEG is read from its frame header; nothing is decoded.
    ///
    /// # Errors
    /// [`EpisodeError::Content`] where `index` is past the end, the bytes cannot be read or
    /// inflated, or a JPEG has no frame header.
    pub fn read(&self, index: usize, out: &mut Vec<u8>) -> Result<(u32, u32), EpisodeError> {
        self.fetch(index, out)?;
        match self.form {
            Form::Raw { height, width, .. } => Ok((height, width)),
            Form::Padded { .. } | Form::Variable(_) => {
                jpeg::size(out).map_err(|flaw| self.flawed(index, flaw))
            }
        }
    }

    /// Checks the structure of every frame, without decoding: what can be known cheaply before
    /// anything is planned. Returns the (height, width) that all frames have.
    ///
    /// # Errors
    /// The first frame that is not well-formed, was never written, or is of another size than
    /// the first.
    pub fn check_all(&self) -> Result<(u32, u32), EpisodeError> {
        if let Form::Raw { rows, height, width } = &self.form {
            return match rows.first_unwritten() {
                None => Ok((*height, *width)),
                Some(index) => Err(self.flawed(
                    index,
                    Flaw { found: "a frame that was never written".into(), expected: "pixels".into() },
                )),
            };
        }
        let mut bytes = Vec::new();
        let mut constant: Option<(u32, u32)> = None;
        for index in 0..self.len() {
            self.fetch(index, &mut bytes)?;
            let size = jpeg::check(&bytes).map_err(|flaw| self.flawed(index, flaw))?;
            let (height, width) = *constant.get_or_insert(size);
            if size != (height, width) {
                return Err(self.flawed(
                    index,
                    Flaw {
                        found: format!("a picture of {} x {} pixels", size.0, size.1),
                        expected: format!("{height} x {width} as in the first frame"),
                    },
                ));
            }
        }
        constant.ok_or_else(|| self.flawed(0, Flaw { found: "no frames".into(), expected: "one".into() }))
    }

    /// The bytes of one frame without padding.
    fn fetch(&self, index: usize, out: &mut Vec<u8>) -> Result<(), EpisodeError> {
        if index >= self.len() {
            return Err(self.flawed(
                index,
                Flaw { found: format!("{} frames", self.len()), expected: "a frame of that index".into() },
            ));
        }
        match &self.form {
            Form::Raw { rows, .. } => rows.read(index, rows.row_bytes, out),
            Form::Padded { rows, lengths: Some(lengths) } => rows.read(index, lengths[index], out),
            Form::Padded { rows, lengths: None } => {
                rows.read(index, rows.row_bytes, out)?;
                // A JPEG ends in ff d9: no byte of it is lost.
                let end = out.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                out.truncate(end);
                Ok(())
            }
            Form::Variable(rows) => rows.read(index, out),
        }
    }

    fn flawed(&self, index: usize, flaw: Flaw) -> EpisodeError {
        let (file, place) = match &self.form {
            Form::Raw { rows, .. } | Form::Padded { rows, .. } => (rows.file(), rows.place()),
            Form::Variable(rows) => (&*rows.file, &*rows.place),
        };
        let remedy = "repair or remove the episode";
        file.fault(&format!("{place}[{index}]"), flaw.found, flaw.expected, remedy)
    }

    pub(super) fn open(
        file: &Arc<SourceFile>,
        place: &str,
        compress_len: Option<(&str, usize)>,
    ) -> Result<Self, EpisodeError> {
        let (dataset, layed) = look_up(file, place)?;
        let other = |found: String, remedy: &str| Err(file.fault(place, found, FORMS, remedy));
        if layed.shape.contains(&0) {
            return other(
                format!("shape {:?}: no frames", layed.shape),
                "record the episode again, or remove it",
            );
        }
        let form = match (&layed.kind, &*layed.shape) {
            (kind, &[_, height, width, 3]) if is_u8(kind) => {
                let (Ok(height), Ok(width)) = (u32::try_from(height), u32::try_from(width)) else {
                    return other(format!("shape {:?}", layed.shape), "check the array's shape");
                };
                Form::Raw { rows: Rows::new(file, place, layed)?, height, width }
            }
            (kind, &[frames, longest]) if is_u8(kind) => {
                let lengths = compress_len
                    .map(|(table, row)| read_lengths(file, table, row, frames, longest))
                    .transpose()?;
                Form::Padded { rows: Rows::new(file, place, layed)?, lengths }
            }
            (Kind::FixedText, &[_]) => {
                let rows = Rows::new(file, place, layed)?;
                if let Some(reason) = rows.library_reason() {
                    return other(
                        format!("strings stored in a way that is not read ({reason})"),
                        "rewrite them: h5repack -f NONE -l CONTI OLD NEW",
                    );
                }
                Form::Padded { rows, lengths: None }
            }
            (Kind::VariableBytes, &[count]) => Form::Variable(VariableRows {
                file: Arc::clone(file),
                place: place.to_owned(),
                dataset,
                count,
                run: Mutex::new(Run::default()),
            }),
            (kind, shape) => {
                let found = format!("{} of shape {shape:?}", kind.describe(layed.element_bytes));
                return other(found, "name the camera's array in the dataset card");
            }
        };
        Ok(Self { form })
    }
}

/// One camera's row of a `(cameras, frames)` table of lengths.
fn read_lengths(
    file: &Arc<SourceFile>,
    table: &str,
    row: usize,
    frames: usize,
    longest: usize,
) -> Result<Vec<usize>, EpisodeError> {
    let lengths = Matrix::read(file, table)?;
    let remedy = "check the table's path and this camera's row in the dataset card";
    if row >= lengths.rows || lengths.columns < frames {
        return Err(file.fault(
            table,
            format!("{} rows of {} lengths", lengths.rows, lengths.columns),
            format!("row {row}, with a length for each of {frames} frames"),
            remedy,
        ));
    }
    let checked = lengths.row(row)[..frames].iter().enumerate().map(|(index, &length)| {
        // Stored as floats; what is not a whole number of bytes inside the row is damage.
        if length.fract() == 0.0 && length >= 1.0 && length <= longest as f64 {
            return Ok(length as usize);
        }
        let place = format!("{table}[{row}][{index}]");
        Err(file.fault(
            &place,
            format!("length {length}"),
            format!("a whole number from 1 to {longest}"),
            remedy,
        ))
    });
    checked.collect()
}
