//! Whatever is wrong with the input: the right exit code, a text that names file, place, found,
//! expected and remedy, and every good episode and sample beside it.

mod buffers;
mod damage;
mod episodes;
mod words;

use std::collections::BTreeSet;
use std::path::Path;

use rdt_buffer::{Buffer, ChunkId};
use serde_json::Value;

/// (file, episode, step) of every sample; every chunk is verified.
fn samples_of(buffer: &Path) -> BTreeSet<(String, String, u32)> {
    let buffer = Buffer::open_complete(buffer).expect("a complete buffer");
    let mut samples = BTreeSet::new();
    for id in 0..buffer.chunk_count() {
        let chunk = buffer.chunk(ChunkId::new(u32::try_from(id).expect("few"))).expect("a chunk");
        chunk.verify().expect("a whole chunk");
        for slot in 0..chunk.header().samples {
            let sample = chunk.sample(slot).expect("a sample");
            let origin = sample.episode().origin.clone();
            assert!(samples.insert((origin.source, origin.key, sample.step())), "a sample is there twice");
        }
    }
    assert_eq!(samples.len() as u64, buffer.sample_count());
    samples
}

/// File, episode and reason of everything in a list of `stat --json`.
fn omissions(report: &Value, list: &str) -> Vec<[String; 3]> {
    let text = |entry: &Value, key: &str| entry[key].as_str().expect("a text").to_owned();
    let list = report[list].as_array().expect("a list");
    list.iter().map(|entry| ["source", "episode", "reason"].map(|key| text(entry, key))).collect()
}

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        // Knuth's MMIX generator; its low bits are poor.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}
