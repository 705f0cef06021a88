//! Promise 2: damage of any kind is found, and before a sample is delivered.

use proptest::prelude::*;
use rdt_schema::Sample;

use super::reseal::reseal;
use super::toy::{open, small};
use crate::header::{MAGIC, field};
use crate::{Chunk, ChunkError, FrameDecoder, ImageCodec};

const CODECS: [ImageCodec; 4] = [ImageCodec::Auto, ImageCodec::Raw, ImageCodec::ZstdRef, ImageCodec::Lz4];

fn samples(bytes: &[u8]) -> Vec<Sample> {
    let chunk = open(bytes);
    let mut decoder = FrameDecoder::new();
    (0..chunk.header().samples)
        .map(|slot| chunk.sample(slot).unwrap().to_sample(&mut decoder).unwrap())
        .collect()
}

#[test]
fn every_flipped_bit_is_found_before_its_sample_is_delivered() {
    for codec in CODECS {
        let whole = small(codec);
        let intact = samples(&whole);
        let mut bytes = whole.clone();
        let mut delivered = 0;
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(chunk) = Chunk::open(&bytes) {
                assert!(chunk.verify().is_err(), "{codec}: bit {bit} passes verify");
                let mut decoder = FrameDecoder::new();
                for (slot, want) in (0..).zip(&intact) {
                    // A flip in one frame leaves the samples that do not show it.
                    match chunk.sample(slot).and_then(|view| view.to_sample(&mut decoder)) {
                        Ok(sample) => {
                            delivered += 1;
                            assert_eq!(&sample, want, "{codec}: bit {bit} reaches sample {slot}");
                        }
                        Err(ChunkError::Checksum { .. }) => {}
                        Err(other) => panic!("{codec}: bit {bit} is told as {other}"),
                    }
                }
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(bytes, whole);
        assert!(delivered > 0, "{codec}: a flip in one frame must not take all samples");
    }
}

#[test]
fn every_truncation_is_found() {
    let whole = small(ImageCodec::Auto);
    for length in 0..whole.len() {
        match Chunk::open(&whole[..length]) {
            Err(ChunkError::Truncated { found, expected }) => {
                assert_eq!(found, length as u64);
                assert!(expected > found);
            }
            other => panic!("{length} of {} bytes: {other:?}", whole.len()),
        }
    }
}

#[test]
fn appended_bytes_are_found() {
    let mut bytes = small(ImageCodec::Auto);
    bytes.push(0);
    assert!(matches!(Chunk::open(&bytes), Err(ChunkError::TrailingBytes { .. })));
}

#[test]
fn another_file_and_another_version_are_told_apart() {
    let whole = small(ImageCodec::Auto);
    let mut bytes = whole.clone();
    bytes[..8].copy_from_slice(b"PK\x03\x04 zip");
    let error = Chunk::open(&bytes).unwrap_err();
    assert!(matches!(error, ChunkError::NotAChunk { .. }));
    assert!(error.to_string().contains("not a chunk"), "{error}");

    let mut bytes = whole.clone();
    bytes[field::FORMAT_VERSION] = 2;
    let error = Chunk::open(&bytes).unwrap_err();
    assert!(matches!(error, ChunkError::Version { found: 2, expected: 1 }));
    assert!(error.to_string().contains("produce the buffer again"), "{error}");

    assert!(matches!(Chunk::open(&MAGIC[..]), Err(ChunkError::Truncated { found: 8, .. })));
    assert!(matches!(Chunk::open(&[0; 4096]), Err(ChunkError::NotAChunk { .. })));
}

#[test]
fn opening_looks_at_the_header_only() {
    let mut bytes = small(ImageCodec::Auto);
    bytes[crate::HEADER_LENGTH..].fill(0);
    let chunk = Chunk::open(&bytes).unwrap();
    assert_eq!((chunk.header().chunk, chunk.header().generation, chunk.header().samples), (17, 5, 3));
    assert_eq!(&chunk.header().plan_digest, b"sixteen bytes ok");
    assert!(matches!(chunk.episodes(), Err(ChunkError::Checksum { .. })));
}

#[test]
fn chunks_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    shared::<Chunk<Vec<u8>>>();
    shared::<Chunk<memmap2::Mmap>>();
    sent::<FrameDecoder>();
    sent::<crate::ChunkWriter<std::fs::File>>();
}

/// Reads everything; errors are fine. A chunk that verifies must deliver its samples.
fn read_everything(bytes: &[u8]) {
    let Ok(chunk) = Chunk::open(bytes) else { return };
    let mut decoder = FrameDecoder::new();
    let all = (0..chunk.header().samples.min(8))
        .map(|slot| chunk.sample(slot)?.to_sample(&mut decoder).map(drop))
        .collect::<Result<Vec<()>, ChunkError>>();
    if chunk.verify().is_ok() {
        all.unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_an_error_or_a_chunk(mut bytes in prop::collection::vec(any::<u8>(), 0..600), seal: bool) {
        if seal {
            reseal(&mut bytes);
        }
        read_everything(&bytes);
    }

    #[test]
    fn bytes_changed_behind_the_checksums_are_an_error_or_a_chunk(
        codec in prop::sample::select(&CODECS[..]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = small(codec);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        reseal(&mut bytes);
        read_everything(&bytes);
    }
}

#[test]
fn resealing_an_intact_chunk_changes_nothing() {
    for codec in CODECS {
        let whole = small(codec);
        let mut sealed = whole.clone();
        reseal(&mut sealed);
        assert_eq!(sealed, whole);
    }
}
