//! State and action rows: little-endian f32, only the active columns of each data set.
//!
//! Values are numbered through the whole section, since rows of different data sets
//! differ in width. In next-state form the action windows lie in the state rows.

/// Bytes of a value.
pub(crate) const VALUE: usize = 4;

/// The bytes of the rows section.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    bytes: &'a [u8],
}

impl<'a> Rows<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Number of values.
    pub(crate) fn len(self) -> u64 {
        (self.bytes.len() / VALUE) as u64
    }

    /// `width` values from number `first` on; fewer where the section ends, which a
    /// checked sample never meets.
    pub(crate) fn row(self, first: u64, width: usize) -> impl Iterator<Item = f32> + 'a {
        let start = (first as usize).saturating_mul(VALUE).min(self.bytes.len());
        let bytes = &self.bytes[start..];
        bytes.chunks_exact(VALUE).take(width).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }
}
