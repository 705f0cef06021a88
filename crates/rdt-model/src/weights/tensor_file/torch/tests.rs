//! What PyTorch saved, what we save, and what nobody should.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use tch::{Device, Kind, Tensor};

use super::write;
use crate::encoder::language::LanguageEncoder;
use crate::encoder::t5_instructions::T5Instructions;
use crate::error::ModelError;
use crate::weights::tensor_file::TensorFile;

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// Made by PyTorch: tests/weights/make_torch_save.py.
fn made(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests").join(name)
}

fn assert_equal(a: &TensorFile, b: &TensorFile) -> Result<usize, ModelError> {
    let (mut names, mut others) = (a.names(), b.names());
    names.sort();
    others.sort();
    assert_eq!(names, others);
    for name in &names {
        let (Some(x), Some(y)) = (a.tensor(name)?, b.tensor(name)?) else { panic!("{name} is not there") };
        assert!(x.kind() == y.kind() && x.size() == y.size() && x.equal(&y), "{name} differs");
    }
    Ok(names.len())
}

#[test]
fn every_form_that_torch_saves_reads_as_the_same_numbers() -> TestResult {
    let (pickled, same) = (made("weights/forms.bin"), made("weights/forms.safetensors"));
    assert!(assert_equal(&TensorFile::open(&pickled)?, &TensorFile::open(&same)?)? >= 14);
    Ok(())
}

#[test]
fn a_pickled_t5_encodes_as_the_same_in_safetensors() -> TestResult {
    let encode = |folder: &str| -> Result<Tensor, ModelError> {
        let t5 = T5Instructions::open(&made(folder), Device::Cpu, Kind::Float, 64)?;
        Ok(t5.encode(&["Put both moka pots on the stove."])?.tokens)
    };
    assert!(encode("weights/t5_pickled")?.equal(&encode("encoders/t5_whole")?));
    Ok(())
}

#[test]
fn what_is_written_reads_back() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("out.bin");
    let source = TensorFile::open(&made("weights/forms.safetensors"))?;
    let mut tensors = Vec::new();
    for name in source.names() {
        let tensor = source.tensor(&name)?.filter(|tensor| tensor.kind() == Kind::Float);
        tensors.extend(tensor.map(|tensor| (name, tensor)));
    }
    write(
        File::create(&path)?,
        tensors.iter().map(|(name, tensor)| (name.as_str(), tensor.shallow_clone())),
    )?;
    let written = TensorFile::open(&path)?;
    assert_eq!(written.names(), tensors.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>());
    for (name, tensor) in &tensors {
        let place = &written.places[name];
        assert_eq!(place.start % 64, 0, "{name}: storages are aligned");
        assert!(written.tensor(name)?.is_some_and(|read| read.equal(tensor)), "{name} differs");
    }
    Ok(())
}

/// The tensors of a damaged file, as far as it has any.
fn read_all(path: &Path) -> Result<(), ModelError> {
    let file = TensorFile::open(path)?;
    file.names().iter().try_for_each(|name| file.tensor(name).map(drop))
}

#[test]
fn a_cut_or_flipped_file_is_an_error_or_other_numbers_but_nothing_worse() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("damaged.bin");
    let bytes = fs::read(made("weights/forms.bin"))?;
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length])?;
        assert!(read_all(&path).is_err(), "cut to {length} bytes");
    }
    for place in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[place] ^= [0x01, 0x80, 0xff][place % 3];
        fs::write(&path, flipped)?;
        // It may be a name or a number that changed.
        let _ = read_all(&path);
    }
    Ok(())
}

/// A zip archive with this pickle and one storage of 8 bytes.
fn archive(pickle: &[u8]) -> std::io::Result<(tempfile::TempDir, PathBuf)> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("made.bin");
    super::write::archive(File::create(&path)?, 0, pickle, &[[0; 8]])?;
    Ok((folder, path))
}

