//! Frames come out the same from every storage form.

use hdf5::filters::Filter;
use hdf5::types::{FixedAscii, VarLenArray};
use rdt_schema::FrameEncoding;

use super::{all_frames, assert_says, jpeg, made, made_with, noise, open};

const SHAPE: [usize; 4] = [23, 12, 10, 3];

/// Frames with long runs, so that compressors have something to do.
fn pictures() -> Vec<u8> {
    let count: usize = SHAPE.iter().product();
    noise(count, 7).iter().enumerate().map(|(i, &n)| if i % 100 < 60 { 9 } else { n }).collect()
}

fn pipelines() -> Vec<Vec<Filter>> {
    vec![
        vec![],
        vec![Filter::deflate(4)],
        vec![Filter::lzf()],
        vec![Filter::shuffle(), Filter::deflate(1)],
        vec![Filter::shuffle(), Filter::lzf(), Filter::fletcher32()],
        vec![Filter::fletcher32(), Filter::deflate(9)],
        vec![Filter::fletcher32()],
        // Left to the library.
        vec![Filter::scale_offset(hdf5::filters::ScaleOffset::Integer(0)), Filter::deflate(1)],
    ]
}

fn assert_raw(path: &std::path::Path, name: &str, expected: &[u8]) {
    let frames = open(path).frames(name, None).expect(name);
    assert_eq!((frames.len(), frames.encoding()), (SHAPE[0], FrameEncoding::Raw));
    let frame_bytes = expected.len() / SHAPE[0];
    let mut bytes = vec![1; 5];
    // Forwards, then backwards: no order may matter.
    for index in (0..frames.len()).chain((0..frames.len()).rev()) {
        assert_eq!(frames.read(index, &mut bytes).expect(name), (SHAPE[1] as u32, SHAPE[2] as u32));
        assert!(bytes == expected[index * frame_bytes..][..frame_bytes], "{name}[{index}]");
    }
}

#[test]
fn raw_frames_of_every_layout_and_filter() {
    let pictures = pictures();
    let chunks: [[usize; 4]; 6] =
        [[1, 12, 10, 3], [5, 12, 10, 3], [23, 12, 10, 3], [6, 5, 4, 1], [1, 7, 10, 3], [4, 12, 10, 2]];
    for user_block in [0, 512] {
        let (_directory, path) = made_with(user_block, |file| {
            let plain = file.new_dataset::<u8>().shape(SHAPE).create("contiguous")?;
            plain.write_raw(&pictures)?;
            for (c, chunk) in chunks.iter().enumerate() {
                for (p, filters) in pipelines().iter().enumerate() {
                    let name = format!("chunk{c}_filter{p}");
                    let builder = file.new_dataset::<u8>().shape(SHAPE).chunk(*chunk);
                    builder.set_filters(filters).create(name.as_str())?.write_raw(&pictures)?;
                }
            }
            Ok(())
        });
        assert_raw(&path, "contiguous", &pictures);
        for c in 0..chunks.len() {
            for p in 0..pipelines().len() {
                assert_raw(&path, &format!("chunk{c}_filter{p}"), &pictures);
            }
        }
    }
}

#[test]
fn a_chunk_whose_filter_was_left_out_is_read_as_it_is() {
    let pictures = noise(SHAPE.iter().product(), 3);
    let (_directory, path) = made(|file| {
        let array = file.new_dataset::<u8>().shape(SHAPE).chunk([4, 12, 10, 3]).lzf().create("noise")?;
        array.write_raw(&pictures)?;
        file.flush()?;
        // Noise does not get smaller, so LZF steps aside: the case this test is about.
        assert_ne!(array.chunk_info(0).expect("a chunk").filter_mask, 0);
        Ok(())
    });
    assert_raw(&path, "noise", &pictures);
}

#[test]
fn chunks_never_written_are_the_fill_value_and_do_not_pass_the_check() {
    let pictures = pictures();
    // With a user block, "no address" is not the number that it is without one.
    let (_directory, path) = made_with(512, |file| {
        for (name, fill) in [("zero", 0_u8), ("seven", 7)] {
            let builder = file.new_dataset::<u8>().shape(SHAPE).chunk([4, 12, 10, 3]).deflate(1);
            let array =
                if fill == 0 { builder.create(name)? } else { builder.fill_value(fill).create(name)? };
            let rows = ndarray::ArrayView4::from_shape([4, 12, 10, 3], &pictures[..4 * 360]).expect("rows");
            array.write_slice(rows, (8..12, .., .., ..))?;
        }
        file.new_dataset::<u8>().shape(SHAPE).create("never")?;
        Ok(())
    });
    let mut bytes = Vec::new();
    for (name, fill) in [("zero", 0), ("seven", 7)] {
        let frames = open(&path).frames(name, None).expect(name);
        frames.read(0, &mut bytes).expect("the fill value");
        assert!(bytes.len() == 360 && bytes.iter().all(|&b| b == fill), "{name}");
        frames.read(9, &mut bytes).expect("a written frame");
        assert_eq!(bytes, pictures[360..720]);
    }
    assert_says(open(&path).frames("zero", None).and_then(|f| f.check_all()), &["zero[0]", "never written"]);
    assert_says(
        open(&path).frames("never", None).and_then(|f| f.check_all()),
        &["never[0]", "never written"],
    );
}

