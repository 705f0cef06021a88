//! One bench a stage, from a source episode to a batch, each against `memcpy` of the bytes that it
//! delivers. Ids are `stage/mode/size`.
//!
//! `cargo bench -p rdt-benches -- load` runs one stage. CPU time a sample of the whole loader is
//! what `rdt-consume bench` reports.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rdt_benches::{dataset, encode, episode, loader_options, write};
use rdt_buffer::{Buffer, ChunkId};
use rdt_chunk::{Chunk, ChunkError, FrameDecoder, ImageCodec};
use rdt_consumer::preprocess::{Picture, Preprocessor};
use rdt_consumer::{Delivery, Loader, Order};
use rdt_episode::{EpisodeError, flatten};

const CODECS: [ImageCodec; 3] = [ImageCodec::Raw, ImageCodec::Zstd, ImageCodec::ZstdRef];

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

fn load_stage(criterion: &mut Criterion) {
    let dataset = dataset();
    let episode = episode(&dataset);
    let mut bytes = 0;
    let mut group = criterion.benchmark_group("load");
    for codec in CODECS {
        let chunk = Chunk::open(encode(&dataset, &episode, codec)).expect("a chunk");
        let (mut decoder, mut slot) = (FrameDecoder::new(), 0);
        let mut frames: [Vec<u8>; 8] = Default::default();
        group.bench_function(BenchmarkId::new(codec.to_string(), "128x128x2"), |bencher| {
            bencher.iter(|| {
                slot = (slot + 37) % chunk.header().samples;
                load(&chunk, slot, &mut decoder, &mut frames).expect("a sample");
                black_box(&mut frames);
            });
        });
        bytes = frames.iter().map(Vec::len).sum();
    }
    group.finish();
    memcpy(criterion, "load", bytes);
}

fn load(
    chunk: &Chunk<Vec<u8>>,
    slot: u32,
    decoder: &mut FrameDecoder,
    frames: &mut [Vec<u8>; 8],
) -> Result<(), ChunkError> {
    let sample = chunk.sample(slot)?;
    for (index, pixels) in frames.iter_mut().enumerate() {
        let camera = rdt_schema::CameraSlot::ALL[index % 4];
        if let Some(frame) = sample.frame(camera, (index / 4) as u8) {
            decoder.decode(&frame, pixels)?;
        }
    }
    Ok(())
}

fn batch_stage(criterion: &mut Criterion) {
    for (height, width) in [(128, 128), (480, 640), (384, 384)] {
        let frame = vec![100u8; height * width * 3];
        let mut image = vec![0f32; 3 * 384 * 384];
        let mut preprocessor = Preprocessor::new(384).expect("a preprocessor");
        let picture = Picture::new(height, width, &frame).expect("a picture");
        criterion.bench_function(&format!("batch/preprocess/{height}x{width}"), |bencher| {
            bencher.iter(|| {
                preprocessor.pixel(black_box(picture), &mut image);
                black_box(&mut image);
            });
        });
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    let buffer = write(dir.path(), ImageCodec::Zstd);
    for (mode, delivery) in [("frames", Delivery::Frames), ("pixel", Delivery::Pixel { size: 384 })] {
        let mut loader = Loader::new(buffer.clone(), loader_options(delivery)).expect("a loader");
        let bytes = loader.next().expect("a batch").expect("a batch").bytes();
        let mut group = criterion.benchmark_group("batch");
        group.sample_size(20).throughput(Throughput::Bytes(bytes));
        group.bench_function(BenchmarkId::new(mode, 16), |bencher| {
            bencher.iter(|| drop(black_box(loader.next())));
        });
        group.finish();
        memcpy(criterion, "batch", bytes as usize);
    }
}

criterion_group!(stages, flatten_stage, encode_stage, write_stage, open_stage, load_stage, batch_stage);
criterion_main!(stages);
