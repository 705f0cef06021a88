//! What each way to store frames costs, on frames of your own: bytes and CPU time a
//! sample, to write and to load. `docs/format.md` has the results that chose the defaults.
//!
//! ```text
//! cargo run --release -p rdt-chunk --example frame_codecs -- raw FILE HEIGHT WIDTH CAMERAS
//! cargo run --release -p rdt-chunk --example frame_codecs -- jpeg FILE HEIGHT WIDTH CAMERAS
//! ```
//! `raw`: upright RGB frames back to back, camera by camera at each step. `jpeg`: the
//! same order, each file with its length (4 bytes, little-endian) in front.

use std::error::Error;
use std::io::Cursor;
use std::time::{Duration, Instant};

use rdt_chunk::{Chunk, ChunkError, ChunkSpec, ChunkWriter, FrameDecoder, ImageCodec};
use rdt_schema::{
    CameraSlot, ChannelOrder, DatasetSchema, EpisodeInfo, Flip, FrameEncoding, FrameForm, Instruction,
    Origin, Window,
};

const COLUMNS: usize = 10;
const SAMPLES: u32 = 256;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, file, height, width, cameras] = arguments.as_slice() else {
        return Err("expected: raw|jpeg FILE HEIGHT WIDTH CAMERAS".into());
    };
    let (height, width, cameras): (u32, u32, usize) = (height.parse()?, width.parse()?, cameras.parse()?);
    let bytes = std::fs::read(file)?;
    let encoding = if kind == "jpeg" { FrameEncoding::Jpeg } else { FrameEncoding::Raw };
    let frames = split(&bytes, encoding, (height * width * 3) as usize);
    let form = FrameForm { encoding, height, width, order: ChannelOrder::Rgb, flip: Flip::None };
    println!("{:<10} {:>10} {:>12} {:>12}", "codec", "B/sample", "write ms", "load ms");
    for codec in ["auto", "raw", "zstd", "zstd-ref", "lz4", "jpeg:90"] {
        measure(codec.parse()?, &frames, form, cameras)?;
    }
    if encoding == FrameEncoding::Raw {
        levels(&frames, cameras)?;
    }
    Ok(())
}

fn split(bytes: &[u8], encoding: FrameEncoding, raw_bytes: usize) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = match encoding {
            FrameEncoding::Raw => raw_bytes,
            FrameEncoding::Jpeg => {
                let (length, tail) = rest.split_at(4);
                rest = tail;
                u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize
            }
        };
        let (frame, tail) = rest.split_at(length);
        frames.push(frame);
        rest = tail;
    }
    frames
}

/// Writes and loads one chunk, and prints a line.
fn measure(
    codec: ImageCodec,
    frames: &[&[u8]],
    form: FrameForm,
    cameras: usize,
) -> Result<(), Box<dyn Error>> {
    let steps = (frames.len() / cameras).min(SAMPLES as usize) as u32;
    let slots = [true, true, cameras > 2, cameras > 3];
    let schema = DatasetSchema {
        name: "measured".into(),
        state_columns: (30..30 + COLUMNS as u8).collect(),
        action_columns: (30..30 + COLUMNS as u8).collect(),
        window: Window::recorded(64, 2),
        cameras: slots,
        control_freq: 20.0,
        norm_of_actions: false,
    };
    let info = EpisodeInfo {
        origin: Origin { source: "measured".into(), key: String::new() },
        states: steps,
        actions: steps,
        steps,
        first_step: 0,
        num_steps: steps,
        cameras: slots,
        instructions: Instruction::only("Measure."),
        state_std: vec![1.0; COLUMNS],
        state_mean: vec![0.0; COLUMNS],
        state_norm: vec![1.0; COLUMNS],
    };
    let rows: Vec<f64> = (0..steps as usize * COLUMNS).map(|i| (i as f64).sin()).collect();
    let all: Vec<u32> = (0..steps).collect();
    let spec = ChunkSpec { chunk: 0, generation: 0, capacity: SAMPLES, plan_digest: [0; 16] };

    let (mut file, mut write) = (Vec::new(), Duration::MAX);
    for _ in 0..5 {
        file.clear();
        let start = Instant::now();
        let mut writer = ChunkWriter::create(Cursor::new(file), spec, codec, vec![schema.clone()])?;
        writer.add_episode::<ChunkError>(0, info.clone(), &rows, &rows, &all, &mut |slot, step, out| {
            out.extend_from_slice(frames[step as usize * cameras + slot.index()]);
            Ok(form)
        })?;
        file = writer.finish()?.0.into_inner();
        write = write.min(start.elapsed());
    }

    let chunk = Chunk::open(&file)?;
    let mut decoder = FrameDecoder::new();
    let (mut rows_out, mut mask) = (vec![0.0; 64 * 128], vec![0; 64]);
    let mut pixels = vec![Vec::new(); 2 * CameraSlot::COUNT];
    let mut load = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        // A stride without a common factor: no sample follows its neighbour.
        for slot in (0..steps).map(|i| i * 97 % steps) {
            let sample = chunk.sample(slot)?;
            sample.write_state_chunk(&mut rows_out, &mut mask)?;
            sample.write_action_chunk(&mut rows_out, &mut mask)?;
            for (camera, pair) in CameraSlot::ALL.into_iter().zip(pixels.chunks_exact_mut(2)) {
                for (history, out) in (0..).zip(pair) {
                    if let Some(frame) = sample.frame(camera, history) {
                        decoder.decode(&frame, out)?;
                    }
                }
            }
        }
        load = load.min(start.elapsed());
    }
    let per_sample = |time: Duration| time.as_secs_f64() * 1e3 / f64::from(steps);
    let bytes = file.len() as u32 / steps;
    println!("{:<10} {bytes:>10} {:>12.3} {:>12.3}", codec.to_string(), per_sample(write), per_sample(load));
    Ok(())
}

