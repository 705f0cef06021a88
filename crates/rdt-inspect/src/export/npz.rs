//! NumPy's `.npz`: a ZIP archive of `.npy` files, stored, as `numpy.savez` writes it.
//!
//! Only what is needed: little-endian arrays in row order, no compression, no ZIP64. The
//! order of the arrays is the order of the archive.

use std::io::{self, Write};

/// Element types, as NumPy names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    /// `bool`.
    Bool,
    /// `uint8`.
    U8,
    /// `int32`.
    I32,
    /// `float32`.
    F32,
}

impl Element {
    fn descr(self) -> &'static str {
        match self {
            Self::Bool => "|b1",
            Self::U8 => "|u1",
            Self::I32 => "<i4",
            Self::F32 => "<f4",
        }
    }
}

/// 1 January 1980, the earliest that ZIP knows: files do not depend on the clock.
const DATE: u16 = 0x0021;
/// Version 2.0 of the ZIP format.
const VERSION: u16 = 20;

/// An archive being written.
pub(super) struct Npz<W: Write> {
    out: W,
    written: u64,
    directory: Vec<u8>,
    arrays: u16,
}

impl<W: Write> Npz<W> {
    /// An empty archive.
    pub(super) fn new(out: W) -> Self {
        Self { out, written: 0, directory: Vec::new(), arrays: 0 }
    }

    /// Appends the array `name`: `data` is its elements, little-endian, in row order.
    pub(super) fn array(
        &mut self,
        name: &str,
        element: Element,
        shape: &[usize],
        data: &[u8],
    ) -> io::Result<()> {
        let header = npy_header(element, shape);
        let mut checksum = crc32fast::Hasher::new();
        checksum.update(&header);
        checksum.update(data);
        let size = small(header.len() as u64 + data.len() as u64)?;
        let name = format!("{name}.npy");

        // Fields that the local header and the directory share.
        let mut shared = Vec::new();
        for value in [VERSION, 0, 0, 0, DATE] {
            shared.extend(value.to_le_bytes());
        }
        for value in [checksum.finalize(), size, size] {
            shared.extend(value.to_le_bytes());
        }
        shared.extend((name.len() as u16).to_le_bytes());
        shared.extend(0u16.to_le_bytes());

        let offset = small(self.written)?;
        self.write(b"PK\x03\x04")?;
        self.write(&shared)?;
        self.write(name.as_bytes())?;
        self.write(&header)?;
        self.write(data)?;

        self.directory.extend(b"PK\x01\x02");
        self.directory.extend(VERSION.to_le_bytes());
        self.directory.extend(shared);
        // No comment, disk 0, no attributes.
        self.directory.extend([0; 10]);
        self.directory.extend(offset.to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.arrays += 1;
        Ok(())
    }

    /// Writes the directory; returns the length of the archive in bytes.
    pub(super) fn finish(mut self) -> io::Result<u64> {
        let (start, directory) = (small(self.written)?, std::mem::take(&mut self.directory));
        self.write(&directory)?;
        let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
        end.extend(self.arrays.to_le_bytes());
        end.extend(self.arrays.to_le_bytes());
        end.extend((directory.len() as u32).to_le_bytes());
        end.extend(start.to_le_bytes());
        end.extend(0u16.to_le_bytes());
        self.write(&end)?;
        self.out.flush()?;
        Ok(self.written)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

/// Sizes and offsets of 32 bits; a sample is megabytes at most.
fn small(size: u64) -> io::Result<u32> {
    u32::try_from(size).map_err(|_| io::Error::other("a sample of more than 4 GiB does not fit into an npz"))
}

/// The header of version 1.0, padded so that data starts at a multiple of 64.
fn npy_header(element: Element, shape: &[usize]) -> Vec<u8> {
    let dimensions: Vec<String> = shape.iter().map(|size| format!("{size},")).collect();
    let shape = match dimensions.as_slice() {
        [] => "()".to_owned(),
        [only] => format!("({only})"),
        many => format!("({})", many.join(" ").trim_end_matches(',')),
    };
    let mut text = format!("{{'descr': '{}', 'fortran_order': False, 'shape': {shape}, }}", element.descr());
    let padding = (64 - (10 + text.len() + 1) % 64) % 64;
    text.extend(std::iter::repeat_n(' ', padding));
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((text.len() as u16).to_le_bytes());
    header.extend(text.as_bytes());
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_numpys() {
        let header = npy_header(Element::F32, &[64, 128]);
        assert_eq!(header.len(), 128);
        let start =
            b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (64, 128), }";
        assert_eq!(&header[..start.len()], start);
        assert_eq!(header.last(), Some(&b'\n'));
        let shape = |shape: &[usize]| {
            let header = String::from_utf8_lossy(&npy_header(Element::U8, shape)).into_owned();
            header.split_once("'shape': ").map(|(_, rest)| rest.trim_end().to_owned())
        };
        assert_eq!(shape(&[]).as_deref(), Some("(), }"));
        assert_eq!(shape(&[7]).as_deref(), Some("(7,), }"));
    }

    #[test]
    fn the_directory_points_at_the_arrays() {
        let mut bytes = Vec::new();
        let mut npz = Npz::new(&mut bytes);
        npz.array("a", Element::I32, &[], &7i32.to_le_bytes()).expect("room");
        npz.array("b", Element::U8, &[3], &[1, 2, 3]).expect("room");
        let length = npz.finish().expect("room");
        assert_eq!(length, bytes.len() as u64);
        let u32_at = |at: usize| u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i])) as usize;
        let end = bytes.len() - 22;
        assert_eq!(&bytes[end..end + 4], b"PK\x05\x06");
        let directory = u32_at(end + 16);
        assert_eq!(directory + u32_at(end + 12), end);
        // The second entry follows the first: 46 bytes and its name.
        let second = directory + 46 + "a.npy".len();
        assert_eq!(&bytes[second..second + 4], b"PK\x01\x02");
        let offset = u32_at(second + 42);
        assert_eq!(&bytes[offset..offset + 4], b"PK\x03\x04");
        assert_eq!(&bytes[offset + 30..offset + 35], b"b.npy");
        assert_eq!(&bytes[directory - 3..directory], [1, 2, 3]);
    }
}
