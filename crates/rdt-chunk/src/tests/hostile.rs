//! Invalid content under fitting checksums: what a fuzzer found or could find, by name.

use super::reseal::reseal;
use super::toy::{open, small};
use crate::header::{Section, field, u64_at};
use crate::{Chunk, ChunkError, FrameDecoder, ImageCodec, frame_table, sample_table};

/// Changes a chunk, makes its checksums fit, and returns what reading all of it says.
fn read(codec: ImageCodec, change: impl FnOnce(&mut Vec<u8>, &Chunk<Vec<u8>>)) -> ChunkError {
    let whole = small(codec);
    let chunk = Chunk::open(whole.clone()).unwrap();
    let mut bytes = whole;
    change(&mut bytes, &chunk);
    reseal(&mut bytes);
    let sealed = open(&bytes);
    let verified = sealed.verify().unwrap_err();
    let mut decoder = FrameDecoder::new();
    let read = (0..3).try_for_each(|slot| sealed.sample(slot)?.check(&mut decoder)).unwrap_err();
    assert_eq!(verified.to_string(), read.to_string());
    verified
}

fn change_frame(codec: ImageCodec, frame: usize, at: usize, value: &[u8]) -> String {
    let error = read(codec, |bytes, chunk| {
        let start =
            chunk.header().range(Section::FrameTable).start + frame * frame_table::FRAME_RECORD_LENGTH + at;
        bytes[start..start + value.len()].copy_from_slice(value);
    });
    error.to_string()
}

fn change_sample(at: usize, value: u32) -> String {
    let error = read(ImageCodec::Raw, |bytes, chunk| {
        let start =
            chunk.header().range(Section::SampleTable).start + sample_table::SAMPLE_RECORD_LENGTH + at;
        bytes[start..start + 4].copy_from_slice(&value.to_le_bytes());
    });
    error.to_string()
}

#[track_caller]
fn speaks_of(text: &str, about: &str) {
    assert!(text.contains(about), "{text}");
}

#[test]
fn frame_records_out_of_range() {
    use frame_table::field as f;
    speaks_of(&change_frame(ImageCodec::Raw, 1, f::CODEC, &[9]), "the codec is 9");
    speaks_of(&change_frame(ImageCodec::Auto, 1, f::ORDER, &[2]), "the channel order is 2");
    speaks_of(&change_frame(ImageCodec::Auto, 1, f::FLIP, &[4]), "the flip is 4");
    speaks_of(&change_frame(ImageCodec::Raw, 1, f::FLIP, &[1]), "upright RGB");
    speaks_of(&change_frame(ImageCodec::Raw, 1, f::RESERVED, &[1]), "the reserved byte");
    speaks_of(&change_frame(ImageCodec::Raw, 1, f::HEIGHT, &[0, 0]), "the size is 0 x 8");
    speaks_of(&change_frame(ImageCodec::Zstd, 1, f::HEIGHT, &[1, 0x20]), "the size is 8193 x 8");
    speaks_of(&change_frame(ImageCodec::Raw, 1, f::HEIGHT, &[9]), "height x width x 3 = 216");
    speaks_of(&change_frame(ImageCodec::Raw, 1, f::REFERENCE, &[0; 4]), "none (this is no zstd_ref)");
    speaks_of(&change_frame(ImageCodec::Raw, 1, f::LENGTH, &[0; 4]), "the length is 0");
}

#[test]
fn references_that_lead_nowhere() {
    use frame_table::field as f;
    let change =
        |reference: u32| change_frame(ImageCodec::ZstdRef, 3, f::REFERENCE, &reference.to_le_bytes());
    speaks_of(&change(u32::MAX), "the reference is none");
    speaks_of(&change(3), "an earlier frame");
    speaks_of(&change(200), "an earlier frame");
    // Frame 2 itself leans on frame 0: depth 2.
    speaks_of(&change(2), "a raw or zstd frame of the same size");
}

#[test]
fn frames_that_claim_another_size_than_they_have() {
    use frame_table::field as f;
    // Eight megapixels from a few bytes: found before room is made for them.
    for frame in 0..6 {
        let big = [0x00, 0x08, 0x00, 0x10];
        let text = change_frame(ImageCodec::Zstd, frame, f::HEIGHT, &big);
        assert!(text.contains("content size") || text.contains("the size is"), "{text}");
        let text = change_frame(ImageCodec::Lz4, frame, f::HEIGHT, &big);
        assert!(text.contains("cannot hold") || text.contains("the size is"), "{text}");
        let text = change_frame(ImageCodec::Auto, frame, f::HEIGHT, &big);
        assert!(text.contains("the picture is 8 x 8") || text.contains("the size is"), "{text}");
    }
}

