//! Maps of files.

use super::toy::small;
use crate::{ChunkError, FrameDecoder, ImageCodec, map};

/// A file of this test run, removed at the end.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("rdt-chunk-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_file(&self.0).unwrap();
    }
}

#[test]
fn a_map_reads_as_its_file_and_outlives_its_name() {
    let file = Scratch::new("whole", &small(ImageCodec::ZstdRef));
    let chunk = map(&file.0).unwrap();
    // A refill is another file under the same name.
    let next = Scratch::new("next", &small(ImageCodec::Raw));
    std::fs::rename(&next.0, &file.0).unwrap();
    std::fs::write(&next.0, b"for the removal at the end").unwrap();
    chunk.will_need(0);
    chunk.will_need(99);
    chunk.verify().unwrap();
    chunk.sample(2).unwrap().check(&mut FrameDecoder::new()).unwrap();
}

#[test]
fn errors_of_a_map_name_the_file() {
    let missing = map(std::path::Path::new("/nonexistent/x.chunk")).unwrap_err();
    assert!(missing.to_string().contains("/nonexistent/x.chunk"), "{missing}");
    for bytes in [&b""[..], &b"short"[..], &[0; 500][..]] {
        let file = Scratch::new("bad", bytes);
        let error = map(&file.0).unwrap_err();
        assert!(error.to_string().contains("rdt-chunk-"), "{error}");
        assert!(matches!(error, ChunkError::InFile { .. }), "{error:?}");
    }
}
