//! One chunk looked at on its own.

use rdt_buffer::{Buffer, ChunkId};
use rdt_chunk::{Chunk, ChunkError, FrameCodec, FrameDecoder, SampleView};
use rdt_schema::in_full;

use super::{Bad, Checked, Kind};

/// Checks every byte of a chunk, decodes every frame, and looks at its bits.
pub(super) fn check(buffer: &Buffer, id: ChunkId) -> Checked {
    let samples = u64::from(buffer.manifest().samples_of(id));
    let whole = |samples: u64, reason: String| Bad { chunk: id.get(), samples, reason, ..Bad::default() };
    let chunk = match buffer.map(id) {
        Ok(chunk) => chunk,
        Err(error) => {
            let reason = in_full(&error);
            return Checked { chunks: 1, bad: vec![whole(samples, reason)], ..Checked::default() };
        }
    };
    let header = *chunk.header();
    let mut checked = Checked {
        chunks: 1,
        samples: header.samples.into(),
        frames: header.frames.into(),
        bytes: header.file_bytes(),
        ..Checked::default()
    };
    if let Err(error) = buffer.bits_of(id) {
        // Payload and bits are apart: no sample is lost by it.
        checked.bad.push(Bad { kind: Kind::Bits, ..whole(0, in_full(&error)) });
    }
    if let Err(error) = chunk.verify() {
        checked.bad.extend(blame(buffer, id, &chunk, error));
    }
    checked
}

/// Which samples of a chunk are concerned by `error`.
fn blame<B: AsRef<[u8]>>(buffer: &Buffer, id: ChunkId, chunk: &Chunk<B>, error: ChunkError) -> Vec<Bad> {
    let mut bad = Vec::new();
    let mut decoder = FrameDecoder::new();
    for slot in 0..chunk.header().samples {
        let view = match chunk.sample(slot) {
            Ok(view) => view,
            Err(_) => {
                // Without its tables nothing of the chunk can be read.
                return vec![of_whole_chunk(id, chunk, error)];
            }
        };
        if let Err(error) = view.check(&mut decoder) {
            let kind = kind_of(&error);
            bad.push(Bad { kind, ..of_sample(buffer, id, &view, in_full(&error)) });
        }
    }
    if bad.is_empty() {
        bad.push(Bad { chunk: id.get(), reason: in_full(&error), ..Bad::default() });
    }
    bad
}

/// A frame's checksum is compared before it is decoded: where a JPEG does not decode, its
/// bytes are those that were written, and they were taken over from the source.
fn kind_of(error: &ChunkError) -> Kind {
    match error {
        ChunkError::Frame { codec, .. } if *codec == FrameCodec::Jpeg.name() => Kind::Source,
        _ => Kind::Damaged,
    }
}

fn of_whole_chunk<B: AsRef<[u8]>>(id: ChunkId, chunk: &Chunk<B>, error: ChunkError) -> Bad {
    let mut reason = in_full(&error);
    if let Ok(episodes) = chunk.episodes() {
        let names: Vec<String> = episodes.iter().map(|episode| episode.info.origin.to_string()).collect();
        reason = format!("{reason}; it holds steps of {}", names.join(", "));
    }
    Bad { chunk: id.get(), samples: chunk.header().samples.into(), reason, ..Bad::default() }
}

/// A fault of one sample.
pub(super) fn of_sample(buffer: &Buffer, id: ChunkId, view: &SampleView<'_>, reason: String) -> Bad {
    let origin = &view.episode().origin;
    let size = u64::from(buffer.manifest().chunk_size);
    Bad {
        chunk: id.get(),
        slot: Some(view.slot()),
        sample: Some(u64::from(id.get()) * size + u64::from(view.slot())),
        dataset: Some(view.dataset().name.clone()),
        source: Some(origin.source.clone()),
        episode: Some(origin.key.clone()),
        step: Some(view.step()),
        samples: 1,
        kind: Kind::Damaged,
        reason,
    }
}