fn encoded() -> Vec<Vec<u8>> {
    (0..9_u8).map(|i| jpeg(480, 640, &vec![i + 1; 20 + usize::from(i) * 11])).collect()
}

#[test]
fn padded_frames_with_and_without_a_table_of_lengths() {
    let frames = encoded();
    let longest = 160;
    let mut padded = vec![0; frames.len() * longest];
    for (row, frame) in padded.chunks_exact_mut(longest).zip(&frames) {
        row[..frame.len()].copy_from_slice(frame);
    }
    let lengths: Vec<f32> = (0..2).flat_map(|_| frames.iter().map(|f| f.len() as f32)).collect();
    let (_directory, path) = made(|file| {
        let shape = (frames.len(), longest);
        file.new_dataset::<u8>().shape(shape).create("plain")?.write_raw(&padded)?;
        file.new_dataset::<u8>()
            .shape(shape)
            .chunk((1, longest))
            .deflate(1)
            .create("rows")?
            .write_raw(&padded)?;
        file.new_dataset::<u8>().shape(shape).chunk((4, 40)).lzf().create("blocks")?.write_raw(&padded)?;
        file.new_dataset::<f32>().shape((2, frames.len())).create("compress_len")?.write_raw(&lengths)
    });
    let file = open(&path);
    for name in ["plain", "rows", "blocks"] {
        for table in [None, Some(("compress_len", 1))] {
            let array = file.frames(name, table).expect(name);
            assert_eq!(array.encoding(), FrameEncoding::Jpeg);
            assert_eq!(array.check_all().expect(name), (480, 640));
            for ((bytes, size), frame) in all_frames(&array).expect(name).iter().zip(&frames) {
                assert!(bytes == frame && *size == (480, 640), "{name} {table:?}");
            }
        }
    }
}

#[test]
fn a_table_of_lengths_that_does_not_fit() {
    let (_directory, path) = made(|file| {
        file.new_dataset::<u8>().shape((3, 50)).create("frames")?.write_raw(&[0_u8; 150])?;
        for (name, values) in [
            ("short", &[50_f32, 50.0][..]),
            ("past", &[50.0, 51.0, 50.0]),
            ("zero", &[0.0, 50.0, 50.0]),
            ("half", &[50.0, 50.0, 9.5]),
            ("nan", &[50.0, 50.0, f32::NAN]),
        ] {
            file.new_dataset::<f32>().shape((1, values.len())).create(name)?.write_raw(values)?;
        }
        Ok(())
    });
    let file = open(&path);
    let frames = |table, row| file.frames("frames", Some((table, row)));
    assert_says(frames("short", 0), &["short", "1 rows of 2 lengths", "3 frames"]);
    assert_says(frames("past", 1), &["past", "row 1"]);
    assert_says(frames("past", 0), &["past[0][1]", "length 51", "1 to 50"]);
    assert_says(frames("zero", 0), &["zero[0][0]", "length 0"]);
    assert_says(frames("half", 0), &["half[0][2]", "length 9.5"]);
    assert_says(frames("nan", 0), &["nan[0][2]", "length NaN"]);
    assert_says(frames("absent", 0), &["absent", "nothing", "an array"]);
}

#[test]
fn variable_length_frames_in_any_order() {
    let frames: Vec<Vec<u8>> = (0..70_u8).map(|i| jpeg(8, 8, &vec![i; 1 + usize::from(i) * 37])).collect();
    let rows: Vec<VarLenArray<u8>> = frames.iter().map(|f| VarLenArray::from_slice(f)).collect();
    let (_directory, path) = made(|file| {
        file.new_dataset::<VarLenArray<u8>>().shape(frames.len()).create("frames")?.write_raw(&rows)
    });
    let array = open(&path).frames("frames", None).expect("frames");
    assert_eq!(array.check_all().expect("frames"), (8, 8));
    let mut bytes = Vec::new();
    for index in (0..frames.len()).chain([69, 0, 35, 34, 68]) {
        array.read(index, &mut bytes).expect("a frame");
        assert_eq!(bytes, frames[index]);
    }
}

