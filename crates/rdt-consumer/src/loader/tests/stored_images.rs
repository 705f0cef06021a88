//! Stored embeddings of frames in the place of pixels.

use std::path::Path;

use rdt_buffer::embedding::{
    Content, Element, EmbedderLock, EmbeddingHeader, EmbeddingWriter, EncoderDigest,
};
use rdt_buffer::storage::Disk;
use rdt_buffer::{ChunkId, layout};

use super::*;

/// Bytes of an image's embedding: one token of two numbers.
const BYTES: usize = 8;
/// Each byte of a frame's embedding, and of the background's.
const FRAME: u8 = 0x11;
const EMPTY: u8 = 0x22;

/// Stores embeddings of all frames, and damages those of the frames of chunk 1.
fn embed(dir: &Path, buffer: &Buffer) {
    let lock = EmbedderLock::acquire(dir, &Disk).unwrap();
    for id in (0..buffer.chunk_count() as u32).map(ChunkId::new) {
        let chunk = buffer.map(id).unwrap();
        let frames = chunk.header().frames as usize;
        let path = layout::image_embedding(dir, id, chunk.header().generation);
        let header = EmbeddingHeader {
            content: Content::Images,
            element: Element::F32,
            width: 2,
            records: 0,
            encoder: EncoderDigest([7; 16]),
            chunk: id.get(),
            chunk_crc: chunk.header().own_checksum(),
            generation: chunk.header().generation,
            texts_length: 0,
        };
        let texts = vec![""; frames + 1];
        let mut writer =
            EmbeddingWriter::create(&lock, Arc::new(Disk), path.clone(), header, &texts).unwrap();
        (0..frames).for_each(|_| writer.add(&[FRAME; BYTES]).unwrap());
        writer.add(&[EMPTY; BYTES]).unwrap();
        writer.publish().unwrap();
        if id.get() == 1 {
            let mut bytes = std::fs::read(&path).unwrap();
            let start = bytes.len() - BYTES * (frames + 1);
            (0..frames).for_each(|frame| bytes[start + frame * BYTES] ^= 0xff);
            std::fs::write(&path, bytes).unwrap();
        }
    }
}

#[test]
fn nothing_of_a_damaged_embedding_gets_into_a_batch() {
    let dir = tempfile::tempdir().unwrap();
    let buffer = small_buffer::write(dir.path());
    embed(dir.path(), &buffer);
    let options = Asked {
        delivery: Delivery::Embeddings { tokens: 1, width: 2, element: Element::F32 },
        disturbance: Disturbance {
            mask_probability: 0.5,
            external_camera_mask_probability: Some(0.5),
            state_means: crate::disturb::StateMeans::Given(
                (0..2).map(|dataset| (schema(dataset).name, vec![0.0; rdt_schema::STATE_DIM])).collect(),
            ),
            ..Disturbance::default()
        },
        end: Some(BatchPosition { epoch: 10, batch: 0 }),
        ..options()
    };
    let mut loader = options.open(&buffer).unwrap();
    while let Some(batch) = next(&mut loader) {
        let batch = batch.unwrap();
        let valid = batch.samples().iter().flat_map(|record| &record.image_valid);
        for (image, &is_valid) in batch.images().chunks_exact(BYTES).zip(valid) {
            assert_eq!(image, [if is_valid { FRAME } else { EMPTY }; BYTES], "of a frame: {is_valid}");
        }
    }
    assert!(!loader.take_bad_samples().is_empty());
}
