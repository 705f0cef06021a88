//! Damaged files: an error or the original's values, never a wrong value and never a panic.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::super::filters::{Pipeline, with_scratch};
use super::super::lzf;
use super::{ALOHA, Hdf5File, LIBERO, all_frames, assert_says, made, noise, open, sample};
use crate::EpisodeError;

/// Everything that an episode is made of.
fn read_all(path: &Path, arrays: &[&str], cameras: &[&str]) -> Vec<Result<Vec<u8>, EpisodeError>> {
    let file = match Hdf5File::open(path) {
        Ok(file) => file,
        Err(error) => return vec![Err(error)],
    };
    let numbers = arrays.iter().map(|name| {
        let matrix = file.read_f64(name)?;
        Ok(matrix.values.iter().flat_map(|v| v.to_le_bytes()).collect())
    });
    let frames = cameras.iter().map(|name| {
        Ok(all_frames(&file.frames(name, None)?)?.into_iter().flat_map(|(bytes, _)| bytes).collect())
    });
    numbers.chain(frames).collect()
}

fn truncated_anywhere(name: &str, arrays: &[&str], cameras: &[&str]) {
    let original = std::fs::read(sample(name)).expect("a sample");
    let whole = read_all(&sample(name), arrays, cameras);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("cut.hdf5");
    std::fs::write(&path, &original).expect("written");
    let file = OpenOptions::new().write(true).open(&path).expect("the copy");
    let mut errors = 0;
    for cut in (0..30).rev().map(|i| original.len() * i / 30 + i % 7) {
        file.set_len(cut as u64).expect("shorter");
        // As cut, and with a superblock that says this was its length all along (version 0 keeps
        // the end of the file at byte 40): the library then finds nothing wrong on opening.
        for lie in [false, true] {
            if lie && cut > 48 && original[8] == 0 {
                file.write_all_at(&(cut as u64).to_le_bytes(), 40).expect("written");
            }
            for (found, original) in read_all(&path, arrays, cameras).iter().zip(&whole) {
                match found {
                    Ok(bytes) => assert!(bytes == original.as_ref().expect("whole"), "wrong values at {cut}"),
                    Err(error) => {
                        errors += 1;
                        assert!(error.to_string().contains("cut.hdf5"), "{error}");
                    }
                }
            }
        }
    }
    assert!(errors >= 30, "{errors} errors");
}

#[test]
fn a_truncated_aloha_episode() {
    truncated_anywhere(
        ALOHA,
        &["observations/qpos", "action"],
        &["observations/images/cam_high", "observations/images/cam_right_wrist"],
    );
}

#[test]
fn a_truncated_libero_file() {
    let key = open(&sample(LIBERO)).groups("data/demo_*").expect("demos").pop().expect("a demo");
    let names = ["actions", "obs/ee_pos", "obs/agentview_rgb"].map(|name| format!("{key}/{name}"));
    truncated_anywhere(LIBERO, &[&names[0], &names[1]], &[&names[2]]);
}

#[test]
fn a_file_cut_while_it_is_open() {
    let (_directory, path) = made(|file| {
        file.new_dataset::<u8>().shape((8, 16, 16, 3)).create("frames")?.write_raw(&noise(8 * 768, 2))
    });
    let frames = open(&path).frames("frames", None).expect("frames");
    let mut bytes = Vec::new();
    frames.read(7, &mut bytes).expect("the last frame");
    OpenOptions::new().write(true).open(&path).and_then(|f| f.set_len(5000)).expect("shorter");
    assert_says(
        frames.read(7, &mut bytes),
        &["episode.hdf5", "frames", "the file ends inside it", "copy it again"],
    );
}

#[test]
fn a_damaged_chunk_is_found() {
    let pictures: Vec<u8> = noise(4 * 768, 5).iter().map(|byte| byte & 0x3).collect();
    let mut places = Vec::new();
    let (_directory, path) = made(|file| {
        let new = || file.new_dataset::<u8>().shape((4, 16, 16, 3)).chunk((1, 16, 16, 3));
        for (name, builder) in [("gzip", new().deflate(4)), ("sum", new().fletcher32()), ("lzf", new().lzf())]
        {
            let array = builder.create(name)?;
            array.write_raw(&pictures)?;
            file.flush()?;
            places.push((name, array.chunk_info(2).expect("a chunk")));
        }
        Ok(())
    });
    let raw = OpenOptions::new().read(true).write(true).open(&path).expect("the file");
    for (name, chunk) in &places {
        let frames = open(&path).frames(name, None).expect(name);
        let mut bytes = Vec::new();
        frames.read(2, &mut bytes).expect("whole");
        let mut stored = vec![0; chunk.size as usize];
        raw.read_exact_at(&mut stored, chunk.addr).expect("read");
        // LZF has no checksum: only damage to its structure can be found, so its first control byte.
        for at in if *name == "lzf" { vec![0] } else { (0..stored.len()).step_by(7).collect() } {
            raw.write_all_at(&[stored[at] ^ 0xff], chunk.addr + at as u64).expect("written");
            assert_says(frames.read(2, &mut bytes), &[name, "chunk 2", "the file is damaged"]);
            raw.write_all_at(&[stored[at]], chunk.addr + at as u64).expect("restored");
        }
        frames.read(2, &mut bytes).expect("restored");
        frames.read(1, &mut bytes).expect("another chunk");
        assert_eq!(bytes, pictures[768..1536]);
    }
}

#[test]
fn lzf_never_reads_or_writes_outside() {
    // Literals, a short match, an overlapping match, a long match.
    let packed = [2, b'a', b'b', b'c', 0x20, 2, 0x40, 0, 0xe0, 1, 3];
    let mut out = vec![0; 3 + 3 + 4 + 10];
    lzf::decompress(&packed, &mut out).expect("well-formed");
    assert_eq!(out, b"abcabcccccccccccccccccccc"[..20].to_vec().as_slice());
    for len in 0..packed.len() {
        assert_eq!(lzf::decompress(&packed[..len], &mut out), None, "{len} bytes of input");
    }
    for len in 0..out.len() {
        assert_eq!(lzf::decompress(&packed, &mut vec![0; len]), None, "{len} bytes of room");
    }
    assert_eq!(lzf::decompress(&[0x20, 0], &mut out), None, "back before the start");
    for seed in 0..2000 {
        // Whatever comes, no panic.
        let _ = lzf::decompress(&noise(40, seed), &mut [0; 100]);
    }
}

#[test]
fn chunks_of_the_wrong_length() {
    let pipeline = Pipeline::of(&[hdf5::filters::Filter::deflate(1)], 1).expect("a pipeline");
    let mut packer = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let mut packed = vec![0; 200];
    let len = packer.zlib_compress(&[5; 100], &mut packed).expect("packed");
    let decode = |expected: usize| {
        with_scratch(|scratch| {
            scratch.bytes = packed[..len].to_vec();
            pipeline.decode(0, expected, scratch).map(|()| scratch.bytes.clone())
        })
    };
    assert_eq!(decode(100), Ok(vec![5; 100]));
    assert!(decode(99).is_err());
    assert_eq!(decode(101), Err(("a chunk of 100 bytes".into(), "101 bytes".into())));
}
