//! Paths that are not a whole, finished, readable HDF5 file.

use std::error::Error;
use std::path::Path;

use super::super::source::cannot_open;
use super::{ALOHA, Hdf5File, assert_says, made, noise, open, sample};
use crate::EpisodeError;

fn written(bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("file.hdf5");
    std::fs::write(&path, bytes).expect("written");
    (directory, path)
}

#[test]
fn paths_without_hdf5() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    assert_says(
        Hdf5File::open(&directory.path().join("no.hdf5")),
        &["no.hdf5", "no such file", "check the path"],
    );
    assert_says(Hdf5File::open(directory.path()), &["directory", "an HDF5 file"]);
    let (_directory, path) = written(b"");
    assert_says(Hdf5File::open(&path), &["file.hdf5", "an empty file"]);
    let (_directory, path) = written(&noise(5000, 1));
    assert_says(Hdf5File::open(&path), &["file.hdf5", "not HDF5", "check that this is an HDF5 file"]);
    let (_directory, path) = written(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n");
    assert_says(Hdf5File::open(&path), &["Git LFS pointer", "git lfs pull"]);
    let (_directory, path) = written(b"\x89HDF\r\n\x1a\n");
    assert_says(Hdf5File::open(&path), &["file.hdf5", "HDF5"]);
}

#[test]
fn no_permission() {
    // Root reads everything, so the error is made from its kind as well.
    let error = cannot_open(Path::new("/a/b.hdf5"), std::io::ErrorKind::PermissionDenied.into());
    assert_says::<()>(Err(error), &["/a/b.hdf5", "no permission", "give the user read permission"]);
    let (_directory, path) = made(|_| Ok(()));
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o000);
    std::fs::set_permissions(&path, mode).expect("permissions");
    if std::fs::File::open(&path).is_err() {
        assert_says(Hdf5File::open(&path), &["no permission"]);
    }
}

#[test]
fn the_library_message_is_kept_as_the_cause() {
    let (_directory, path) = written(&std::fs::read(sample(ALOHA)).expect("a sample")[..100_000]);
    let error = Hdf5File::open(&path).expect_err("an error");
    assert!(error.to_string().contains("a truncated HDF5 file"), "{error}");
    let EpisodeError::Open(fault) = error else { panic!("another kind of error: {error}") };
    let cause = fault.source().expect("a cause").to_string();
    assert!(cause.contains("truncated file: eof = 100000"), "{cause}");
}

#[test]
fn a_file_that_is_still_being_written() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("episode.hdf5");
    let writer = hdf5::File::create(&path).expect("a new file");
    writer
        .new_dataset::<u8>()
        .shape(3)
        .create("array")
        .and_then(|a| a.write_raw(&[1_u8, 2, 3]))
        .expect("values");
    writer.flush().expect("flushed");
    assert_says(Hdf5File::open(&path), &["episode.hdf5", "open for writing", "wait until it is closed"]);
    drop(writer);
    assert_eq!(open(&path).read_f64("array").expect("array").values, [1.0, 2.0, 3.0]);
}

#[test]
fn a_writer_that_died_leaves_a_mark() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("episode.hdf5");
    let copy = directory.path().join("copy.hdf5");
    // Newer files say in their superblock that a writer has them; the copy keeps that word forever.
    let writer =
        hdf5::File::with_options().with_fapl(|p| p.libver_latest()).create(&path).expect("a new file");
    writer.flush().expect("flushed");
    std::fs::copy(&path, &copy).expect("a copy");
    drop(writer);
    assert_says(Hdf5File::open(&copy), &["copy.hdf5", "open for writing", "h5clear"]);
    open(&path);
}

#[test]
fn a_file_open_twice_and_read_only() {
    let (_directory, path) = made(|file| file.new_dataset::<u8>().shape(1).create("a")?.write_raw(&[7_u8]));
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o444))
        .expect("permissions");
    let (first, second) = (open(&path), open(&path));
    drop(first);
    assert_eq!(second.read_f64("a").expect("a").values, [7.0]);
    assert_eq!(second.path(), path);
}

#[test]
fn a_filter_that_is_not_there_is_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("episode.hdf5");
    // The oldest form of file has no checksum over its headers, so that they can be changed below.
    let file =
        hdf5::File::with_options().with_fapl(|p| p.libver_earliest()).create(&path).expect("a new file");
    let array =
        file.new_dataset::<u8>().shape((4, 8)).chunk((1, 8)).shuffle().create("packed").expect("an array");
    array.write_raw(&[1_u8; 32]).expect("values");
    drop((array, file));
    // No library writes with a filter that it does not have: shuffle (2) becomes Blosc (32001) in
    // the filter message, which is version 1, one filter, six zeros, the filter's number.
    let mut bytes = std::fs::read(&path).expect("the file");
    let message = [1, 1, 0, 0, 0, 0, 0, 0, 2, 0];
    let at = bytes.windows(message.len()).position(|w| w == message).expect("the filter message");
    bytes[at + 8..at + 10].copy_from_slice(&32001_u16.to_le_bytes());
    std::fs::write(&path, bytes).expect("written");
    let file = open(&path);
    assert_says(file.frames("packed", None), &["packed", "filter blosc (number 32001)", "h5repack"]);
    assert_says(file.read_f64("packed"), &["packed", "filter blosc (number 32001)"]);
}
