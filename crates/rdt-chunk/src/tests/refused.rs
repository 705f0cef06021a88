//! What a writer refuses, and that it never publishes half an episode.

use std::io::{self, Cursor, Seek, SeekFrom, Write};

use rdt_schema::{CameraSlot, FrameForm, Window};

use super::toy::{Toy, add, dataset, open, raw, spec, write};
use crate::{Chunk, ChunkError, ChunkWriter, ImageCodec, MAX_WINDOW_ROWS};

fn schema() -> rdt_schema::DatasetSchema {
    dataset(Window::recorded(3, 2), [true, false, true, false])
}

fn toy() -> Toy {
    Toy::new(&schema(), 5, 5, raw(4, 6), 1)
}

fn writer(codec: ImageCodec) -> ChunkWriter<Cursor<Vec<u8>>> {
    ChunkWriter::create(Cursor::new(Vec::new()), spec(4), codec, vec![schema()]).unwrap()
}

/// The error that adding `toy` makes must speak of `about`.
fn refuses(toy: &Toy, steps: &[u32], about: &str) {
    let error = add(&mut writer(ImageCodec::Auto), toy, steps).unwrap_err();
    let text = format!("{error} {:?}", std::error::Error::source(&error).map(ToString::to_string));
    assert!(text.contains(about), "{text}");
}

#[test]
fn numbers_that_do_not_fit_each_other_are_refused() {
    refuses(&toy(), &[0, 1, 2, 3, 4], "at most 4, the free slots");
    refuses(&toy(), &[5], "0 to 4");
    refuses(&Toy { dataset: 1, ..toy() }, &[0], "the data set is 1");
    refuses(&Toy { states: vec![0.0; 14], ..toy() }, &[0], "5 rows of 3");
    refuses(&Toy { actions: vec![0.0; 11], ..toy() }, &[0], "5 rows of 2");
    let mut changed = toy();
    changed.info.first_step = 2;
    refuses(&changed, &[1], "2 to 4");
    let mut changed = toy();
    changed.info.instructions.clear();
    refuses(&changed, &[1], "instructions");
    let mut changed = toy();
    changed.info.state_mean.pop();
    refuses(&changed, &[1], "the entries of the mean is 2, expected 3");
}

#[test]
fn values_that_no_f32_holds_are_refused() {
    for value in [f64::NAN, f64::INFINITY, 1e39] {
        let mut changed = toy();
        changed.states[3] = value;
        refuses(&changed, &[1], "a value of row 1");
    }
}

#[test]
fn frames_that_are_not_of_their_form_are_refused() {
    let cases: [(FrameForm, &str); 3] = [
        (raw(4, 7), "height x width x 3 = 84"),
        (raw(0, 6), "the size"),
        (FrameForm { encoding: rdt_schema::FrameEncoding::Jpeg, ..raw(4, 6) }, "jpeg"),
    ];
    for (form, about) in cases {
        let mut writer = writer(ImageCodec::Auto);
        let toy = toy();
        let error = writer
            .add_episode::<ChunkError>(
                0,
                toy.info.clone(),
                &toy.states,
                &toy.actions,
                &[0],
                &mut |_, _, out| {
                    out.resize(4 * 6 * 3, 7);
                    Ok(form)
                },
            )
            .unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains(about) && error.to_string().contains("external frame 0"), "{error}: {cause}");
    }
}

#[test]
fn a_camera_whose_frames_change_size_is_refused() {
    let mut writer = writer(ImageCodec::Auto);
    let toy = toy();
    let mut grow = |camera: CameraSlot, index: u32, out: &mut Vec<u8>| {
        let height = if camera == CameraSlot::LeftWrist { 4 + index } else { 4 };
        out.resize(height as usize * 18, 0);
        Ok(raw(height, 6))
    };
    let error = writer
        .add_episode::<ChunkError>(0, toy.info.clone(), &toy.states, &toy.actions, &[0, 1], &mut grow)
        .unwrap_err();
    assert!(error.to_string().contains("5 x 6, expected 4 x 6"), "{error}");
}

#[test]
fn an_episode_is_added_once() {
    let mut writer = writer(ImageCodec::Raw);
    add(&mut writer, &toy(), &[0]).unwrap();
    let error = add(&mut writer, &toy(), &[1]).unwrap_err();
    assert!(error.to_string().contains("pass all its steps at once"), "{error}");
    // Refused before anything was kept: the chunk can still be finished.
    let bytes = writer.finish().unwrap().0.into_inner();
    assert_eq!(open(&bytes).header().samples, 1);
}

