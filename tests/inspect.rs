//! `rdt-buf`: what its commands print, write and end with.

mod export;
mod npz;
mod sample;
mod source;
mod stat;
mod verify;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use safetensors::SafeTensors;
use tempfile::TempDir;

use crate::support::{Run, buf, fill_libero, produce, sample_data};

/// Steps of the LIBERO sample episodes (86 and 82), all of them samples.
const SAMPLES: u64 = 168;
/// The file they are in.
const FILE: &str = "KITCHEN_SCENE10_close_the_top_drawer_of_the_cabinet_demo.hdf5";

/// A buffer of the LIBERO sample episodes in chunks of 50: shared, so never changed.
fn libero() -> &'static Path {
    static BUFFER: OnceLock<TempDir> = OnceLock::new();
    let folder = BUFFER.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fill_libero(folder.path(), &["--chunk-size", "50"]).expect(0);
        folder
    });
    folder.path()
}

/// A copy of [`libero`] that may be damaged.
fn copy() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    copy_folder(libero(), folder.path());
    folder
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

fn chunk(buffer: &Path, number: u32) -> PathBuf {
    buffer.join(format!("chunks/{number:08}.chunk"))
}

/// Flips one bit of a file.
fn flip(path: &Path, at: u64) {
    let mut bytes = std::fs::read(path).expect("the file");
    let at = usize::try_from(at).expect("an offset");
    bytes[at] ^= 0x10;
    std::fs::write(path, bytes).expect("the file");
}

/// Runs `rdt-buf` on a buffer.
fn on(command: &str, buffer: &Path, more: &[&str]) -> Run {
    let buffer = buffer.display().to_string();
    let mut args = vec![command, &buffer];
    args.extend(more);
    buf(args)
}

/// Name, shape and bytes of each tensor that `rdt-buf sample` writes, and the metadata.
fn tensors(buffer: &Path, which: &[&str]) -> Vec<(String, Vec<usize>, Vec<u8>)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("sample.safetensors");
    let out = path.display().to_string();
    on("sample", buffer, &[which, &["--out", &out]].concat()).expect(0);
    let bytes = std::fs::read(&path).expect("the tensors");
    let tensors = SafeTensors::deserialize(&bytes).expect("safetensors");
    let mut all: Vec<_> = tensors
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, view.shape().to_vec(), view.data().to_vec()))
        .collect();
    all.sort();
    all
}