#[test]
fn fixed_length_strings_keep_every_byte_but_the_padding() {
    // The library writes strings as text only, so the bytes are put into the file afterwards.
    let frames: Vec<Vec<u8>> = (0..5).map(|i| jpeg(4, 6, &[0, 0, i, 0, 0])).collect();
    let longest = 64;
    for chunk in [None, Some(1), Some(2)] {
        let mut places = Vec::new();
        let (_directory, path) = made(|file| {
            let text = vec![FixedAscii::<64>::from_ascii(b"x").expect("ascii"); frames.len()];
            let builder = file.new_dataset::<FixedAscii<64>>().shape(frames.len());
            let array = match chunk {
                Some(n) => builder.chunk(n).create("frames")?,
                None => builder.create("frames")?,
            };
            array.write_raw(&text)?;
            file.flush()?;
            let per_chunk = chunk.unwrap_or(frames.len());
            for index in 0..frames.len() {
                let start = match chunk {
                    Some(_) => array.chunk_info(index / per_chunk).expect("a chunk").addr,
                    None => array.offset().expect("an offset"),
                };
                places.push(start + (index % per_chunk * longest) as u64);
            }
            Ok(())
        });
        let raw = std::fs::OpenOptions::new().write(true).open(&path).expect("the file");
        for (frame, &place) in frames.iter().zip(&places) {
            std::os::unix::fs::FileExt::write_all_at(&raw, frame, place).expect("written");
        }
        let array = open(&path).frames("frames", None).expect("frames");
        assert_eq!(array.check_all().expect("frames"), (4, 6));
        let read: Vec<Vec<u8>> =
            all_frames(&array).expect("frames").into_iter().map(|(bytes, _)| bytes).collect();
        assert_eq!(read, frames);
    }
}

#[test]
fn a_frame_of_another_size_or_form_is_named() {
    let mut padded = vec![0; 3 * 80];
    for (row, frame) in
        padded.chunks_exact_mut(80).zip([jpeg(4, 4, b"a"), jpeg(4, 4, b"b"), jpeg(4, 5, b"c")])
    {
        row[..frame.len()].copy_from_slice(&frame);
    }
    let (_directory, path) = made(|file| {
        file.new_dataset::<u8>().shape((3, 80)).create("changing")?.write_raw(&padded)?;
        file.new_dataset::<u8>().shape((3, 4, 4, 4)).create("rgba")?.write_raw(&[0_u8; 192])?;
        file.new_dataset::<u8>().shape((3, 4, 4)).create("grey")?.write_raw(&[0_u8; 48])?;
        file.new_dataset::<f32>().shape((3, 4, 4, 3)).create("float")?.write_raw(&[0_f32; 144])?;
        file.new_dataset::<u8>().shape((0, 4, 4, 3)).create("empty")?;
        file.create_group("group")?;
        Ok(())
    });
    let file = open(&path);
    assert_says(
        file.frames("changing", None).and_then(|f| f.check_all()),
        &["changing[2]", "4 x 5", "4 x 4"],
    );
    assert_says(file.frames("rgba", None), &["rgba", "u8 of shape [3, 4, 4, 4]", "(T, H, W, 3)"]);
    assert_says(file.frames("grey", None), &["grey", "[3, 4, 4]"]);
    assert_says(file.frames("float", None), &["float", "f32 of shape"]);
    assert_says(file.frames("empty", None), &["empty", "no frames"]);
    assert_says(file.frames("group", None), &["group", "a group", "an array"]);
    let frames = file.frames("changing", None).expect("frames");
    assert_says(frames.read(3, &mut Vec::new()), &["changing[3]", "3 frames"]);
}

#[test]
fn frames_are_read_from_many_threads_after_their_file_value_is_gone() {
    let pictures = pictures();
    let (_directory, path) = made(|file| {
        file.new_dataset::<u8>()
            .shape(SHAPE)
            .chunk([6, 5, 4, 1])
            .deflate(1)
            .create("frames")?
            .write_raw(&pictures)
    });
    let frames = open(&path).frames("frames", None).expect("frames");
    std::thread::scope(|scope| {
        for start in 0..4 {
            let (frames, pictures) = (&frames, &pictures);
            scope.spawn(move || {
                let mut bytes = Vec::new();
                for step in 0..200 {
                    let index = (start * 7 + step * 5) % SHAPE[0];
                    frames.read(index, &mut bytes).expect("a frame");
                    assert!(bytes == pictures[index * 360..][..360], "{index}");
                }
            });
        }
    });
}
