//! The golden chunks of this format version: committed once, never changed.
//!
//! Each is a chunk and its content as JSON. `build` makes the bytes anew; where a codec's
//! library changes its output, the bytes may differ, the content must not.

use std::path::PathBuf;

use rdt_schema::{
    CameraSlot, ChannelOrder, DatasetSchema, Flip, FrameEncoding, STATE_DIM, Sample, Tail, Window,
};
use serde_json::{Value, json};

use super::toy::{Toy, dataset, open, raw, write};
use crate::{FrameDecoder, ImageCodec};

/// Names of the golden chunks.
pub(crate) const NAMES: [&str; 3] = ["v1-auto", "v1-zstd-ref", "v1-lz4"];

pub(crate) fn path(name: &str, extension: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden-format");
    PathBuf::from(folder).join(format!("{name}.{extension}"))
}

pub(crate) fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(path(name, "chunk")).unwrap()
}

/// Makes a golden chunk. Never change what it makes; a new version gets new names.
fn build(name: &str) -> Vec<u8> {
    match name {
        "v1-auto" => build_auto(),
        "v1-zstd-ref" => build_plain(ImageCodec::ZstdRef),
        _ => build_plain(ImageCodec::Lz4),
    }
}

/// Two data sets: pixels in next-state form, JPEG with interpolated recorded actions.
fn build_auto() -> Vec<u8> {
    let next_state = dataset(Window::next_state(2, 2), [true, false, false, false]);
    let window = Window { action_rows: 4, action_source_rows: 2, tail: Tail::Drop, ..Window::recorded(2, 1) };
    let recorded = DatasetSchema { name: "recorded".into(), ..dataset(window, [false, true, false, false]) };
    let first = Toy::new(&next_state, 3, 3, raw(8, 8), 1);
    let mut second = Toy::new(&recorded, 4, 5, raw(8, 8), 2);
    second.dataset = 1;
    second.form.encoding = FrameEncoding::Jpeg;
    second.form.order = ChannelOrder::Bgr;
    second.form.flip = Flip::Vertical;
    second.info.first_step = 1;
    second.info.origin.key.clear();
    write(ImageCodec::Auto, 4, vec![next_state, recorded], &[(first, vec![0, 1, 2]), (second, vec![3])])
        .unwrap()
}

fn build_plain(codec: ImageCodec) -> Vec<u8> {
    let schema = dataset(Window::recorded(2, 2), [true, true, false, false]);
    let toy = Toy::new(&schema, 3, 3, raw(8, 8), 1);
    write(codec, 4, vec![schema], &[(toy, vec![2, 0, 2])]).unwrap()
}

fn content(bytes: &[u8]) -> Value {
    let chunk = open(bytes);
    chunk.verify().unwrap();
    let header = chunk.header();
    let mut decoder = FrameDecoder::new();
    let samples: Vec<Value> = (0..header.samples)
        .map(|slot| {
            let view = chunk.sample(slot).unwrap();
            sample_content(view.dataset(), &view.to_sample(&mut decoder).unwrap())
        })
        .collect();
    let codecs: Vec<&str> = (0..header.samples)
        .flat_map(|slot| {
            let view = chunk.sample(slot).unwrap();
            view.check(&mut decoder).unwrap();
            view.frames().map(|frame| frame.codec.name()).collect::<Vec<_>>()
        })
        .collect();
    json!({
        "chunk": header.chunk,
        "capacity": header.capacity,
        "generation": header.generation,
        "samples": samples,
        "frames": header.frames,
        "frame_codecs": codecs,
        "plan_digest": hex(&header.plan_digest),
        "file_bytes": header.file_bytes(),
        "datasets": chunk.datasets().unwrap(),
        "episodes": chunk.episodes().unwrap().iter().map(|e| json!({"dataset": e.dataset, "info": e.info})).collect::<Vec<_>>(),
    })
}

fn sample_content(dataset: &DatasetSchema, sample: &Sample) -> Value {
    let rows = |values: &[f32], columns: &[u8]| -> Vec<Vec<f32>> {
        values
            .chunks_exact(STATE_DIM)
            .map(|row| columns.iter().map(|&c| row[usize::from(c)]).collect())
            .collect()
    };
    let frames = |camera: CameraSlot| {
        let frames = &sample.frames[camera.index()];
        json!({
            "height": frames.height,
            "width": frames.width,
            "time_mask": frames.time_mask,
            "pixels": hex(&frames.pixels),
        })
    };
    json!({
        "dataset": sample.dataset_name,
        "source": sample.source,
        "key": sample.key,
        "step": sample.step_id,
        "state_chunk": rows(&sample.state_chunk, &dataset.state_columns),
        "state_chunk_time_mask": sample.state_chunk_time_mask,
        "action_chunk": rows(&sample.action_chunk, &dataset.action_columns),
        "action_chunk_time_mask": sample.action_chunk_time_mask,
        "frames": CameraSlot::ALL.map(frames),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn golden_chunks_are_read_as_they_were_written() {
    for name in NAMES {
        let json: Value = serde_json::from_slice(&std::fs::read(path(name, "json")).unwrap()).unwrap();
        let read: Value = serde_json::from_str(&content(&bytes(name)).to_string()).unwrap();
        assert_eq!(read, json, "{name}");
    }
}

#[test]
fn todays_writer_makes_the_golden_chunks() {
    for name in NAMES {
        let built = build(name);
        assert_eq!(content(&built)["samples"], content(&bytes(name))["samples"], "{name}");
        assert_eq!(built, bytes(name), "{name}: other bytes; has a codec's library changed?");
    }
}

#[test]
#[ignore = "writes golden files of a new format version; never over old ones"]
fn write_missing_golden_files() {
    for name in NAMES {
        if !path(name, "chunk").exists() {
            let built = build(name);
            std::fs::write(
                path(name, "json"),
                serde_json::to_string_pretty(&content(&built)).unwrap() + "\n",
            )
            .unwrap();
            std::fs::write(path(name, "chunk"), built).unwrap();
        }
    }
}
