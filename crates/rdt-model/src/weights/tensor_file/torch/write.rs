//! Writes a state_dict as `torch.save` does, so that `torch.load(weights_only=True)` reads it.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use tch::{Device, Kind, Tensor};

use super::zip::{DIRECTORY_ENTRY, ELSEWHERE, END, END_64, END_64_LOCATOR, EXTRA_64, LOCAL_HEADER};

/// Storages begin at multiples of this, as `torch.save` places them.
const ALIGNMENT: u64 = 64;
/// Extra field that only fills up; `torch.save` uses the same number.
const EXTRA_FILL: u16 = u16::from_le_bytes(*b"FB");
/// Name of the folder that all members lie in.
const ARCHIVE: &str = "pytorch_model";

/// Writes f32 tensors under their names, one at a time in memory, and waits until the file
/// is on the disk.
///
/// # Errors
/// The disk is full, or a tensor is not f32 or has more than 4 GiB.
pub fn write<'a>(file: File, tensors: impl Iterator<Item = (&'a str, Tensor)> + Clone) -> io::Result<()> {
    let mut zip = Zip::new(file);
    zip.member("data.pkl", &pickle(tensors.clone())?)?;
    zip.member("byteorder", b"little")?;
    for (number, (name, tensor)) in tensors.enumerate() {
        if tensor.kind() != Kind::Float {
            return Err(io::Error::other(format!("{name} is {:?} instead of f32", tensor.kind())));
        }
        let mut bytes = vec![0; tensor.numel() * size_of::<f32>()];
        let elements = tensor.numel();
        let mut fetch =
            || tensor.f_contiguous()?.f_to_device(Device::Cpu)?.f_copy_data_u8(&mut bytes, elements);
        fetch().map_err(io::Error::other)?;
        zip.member(&format!("data/{number}"), &bytes)?;
    }
    zip.member("version", b"3\n")?;
    zip.finish()
}

