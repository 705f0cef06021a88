//! Frames that are stored padded and resized.

use rdt_image::{Picture, Preprocessor};
use rdt_schema::{CameraSlot, ChannelOrder, Flip, FrameEncoding, FrameForm, Window};

use super::toy::{Toy, dataset, open, raw, write};
use crate::{FrameCodec, FrameDecoder, FrameStorage, ImageCodec};

const SIZE: u32 = 24;

fn form(encoding: FrameEncoding) -> FrameForm {
    let (order, flip) = (ChannelOrder::Bgr, Flip::Vertical);
    FrameForm { encoding, order, flip, ..raw(10, 16) }
}

#[test]
fn lossless_codecs_keep_the_prepared_frame_bit_by_bit() {
    let schema = dataset(Window { image_history: 2, ..Window::recorded(3, 2) }, [true, true, false, false]);
    let lossless =
        [ImageCodec::Auto, ImageCodec::Raw, ImageCodec::Zstd, ImageCodec::ZstdRef, ImageCodec::Lz4];
    for (encoding, codec) in
        [FrameEncoding::Raw, FrameEncoding::Jpeg].into_iter().flat_map(|e| lossless.map(|codec| (e, codec)))
    {
        let toy = Toy::new(&schema, 9, 9, form(encoding), 3);
        let steps = (0..9).collect();
        let storage = FrameStorage { codec, size: Some(SIZE) };
        let bytes = write(storage, 9, vec![schema.clone()], &[(toy.clone(), steps)]).unwrap();
        let chunk = open(&bytes);
        let (mut decoder, mut preprocessor) =
            (FrameDecoder::new(), Preprocessor::new(SIZE as usize).unwrap());
        let (mut stored, mut source) = (Vec::new(), Vec::new());
        let mut expected = vec![0; (SIZE * SIZE * 3) as usize];
        for slot in 0..9 {
            let sample = chunk.sample(slot).unwrap();
            for camera in [CameraSlot::External, CameraSlot::RightWrist] {
                let frame = sample.frame(camera, 1).unwrap();
                assert_ne!(frame.codec, FrameCodec::Jpeg);
                assert_eq!(decoder.decode(&frame, &mut stored).unwrap(), (SIZE, SIZE));
                let bytes = toy.source(camera, slot);
                let (height, width) = decoder.decode_source(&toy.form, &bytes, &mut source).unwrap();
                let picture = Picture::new(height as usize, width as usize, &source).unwrap();
                preprocessor.square(picture, &mut expected);
                assert!(stored == expected, "{codec} {encoding:?} {slot} {camera:?}");
            }
        }
    }
}

#[test]
fn a_size_that_no_frame_can_have_is_refused() {
    let schema = dataset(Window::recorded(3, 2), [true, false, false, false]);
    for size in [0, FrameStorage::MOST_SIZE + 1] {
        let storage = FrameStorage { codec: ImageCodec::Raw, size: Some(size) };
        let error = write(storage, 1, vec![schema.clone()], &[]).map(drop).unwrap_err().to_string();
        assert!(error.contains(&size.to_string()) && error.contains("1 to 4096"), "{error}");
    }
}
