//! Tests of reading HDF5 files: files made here with the library, and the sample episodes.

mod bad_files;
mod damage;
mod frame_forms;
mod jpegs;
mod links;
mod numbers;
mod texts;

use std::path::{Path, PathBuf};

use super::{FrameArray, Hdf5File};
use crate::EpisodeError;

/// A file made by `fill` in a directory that lives as long as the returned guard.
fn made(fill: impl FnOnce(&hdf5::File) -> hdf5::Result<()>) -> (tempfile::TempDir, PathBuf) {
    made_with(0, fill)
}

/// The same behind a user block.
fn made_with(
    user_block_bytes: u64,
    fill: impl FnOnce(&hdf5::File) -> hdf5::Result<()>,
) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("episode.hdf5");
    let file = hdf5::File::with_options()
        .with_fcpl(|p| p.userblock(user_block_bytes))
        .create(&path)
        .expect("a new HDF5 file");
    fill(&file).expect("arrays in it");
    drop(file);
    (directory, path)
}

fn open(path: &Path) -> Hdf5File {
    Hdf5File::open(path).expect("an HDF5 file")
}

/// A frame's bytes and its (height, width).
type Frame = (Vec<u8>, (u32, u32));

fn all_frames(frames: &FrameArray) -> Result<Vec<Frame>, EpisodeError> {
    (0..frames.len())
        .map(|index| {
            let mut bytes = Vec::new();
            let size = frames.read(index, &mut bytes)?;
            Ok((bytes, size))
        })
        .collect()
}

/// The error's text, which must name every given part.
fn assert_says<T: std::fmt::Debug>(result: Result<T, EpisodeError>, parts: &[&str]) {
    let text = result.expect_err("an error").to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

/// A JPEG in structure: enough for everything here, not for a decoder.
fn jpeg(height: u16, width: u16, picture: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xc0, 0, 17, 8];
    bytes.extend_from_slice(&height.to_be_bytes());
    bytes.extend_from_slice(&width.to_be_bytes());
    bytes.extend_from_slice(&[3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]);
    bytes.extend_from_slice(&[0xff, 0xda, 0, 12, 3, 1, 0, 2, 0x11, 3, 0x11, 0, 0x3f, 0]);
    bytes.extend_from_slice(picture);
    bytes.extend_from_slice(&[0xff, 0xd9]);
    bytes
}

/// Bytes without pattern, the same each time.
fn noise(len: usize, seed: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761).max(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 16) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// A sample episode of the repository.
fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data").join(name)
}

const ALOHA: &str = "aloha/transfer/episode_0.hdf5";
const LIBERO: &str = "libero/KITCHEN_SCENE10_close_the_top_drawer_of_the_cabinet_demo.hdf5";
