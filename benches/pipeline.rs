//! One bench a stage, from a source episode to a batch, each against `memcpy` of the bytes that it
//! delivers. Ids are `stage/mode/size`.
//!
//! `cargo bench -p rdt-benches -- load` runs one stage. CPU time a sample of the whole loader is
//! what `rdt-consume bench` reports.

use std::hint::black_box;
use std::sync::atomic::AtomicBool;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rdt_benches::{dataset, encode, episode, loader, write};
use rdt_buffer::{Buffer, ChunkId};
use rdt_chunk::{Chunk, ChunkError, FrameDecoder, ImageCodec};
use rdt_consumer::{Delivery, Order};
use rdt_episode::{EpisodeError, flatten};
use rdt_image::{Picture, Preprocessor};
use rdt_schema::{CameraSlot, STATE_DIM};

const CODECS: [ImageCodec; 3] = [ImageCodec::Raw, ImageCodec::Zstd, ImageCodec::ZstdRef];

/// What loading raw frames cannot be faster than: copying the bytes, with their checksum.
fn memcpy_and_checksum(criterion: &mut Criterion, stage: &str, source: &[u8], bytes: usize) {
    let mut target = vec![0u8; bytes];
    let places = source.len() / bytes;
    let mut place = 0;
    let mut group = criterion.benchmark_group(stage);
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function(BenchmarkId::new("memcpy+checksum", bytes), |bencher| {
        bencher.iter(|| {
            place = (place + 37) % places;
            let source = &source[place * bytes..(place + 1) * bytes];
            black_box(crc_fast::crc32_iscsi(black_box(source)));
            target.copy_from_slice(source);
            black_box(&mut target);
        });
    });
    group.finish();
}

fn memcpy(criterion: &mut Criterion, stage: &str, bytes: usize) {
    let (source, mut target) = (vec![1u8; bytes], vec![0u8; bytes]);
    let mut group = criterion.benchmark_group(stage);
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function(BenchmarkId::new("memcpy", bytes), |bencher| {
        bencher.iter(|| {
            target.copy_from_slice(black_box(&source));
            black_box(&mut target);
        });
    });
    group.finish();
}

fn flatten_stage(criterion: &mut Criterion) {
    let dataset = dataset();
    let episode = episode(&dataset);
    let step = episode.info().steps / 2;
    let mut decoder = FrameDecoder::new();
    let mut bytes = 0;
    criterion.bench_function("flatten/sample/128x128x2", |bencher| {
        bencher.iter(|| {
            let mut decode = |form: &_, source: &[u8], out: &mut Vec<u8>| -> Result<(), EpisodeError> {
                decoder.decode_source(form, source, out).expect("a frame");
                Ok(())
            };
            let sample = flatten::sample(dataset.schema(), &episode, step, &mut decode).expect("a sample");
            bytes = sample.frames.iter().map(|frames| frames.pixels.len()).sum();
            black_box(sample);
        });
    });
    memcpy(criterion, "flatten", bytes);
}

fn encode_stage(criterion: &mut Criterion) {
    let dataset = dataset();
    let episode = episode(&dataset);
    let mut group = criterion.benchmark_group("encode");
    group.sample_size(10);
    group.throughput(Throughput::Elements(u64::from(episode.info().steps)));
    for codec in CODECS {
        group.bench_function(BenchmarkId::new(codec.to_string(), "episode"), |bencher| {
            bencher.iter(|| black_box(encode(&dataset, &episode, codec)));
        });
    }
    group.finish();
    let bytes = encode(&dataset, &episode, ImageCodec::Raw).len();
    memcpy(criterion, "encode", bytes);
}

fn write_stage(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("write");
    group.sample_size(10);
    for codec in CODECS {
        group.bench_function(BenchmarkId::new(codec.to_string(), "libero"), |bencher| {
            bencher.iter_with_large_drop(|| {
                let dir = tempfile::tempdir().expect("a temporary folder");
                write(dir.path(), codec);
                dir
            });
        });
    }
    group.finish();
}

fn open_stage(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    write(dir.path(), ImageCodec::Zstd);
    criterion.bench_function("open/buffer/1-chunk", |bencher| {
        bencher.iter(|| {
            let buffer = Buffer::open_complete(dir.path()).expect("a buffer");
            let chunk = buffer.chunk(ChunkId::new(0)).expect("a chunk");
            black_box(chunk.sample(0).expect("a sample").step())
        });
    });
    let order = Order::new(500_000_000, 1).expect("an order").epoch(0);
    let mut position = 0;
    criterion.bench_function("open/order/500000000", |bencher| {
        bencher.iter(|| {
            position = (position + 1) % 500_000_000;
            black_box(order.sample(position))
        });
    });
}