#[test]
fn sample_records_out_of_range() {
    use sample_table::field as f;
    speaks_of(&change_sample(f::EPISODE, 1), "the episode is 1, expected less than 1");
    speaks_of(&change_sample(f::STEP, 4), "the step is 4, expected less than 4");
    for value in [1000, u32::MAX] {
        speaks_of(&change_sample(f::FIRST_STATE, value), "the first state value");
        speaks_of(&change_sample(f::FIRST_ACTION, value), "the first action value");
        speaks_of(&change_sample(f::FIRST_FRAME, value), "the first frame");
    }
}

#[test]
fn metadata_that_asks_for_more_than_there_is() {
    // The first number of the block is the count of data sets.
    for count in [2u64, 1 << 20, u64::MAX] {
        let error = read(ImageCodec::Raw, |bytes, chunk| {
            let start = chunk.header().range(Section::Metadata).start;
            bytes[start..start + 8].copy_from_slice(&count.to_le_bytes());
        });
        assert!(matches!(error, ChunkError::Metadata(_)), "{error}");
    }
}

#[test]
fn metadata_with_bytes_left_over() {
    let error = read(ImageCodec::Raw, |bytes, _| {
        let length = u64_at(bytes, field::SECTION_LENGTHS + 8 * 4) + 1;
        bytes[field::SECTION_LENGTHS + 8 * 4..][..8].copy_from_slice(&length.to_le_bytes());
        bytes.push(0);
    });
    speaks_of(&error.to_string(), "the length of its content");
}

#[test]
fn header_fields_that_contradict_each_other() {
    let seal = |bytes: &mut [u8]| {
        let checksum = crc32c::crc32c(&bytes[..field::HEADER_CHECKSUM]);
        bytes[field::HEADER_CHECKSUM..field::HEADER_CHECKSUM + 4].copy_from_slice(&checksum.to_le_bytes());
    };
    for (at, value, about) in [
        (field::HEADER_LENGTH, 129u64, "header length"),
        (field::FILE_LENGTH, 5, "file length"),
        (field::SAMPLES, 9, "samples"),
        (field::FRAMES, 1, "frame table length"),
        (field::SECTION_LENGTHS, u64::MAX, "section lengths"),
        (field::SECTION_LENGTHS, 1, "file length"),
        (field::RESERVED, 1, "the reserved field"),
    ] {
        let mut bytes = small(ImageCodec::Raw);
        let width = if at == field::FILE_LENGTH || at == field::SECTION_LENGTHS { 8 } else { 4 };
        bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        seal(&mut bytes);
        speaks_of(&Chunk::open(&bytes).unwrap_err().to_string(), about);
    }
}

#[test]
fn a_reference_that_starts_like_a_dictionary_is_still_pixels() {
    use rdt_schema::{CameraSlot, Window};
    let schema = super::toy::dataset(Window::recorded(1, 1), [true, false, false, false]);
    let toy = super::toy::Toy::new(&schema, 3, 3, super::toy::raw(16, 16), 1);
    let pixels = |index: u32| {
        let mut pixels = toy.pixels(CameraSlot::External, index);
        pixels[..4].copy_from_slice(&[0x37, 0xA4, 0x30, 0xEC]);
        pixels
    };
    let out = std::io::Cursor::new(Vec::new());
    let mut writer =
        crate::ChunkWriter::create(out, super::toy::spec(3), ImageCodec::ZstdRef, vec![schema]).unwrap();
    writer
        .add_episode::<ChunkError>(
            0,
            toy.info.clone(),
            &toy.states,
            &toy.actions,
            &[0, 1, 2],
            &mut |_, index, out| {
                out.extend(pixels(index));
                Ok(toy.form)
            },
        )
        .unwrap();
    let bytes = writer.finish().unwrap().0.into_inner();
    let chunk = open(&bytes);
    let mut out = Vec::new();
    for slot in 0..3 {
        let frame = chunk.sample(slot).unwrap().frame(CameraSlot::External, 0).unwrap();
        FrameDecoder::new().decode(&frame, &mut out).unwrap();
        assert_eq!(out, pixels(slot));
    }
}