/// An OrderedDict of tensors, each alone on its storage.
fn pickle<'a>(tensors: impl Iterator<Item = (&'a str, Tensor)>) -> io::Result<Vec<u8>> {
    const EMPTY_DICT: &[u8] = b"ccollections\nOrderedDict\n)R";
    let mut out = vec![0x80, 2];
    out.extend_from_slice(EMPTY_DICT);
    out.push(b'(');
    for (number, (name, tensor)) in tensors.enumerate() {
        let shape = tensor.size();
        text(&mut out, name);
        out.extend_from_slice(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend_from_slice(b"ctorch\nFloatStorage\n");
        text(&mut out, &number.to_string());
        text(&mut out, "cpu");
        integer(&mut out, tensor.numel() as i64);
        out.extend_from_slice(b"tQ");
        integer(&mut out, 0);
        tuple(&mut out, &shape);
        let mut strides = vec![1; shape.len()];
        for axis in (1..shape.len()).rev() {
            strides[axis - 1] = strides[axis] * shape[axis].max(1);
        }
        tuple(&mut out, &strides);
        // No gradient, no hooks.
        out.push(0x89);
        out.extend_from_slice(EMPTY_DICT);
        out.extend_from_slice(b"tR");
    }
    out.extend_from_slice(b"u.");
    Ok(out)
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn integer(out: &mut Vec<u8>, value: i64) {
    match i32::try_from(value) {
        Ok(short) => {
            out.push(b'J');
            out.extend_from_slice(&short.to_le_bytes());
        }
        Err(_) => {
            out.extend_from_slice(&[0x8a, 8]);
            out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

fn tuple(out: &mut Vec<u8>, values: &[i64]) {
    out.push(b'(');
    values.iter().for_each(|&value| integer(out, value));
    out.push(b't');
}

/// An archive of any pickle and storages, beginning at byte `start` of the file: what a test
/// wants to have refused, or to lie behind 4 GiB of nothing.
#[cfg(test)]
pub(super) fn archive(mut file: File, start: u64, pickle: &[u8], storages: &[[u8; 8]]) -> io::Result<()> {
    io::Seek::seek(&mut file, io::SeekFrom::Start(start))?;
    let mut zip = Zip { written: start, ..Zip::new(file) };
    zip.member("data.pkl", pickle)?;
    for (number, storage) in storages.iter().enumerate() {
        zip.member(&format!("data/{number}"), storage)?;
    }
    zip.finish()
}

/// A zip archive being written.
struct Zip {
    out: BufWriter<File>,
    written: u64,
    directory: Vec<u8>,
    members: u64,
}

impl Zip {
    fn new(file: File) -> Self {
        Self { out: BufWriter::new(file), written: 0, directory: Vec::new(), members: 0 }
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    fn member(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        let name = format!("{ARCHIVE}/{name}");
        let size = u32::try_from(content.len()).ok().filter(|&size| size != ELSEWHERE);
        let size = size.ok_or_else(|| io::Error::other(format!("{name} has more than 4 GiB")))?;
        let crc = crc32fast::hash(content);
        let start = self.written;
        let head = 30 + name.len() as u64 + 4;
        let fill = (start + head).next_multiple_of(ALIGNMENT) - start - head;

        let mut both = Vec::new();
        // No flags, not compressed, no time.
        both.extend_from_slice(&[0; 8]);
        both.extend_from_slice(&crc.to_le_bytes());
        both.extend_from_slice(&size.to_le_bytes());
        both.extend_from_slice(&size.to_le_bytes());
        both.extend_from_slice(&(name.len() as u16).to_le_bytes());

        let mut header = LOCAL_HEADER.to_le_bytes().to_vec();
        header.extend_from_slice(&[20, 0]);
        header.extend_from_slice(&both);
        header.extend_from_slice(&(fill as u16 + 4).to_le_bytes());
        header.extend_from_slice(name.as_bytes());
        header.extend_from_slice(&EXTRA_FILL.to_le_bytes());
        header.extend_from_slice(&(fill as u16).to_le_bytes());
        header.resize(header.len() + fill as usize, b'Z');
        self.put(&header)?;
        self.put(content)?;

        self.members += 1;
        self.directory.extend_from_slice(&entry(&both, &name, start));
        Ok(())
    }

    fn finish(mut self) -> io::Result<()> {
        let (start, size) = (self.written, self.directory.len() as u64);
        let directory = std::mem::take(&mut self.directory);
        self.put(&directory)?;
        let end = end(start, size, self.members);
        self.put(&end)?;
        self.out.flush()?;
        self.out.get_ref().sync_all()
    }
}

/// An entry of the directory, for a member whose local header begins at `start`.
fn entry(both: &[u8], name: &str, start: u64) -> Vec<u8> {
    let narrow = u32::try_from(start).unwrap_or(ELSEWHERE);
    let mut wide = Vec::new();
    if narrow == ELSEWHERE {
        wide.extend_from_slice(&EXTRA_64.to_le_bytes());
        wide.extend_from_slice(&8u16.to_le_bytes());
        wide.extend_from_slice(&start.to_le_bytes());
    }
    let mut entry = DIRECTORY_ENTRY.to_le_bytes().to_vec();
    entry.extend_from_slice(&[45, 0, 45, 0]);
    entry.extend_from_slice(both);
    entry.extend_from_slice(&(wide.len() as u16).to_le_bytes());
    // No comment, first disk, no attributes.
    entry.extend_from_slice(&[0; 10]);
    entry.extend_from_slice(&narrow.to_le_bytes());
    entry.extend_from_slice(name.as_bytes());
    entry.extend_from_slice(&wide);
    entry
}

/// What closes the archive: the 64-bit end, its locator, the end that old readers look for.
fn end(start: u64, size: u64, members: u64) -> Vec<u8> {
    let mut out = END_64.to_le_bytes().to_vec();
    out.extend_from_slice(&44u64.to_le_bytes());
    out.extend_from_slice(&[45, 0, 45, 0]);
    out.extend_from_slice(&[0; 8]);
    for value in [members, members, size, start] {
        out.extend_from_slice(&value.to_le_bytes());
    }
    out.extend_from_slice(&END_64_LOCATOR.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(start + size).to_le_bytes());
    out.extend_from_slice(&1u32.to_le_bytes());
    out.extend_from_slice(&END.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    for _ in 0..2 {
        out.extend_from_slice(&u16::try_from(members).unwrap_or(u16::MAX).to_le_bytes());
    }
    out.extend_from_slice(&u32::try_from(size).unwrap_or(ELSEWHERE).to_le_bytes());
    out.extend_from_slice(&u32::try_from(start).unwrap_or(ELSEWHERE).to_le_bytes());
    out.extend_from_slice(&[0; 2]);
    out
}