/// zstd alone at several levels and intervals, a line each.
fn levels(frames: &[&[u8]], cameras: usize) -> Result<(), Box<dyn Error>> {
    use zstd::zstd_safe::{CCtx, CParameter, DCtx, compress_bound};
    let failed = |code| zstd::zstd_safe::get_error_name(code);
    let steps = (frames.len() / cameras).min(SAMPLES as usize);
    println!("\n{:<16} {:>8} {:>14} {:>14}", "zstd", "ratio", "compress us", "decompress us");
    for interval in [1usize, 4, 8, 16, 32, 64] {
        for level in [-7, -3, -1, 1, 2, 3, 5] {
            let (mut raw, mut packed) = (0, 0);
            let (mut compress, mut decompress) = (Duration::ZERO, Duration::ZERO);
            let mut shared = CCtx::create();
            shared.set_parameter(CParameter::CompressionLevel(level)).map_err(failed)?;
            let mut reader = DCtx::create();
            for step in 0..steps {
                for camera in 0..cameras {
                    let pixels = frames[step * cameras + camera];
                    let anchor = frames[step / interval * interval * cameras + camera];
                    let mut out = vec![0; compress_bound(pixels.len())];
                    let mut back = vec![0; pixels.len()];
                    let start = Instant::now();
                    let length = if step % interval == 0 {
                        shared.compress2(&mut out[..], pixels)
                    } else {
                        let mut context = CCtx::create();
                        let window = (2 * pixels.len()).next_power_of_two().trailing_zeros();
                        context.set_parameter(CParameter::CompressionLevel(level)).map_err(failed)?;
                        context.set_parameter(CParameter::WindowLog(window)).map_err(failed)?;
                        context.ref_prefix(anchor).map_err(failed)?;
                        context.compress2(&mut out[..], pixels)
                    };
                    let length = length.map_err(failed)?;
                    compress += start.elapsed();
                    let start = Instant::now();
                    if step % interval == 0 {
                        reader.decompress(&mut back[..], &out[..length]).map_err(failed)?;
                    } else {
                        reader
                            .decompress_using_dict(&mut back[..], &out[..length], anchor)
                            .map_err(failed)?;
                    }
                    decompress += start.elapsed();
                    assert_eq!(back, pixels, "lossless");
                    raw += pixels.len();
                    packed += length;
                }
            }
            let per_frame = |time: Duration| time.as_secs_f64() * 1e6 / (steps * cameras) as f64;
            println!(
                "every {interval:>2} level {level:>2} {:>8.3} {:>12.1} {:>14.1}",
                packed as f64 / raw as f64,
                per_frame(compress),
                per_frame(decompress)
            );
        }
    }
    Ok(())
}