#[test]
fn a_pickle_that_would_run_something_is_refused_by_name() -> TestResult {
    let (_folder, path) = archive(b"\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.")?;
    let error = read_all(&path).err().ok_or("accepted")?.to_string();
    assert!(error.contains("posix.system, which is not run here"), "{error}");
    Ok(())
}

#[test]
fn what_lies_behind_4_gib_is_written_and_read() -> TestResult {
    const FAR: u64 = 5 << 30;
    let folder = tempfile::tempdir()?;
    let expected = Tensor::from_slice(&[1.5f32, -2.0]);
    let bytes = [1.5f32.to_le_bytes(), (-2.0f32).to_le_bytes()].concat();

    // A sparse file takes no room.
    let path = folder.path().join("far.bin");
    let pickle = b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storage\
ctorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x02tQK\x00K\x02\x85K\x01\x85\x89)tRs.";
    let storage: [u8; 8] = bytes.as_slice().try_into()?;
    // What a file is shows in its first bytes.
    fs::write(&path, b"PK")?;
    super::write::archive(File::options().write(true).open(&path)?, FAR, pickle, &[storage])?;
    let file = TensorFile::open(&path)?;
    assert!(file.places["a"].start > FAR as i64);
    assert!(file.tensor("a")?.is_some_and(|read| read.equal(&expected)));

    let path = folder.path().join("far.safetensors");
    let end = FAR + 8;
    let header = format!(
        r#"{{"gap":{{"dtype":"U8","shape":[{FAR}],"data_offsets":[0,{FAR}]}},"a":{{"dtype":"F32","shape":[2],"data_offsets":[{FAR},{end}]}}}}"#
    );
    let header = format!("{header:width$}", width = header.len().next_multiple_of(8));
    let mut file = File::create(&path)?;
    std::io::Write::write_all(&mut file, &(header.len() as u64).to_le_bytes())?;
    std::io::Write::write_all(&mut file, header.as_bytes())?;
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Current(FAR as i64))?;
    std::io::Write::write_all(&mut file, &bytes)?;
    let file = TensorFile::open(&path)?;
    assert!(file.tensor("a")?.is_some_and(|read| read.equal(&expected)));
    Ok(())
}

#[test]
fn tensors_outside_their_storage_and_odd_pickles_are_refused() -> TestResult {
    let dict = b"\x80\x02}X\x01\x00\x00\x00a".as_slice();
    let storage = b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x02tQ".as_slice();
    let rest = b"\x89)tRs.".as_slice();
    let good = [dict, storage, b"K\x00K\x02\x85K\x01\x85", rest].concat();
    let (_folder, path) = archive(&good)?;
    read_all(&path)?;
    for (what, place) in [
        ("one element more", b"K\x00K\x03\x85K\x01\x85".as_slice()),
        ("an offset behind the end", b"K\x01K\x02\x85K\x01\x85"),
        ("a negative offset", b"J\xff\xff\xff\xffK\x02\x85K\x01\x85"),
        ("a negative stride", b"K\x00K\x02\x85J\xff\xff\xff\xff\x85"),
        ("a stride beyond 64 bits", b"K\x00K\x03\x85\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f\x85"),
        ("a shape that is no tuple", b"K\x00K\x02K\x01\x85"),
    ] {
        let (_folder, path) = archive(&[dict, storage, place, rest].concat())?;
        assert!(read_all(&path).is_err(), "{what}");
    }
    // Deeply nested, recursive, or without an end: refused in little memory, on any stack.
    let nested = [b"\x80\x02)".as_slice(), &b"\x85".repeat(1_000_000), b"."].concat();
    let cyclic = b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.";
    for pickle in [nested.as_slice(), cyclic, b"\x80\x02", b"\x80\x02.", b"\x80\x02u.", b"\x80\x02((.", b""] {
        let (_folder, path) = archive(pickle)?;
        assert!(read_all(&path).is_err());
    }
    Ok(())
}