/// A whole sample: four frames, and the vectors that a batch takes.
fn load_stage(criterion: &mut Criterion) {
    let dataset = dataset();
    let episode = episode(&dataset);
    let mut bytes = 0;
    let mut group = criterion.benchmark_group("load");
    for codec in CODECS {
        let chunk = Chunk::open(encode(&dataset, &episode, codec)).expect("a chunk");
        let (mut loaded, mut slot) = (Loaded::default(), 0);
        loaded.load(&chunk, slot).expect("a sample");
        bytes = loaded.bytes();
        group.bench_function(BenchmarkId::new(codec.to_string(), "128x128x2"), |bencher| {
            bencher.iter(|| {
                slot = (slot + 37) % chunk.header().samples;
                loaded.load(&chunk, slot).expect("a sample");
                black_box(&mut loaded);
            });
        });
    }
    group.finish();
    let stored = encode(&dataset, &episode, ImageCodec::Raw);
    memcpy_and_checksum(criterion, "load", &stored, bytes);
    memcpy(criterion, "load", bytes);
}

/// Room for one sample.
#[derive(Default)]
struct Loaded {
    decoder: FrameDecoder,
    frames: [Vec<u8>; 8],
    vectors: [Vec<f32>; 4],
    actions: Vec<f32>,
    mask: Vec<u8>,
}

impl Loaded {
    fn load(&mut self, chunk: &Chunk<Vec<u8>>, slot: u32) -> Result<(), ChunkError> {
        let sample = chunk.sample(slot)?;
        let rows = usize::from(sample.dataset().window.action_rows);
        self.mask.resize(rows, 0);
        self.actions.resize(rows * STATE_DIM, 0.0);
        self.vectors.iter_mut().for_each(|vector| vector.resize(STATE_DIM, 0.0));
        let [state, mask, std, norm] = &mut self.vectors;
        sample.write_state(state)?;
        sample.write_mask(mask)?;
        sample.write_std(std)?;
        sample.write_norm(norm)?;
        sample.write_action_chunk(&mut self.actions, &mut self.mask)?;
        for (index, pixels) in self.frames.iter_mut().enumerate() {
            let camera = CameraSlot::ALL[index % 4];
            if let Some(frame) = sample.frame(camera, (index / 4) as u8) {
                self.decoder.decode(&frame, pixels)?;
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let vectors = self.vectors.iter().chain([&self.actions]).map(|vector| size_of_val(&vector[..]));
        vectors.sum::<usize>() + self.frames.iter().map(Vec::len).sum::<usize>()
    }
}

fn batch_stage(criterion: &mut Criterion) {
    for (height, width) in [(128, 128), (480, 640), (384, 384)] {
        let frame = vec![100u8; height * width * 3];
        let mut image = vec![0u8; 3 * 384 * 384];
        let mut preprocessor = Preprocessor::new(384).expect("a preprocessor");
        let picture = Picture::new(height, width, &frame).expect("a picture");
        criterion.bench_function(&format!("batch/preprocess/{height}x{width}"), |bencher| {
            bencher.iter(|| {
                preprocessor.square(black_box(picture), &mut image);
                black_box(&mut image);
            });
        });
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let buffer = write(dir.path(), ImageCodec::Zstd);
    for (mode, delivery) in [("frames", Delivery::Frames), ("pixel", Delivery::Pixel { size: 384 })] {
        let mut loader = loader(&buffer, 16, delivery).expect("a loader");
        let never = AtomicBool::new(false);
        let mut next = || loader.next(&never).expect("a batch").expect("a batch");
        let bytes = next().bytes();
        let mut group = criterion.benchmark_group("batch");
        group.sample_size(20).throughput(Throughput::Bytes(bytes));
        group.bench_function(BenchmarkId::new(mode, 16), |bencher| {
            bencher.iter(|| drop(black_box(next())));
        });
        group.finish();
        memcpy(criterion, "batch", bytes as usize);
    }
}

criterion_group!(stages, flatten_stage, encode_stage, write_stage, open_stage, load_stage, batch_stage);
criterion_main!(stages);