#[test]
fn after_a_failed_episode_nothing_is_published() {
    #[derive(Debug)]
    struct SourceFailed;
    impl From<ChunkError> for SourceFailed {
        fn from(error: ChunkError) -> Self {
            panic!("{error}")
        }
    }
    let mut writer = writer(ImageCodec::Raw);
    add(&mut writer, &Toy::new(&schema(), 5, 5, raw(4, 6), 9), &[0]).unwrap();
    let toy = toy();
    let failed =
        writer.add_episode(0, toy.info.clone(), &toy.states, &toy.actions, &[0, 3], &mut |_, index, out| {
            out.resize(72, 0);
            if index == 2 { Err(SourceFailed) } else { Ok(raw(4, 6)) }
        });
    assert!(failed.is_err());
    assert!(matches!(add(&mut writer, &toy, &[0]), Err(ChunkError::Incomplete { chunk: 17 })));
    assert!(matches!(writer.finish(), Err(ChunkError::Incomplete { chunk: 17 })));
}

#[test]
fn windows_and_columns_out_of_range_are_refused() {
    type Change = fn(&mut rdt_schema::DatasetSchema);
    let changes: [Change; 7] = [
        |s| s.window.state_rows = 0,
        |s| s.window.action_rows = MAX_WINDOW_ROWS + 1,
        |s| s.window.action_source_rows = 0,
        |s| s.window.image_history = 0,
        |s| s.state_columns = vec![],
        |s| s.state_columns = vec![1, 1],
        |s| s.action_columns = vec![128],
    ];
    for change in changes {
        let mut changed = schema();
        change(&mut changed);
        let made = ChunkWriter::create(Cursor::new(Vec::new()), spec(1), ImageCodec::Raw, vec![changed]);
        assert!(matches!(made, Err(ChunkError::Refused { .. })));
    }
    let none = crate::ChunkSpec { capacity: 0, ..spec(1) };
    assert!(ChunkWriter::create(Cursor::new(Vec::new()), none, ImageCodec::Raw, vec![]).is_err());
}

/// Takes so many bytes and then fails, as a full disk does.
struct Full {
    out: Cursor<Vec<u8>>,
    left: usize,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.left.checked_sub(bytes.len()) {
            Some(left) => {
                self.left = left;
                self.out.write(bytes)
            }
            None => Err(io::ErrorKind::StorageFull.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Full {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.out.seek(to)
    }
}

#[test]
fn a_full_disk_is_an_error_wherever_it_happens() {
    let toy = toy();
    let whole = write(ImageCodec::Raw, 4, vec![schema()], &[(toy.clone(), vec![0, 1])]).unwrap();
    // The header is written twice, the first time as zeros.
    for left in 0..whole.len() + crate::HEADER_LENGTH {
        let mut out = Full { out: Cursor::new(Vec::new()), left };
        let written =
            ChunkWriter::create(&mut out, spec(4), ImageCodec::Raw, vec![schema()]).and_then(|mut writer| {
                writer.add_episode::<ChunkError>(
                    0,
                    toy.info.clone(),
                    &toy.states,
                    &toy.actions,
                    &[0, 1],
                    &mut |c, i, out| {
                        out.extend_from_slice(&toy.source(c, i));
                        Ok(toy.form)
                    },
                )?;
                writer.finish().map(drop)
            });
        assert!(matches!(written, Err(ChunkError::Write { chunk: 17, .. })), "{left} bytes: {written:?}");
        assert!(Chunk::open(out.out.into_inner()).is_err(), "{left} bytes look like a chunk");
    }
}

#[test]
fn the_largest_sizes_of_the_format_are_written_and_read() {
    let mut schema =
        dataset(Window::recorded(MAX_WINDOW_ROWS, crate::MAX_WINDOW_FRAMES), [true, false, false, false]);
    let mut toy = Toy::new(&schema, 3, 3, raw(1, crate::MAX_FRAME_SIDE), 1);
    let bytes = write(ImageCodec::Auto, u32::MAX, vec![schema.clone()], &[(toy.clone(), vec![2])]).unwrap();
    let chunk = open(&bytes);
    chunk.verify().unwrap();
    let sample = chunk.sample(0).unwrap().to_sample(&mut crate::FrameDecoder::new()).unwrap();
    assert_eq!(sample.state_chunk.len(), 4096 * 128);
    assert_eq!(sample.frames[0].pixels.len(), 32 * 8192 * 3);

    toy.form = raw(2, crate::MAX_FRAME_SIDE + 1);
    assert!(write(ImageCodec::Auto, 1, vec![schema.clone()], &[(toy.clone(), vec![2])]).is_err());
    // 2^24 pixels, 8 frames of the window: over the pixels of a sample.
    schema.window.image_history = 8;
    toy.form = raw(2048, 8192);
    let error = write(ImageCodec::Lz4, 1, vec![schema], &[(toy, vec![2])]).unwrap_err();
    assert!(error.to_string().contains("the pixels of a sample"), "{error}");
}
