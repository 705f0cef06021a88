//! Batches hold what the buffer holds, in the order that [`BatchOrder`] says, whatever the
//! number of threads and ranks and wherever a run was interrupted.

mod disturbance;
mod feeds;
mod holdout;
mod live;
pub(crate) mod small_buffer;
mod stored_images;

use std::num::NonZeroU32;

use rdt_buffer::Buffer;

use super::*;
use crate::batch_order::{LastBatch, Ranks};
use crate::holdout::Selection;
use crate::order::{Order, OrderKind};
use rdt_image::{BACKGROUND, Picture, Preprocessor};
use small_buffer::{ACTION_ROWS, HISTORY, frame_size, instructions, level, place, samples, schema, state};

const SIZE: usize = 16;

/// All that a loader of an order is asked for, side by side.
#[derive(Debug, Clone)]
struct Asked {
    seed: u64,
    global_batch: u32,
    ranks: Ranks,
    last: LastBatch,
    order: OrderKind,
    selection: Option<Arc<Selection>>,
    start: BatchPosition,
    end: Option<BatchPosition>,
    shape: BatchShape,
    delivery: Delivery,
    disturbance: Disturbance,
    threads: usize,
    batches_ahead: usize,
    on_bad_sample: OnBadSample,
}

fn options() -> Asked {
    Asked {
        seed: 3,
        global_batch: 8,
        ranks: Ranks::ONE,
        last: LastBatch::Keep,
        order: Default::default(),
        selection: None,
        start: BatchPosition::default(),
        end: Some(BatchPosition { epoch: 2, batch: 0 }),
        shape: SHAPE,
        delivery: Delivery::Pixel { size: SIZE },
        disturbance: Disturbance::default(),
        threads: 2,
        batches_ahead: 2,
        on_bad_sample: OnBadSample::Skip,
    }
}

const SHAPE: BatchShape = BatchShape { action_rows: ACTION_ROWS, history: HISTORY, cameras: 3 };

impl Asked {
    fn open(self, buffer: &Arc<Buffer>) -> Result<Loader, ConsumerError> {
        let Self { seed, global_batch, ranks, last, order, selection, start, end, .. } = self;
        let batches = OrderedOptions { seed, global_batch, ranks, last, order, selection, start, end };
        let options = LoaderOptions {
            layout: Layout { shape: self.shape, delivery: self.delivery },
            workers: Workers { threads: self.threads, batches_ahead: self.batches_ahead },
            disturbance: self.disturbance,
            on_bad_sample: self.on_bad_sample,
        };
        Loader::ordered(buffer.clone(), batches, options)
    }
}

/// Batch after batch; nobody asks to stop.
fn next(loader: &mut Loader) -> Option<Result<Batch, ConsumerError>> {
    loader.next(&AtomicBool::new(false)).transpose()
}

/// Everything that a batch holds.
#[derive(Debug, Clone, PartialEq)]
struct Held {
    position: BatchPosition,
    next: BatchPosition,
    records: Vec<crate::SampleRecord>,
    /// The last one is the images' levels.
    arrays: [Vec<f32>; 6],
}

fn held(batch: &Batch) -> Held {
    Held {
        position: batch.position(),
        next: batch.next_position(),
        records: batch.samples().to_vec(),
        arrays: [
            batch.state().to_vec(),
            batch.state_mask().to_vec(),
            batch.actions().to_vec(),
            batch.state_std().to_vec(),
            batch.state_norm().to_vec(),
            batch.images().iter().map(|&level| level.into()).collect(),
        ],
    }
}

fn load(buffer: &Arc<Buffer>, options: Asked) -> Vec<Held> {
    let mut loader = options.open(buffer).unwrap();
    std::iter::from_fn(|| next(&mut loader)).map(|batch| held(&batch.unwrap())).collect()
}

#[test]
fn batches_hold_the_samples_of_the_order() {
    let dir = tempfile::tempdir().unwrap();
    let buffer = small_buffer::write(dir.path());
    let batches = load(&buffer, options());
    let order = Order::new(samples(), 3).unwrap();
    let mut preprocessor = Preprocessor::new(SIZE).unwrap();
    let mut seen = 0;
    for (number, batch) in (0u64..).zip(&batches) {
        let epoch = number / 5;
        assert_eq!(batch.position, BatchPosition { epoch, batch: number % 5 });
        let images = batch.arrays[5].chunks_exact(6 * 3 * SIZE * SIZE);
        assert_eq!(images.len(), batch.records.len());
        for (slot, (record, images)) in batch.records.iter().zip(images).enumerate() {
            let id = order.sample(epoch, (number % 5) * 8 + slot as u64);
            let (episode, step) = place(id.get());
            assert_eq!((record.sample, record.step), (id, step));
            check_rows(batch, slot, episode, step);
            check_images(record, images, (episode, step), &mut preprocessor);
            let wordings = instructions(episode);
            assert_eq!(record.instruction, wordings[record.instruction_index].text);
            assert_eq!((record.dataset, record.ctrl_freq), (episode % 2, schema(episode % 2).control_freq));
            seen += 1;
        }
    }
    assert_eq!(seen, 2 * samples());
    // Both wordings are drawn.
    let drawn: Vec<_> = batches.iter().flat_map(|b| &b.records).map(|r| r.instruction_index).collect();
    assert!(drawn.contains(&1));
}

fn check_rows(batch: &Held, slot: usize, episode: usize, step: u32) {
    let schema = schema(episode % 2);
    let steps = small_buffer::STEPS[episode];
    let row = |values: &dyn Fn(usize) -> f64| -> Vec<f32> {
        let active = |column: usize| schema.state_columns.contains(&(column as u8));
        (0..128).map(|column| if active(column) { values(column) as f32 } else { 0.0 }).collect()
    };
    let [state_row, mask, actions, std, norm, _] = &batch.arrays;
    let part = |array: &[f32], rows: usize| array[slot * rows * 128..(slot + 1) * rows * 128].to_vec();
    assert_eq!(part(state_row, 1), row(&|_| state(episode, step)));
    assert_eq!(part(mask, 1), row(&|_| 1.0));
    assert_eq!(part(std, 1), row(&|_| 0.5));
    assert_eq!(part(norm, 1), row(&|_| episode as f64 + 2.0));
    let expected: Vec<f32> = (0..ACTION_ROWS as u32)
        .flat_map(|j| row(&|_| state(episode, (step + 1 + j).min(steps - 1))))
        .collect();
    assert_eq!(part(actions, ACTION_ROWS), expected);
}

fn check_images(
    record: &crate::SampleRecord,
    images: &[f32],
    (episode, step): (usize, u32),
    preprocessor: &mut Preprocessor,
) {
    let (height, width) = frame_size(episode % 2);
    for (index, image) in images.chunks_exact(3 * SIZE * SIZE).enumerate() {
        let (history, camera) = (index / 3, CameraSlot::ALL[index % 3]);
        let is_there = schema(episode % 2).cameras[camera.index()] && (history == 1 || step > 0);
        assert_eq!(record.image_valid[index], is_there, "{episode} {step} {index}");
        let mut expected = vec![BACKGROUND; 3 * SIZE * SIZE];
        if is_there {
            let shown = step + history as u32 - 1;
            let pixels = vec![level(episode, camera, shown); height * width * 3];
            preprocessor.square(Picture::new(height, width, &pixels).unwrap(), &mut expected);
        }
        assert!(image.iter().zip(&expected).all(|(&a, &b)| a == f32::from(b)), "{episode} {step} {index}");
    }
}

/// Two chunks of the small buffer open at a time.
fn windowed() -> OrderKind {
    OrderKind::Windowed { window: NonZeroU32::new(2).unwrap(), chunk_size: small_buffer::CHUNK_SIZE }
}

#[test]
fn threads_do_not_show() {
    let dir = tempfile::tempdir().unwrap();
    let buffer = small_buffer::write(dir.path());
    for delivery in [Delivery::Pixel { size: SIZE }, Delivery::Frames] {
        for (disturbance, order) in
            [(Disturbance::default(), OrderKind::Uniform), (disturbance::everything(), windowed())]
        {
            let with = |threads, batches_ahead| {
                let disturbance = disturbance.clone();
                let options = Asked { threads, batches_ahead, delivery, disturbance, ..options() };
                load(&buffer, Asked { order, ..options })
            };
            let one = with(1, 1);
            assert_eq!(one.len(), 10);
            assert_eq!(with(2, 3), one);
            assert_eq!(with(7, 2), one);
        }
    }
}

#[test]
fn frames_are_delivered_as_stored() {
    let dir = tempfile::tempdir().unwrap();
    let buffer = small_buffer::write(dir.path());
    for batch in load(&buffer, Asked { delivery: Delivery::Frames, ..options() }) {
        assert!(batch.arrays[5].is_empty());
        for record in &batch.records {
            let (episode, step) = place(record.sample.get());
            for (index, frame) in record.frames.iter().enumerate() {
                if record.image_valid[index] {
                    let (height, width) = frame_size(episode % 2);
                    assert_eq!((frame.height, frame.width), (height, width));
                    let level = level(episode, CameraSlot::ALL[index % 3], step + index as u32 / 3 - 1);
                    assert_eq!(frame.pixels, vec![level; height * width * 3]);
                } else {
                    assert_eq!(*frame, Default::default());
                }
            }
        }
    }
}

#[test]
fn ranks_and_restarts_do_not_show() {
    let dir = tempfile::tempdir().unwrap();
    let buffer = small_buffer::write(dir.path());
    ranks_and_restarts(&buffer, &options());
    ranks_and_restarts(&buffer, &Asked { disturbance: disturbance::everything(), ..options() });
    ranks_and_restarts(&buffer, &Asked { order: windowed(), ..options() });
}

fn ranks_and_restarts(buffer: &Arc<Buffer>, options: &Asked) {
    let whole = load(buffer, options.clone());
    for world in [1, 2, 3, 8] {
        for start in [0usize, 3, 4, 7] {
            let start_at = whole[start].position;
            let ranks: Vec<Vec<Held>> = (0..world)
                .map(|rank| {
                    load(buffer, Asked { ranks: Ranks { rank, world }, start: start_at, ..options.clone() })
                })
                .collect();
            for (number, expected) in whole[start..].iter().enumerate() {
                let pieces: Vec<_> = ranks.iter().map(|rank| &rank[number]).collect();
                let records: Vec<_> = pieces.iter().flat_map(|piece| piece.records.clone()).collect();
                assert_eq!(records, expected.records);
                for array in 0..6 {
                    let joined: Vec<_> =
                        pieces.iter().flat_map(|piece| piece.arrays[array].clone()).collect();
                    assert_eq!(joined, expected.arrays[array]);
                }
                assert!(pieces.iter().all(|piece| piece.next == expected.next));
            }
        }
    }
}

#[test]
fn dropping_early_stops_the_threads() {
    let dir = tempfile::tempdir().unwrap();
    let buffer = small_buffer::write(dir.path());
    let endless = Asked { end: None, batches_ahead: 5, ..options() };
    drop(endless.clone().open(&buffer).unwrap());
    let mut loader = endless.open(&buffer).unwrap();
    let kept: Vec<_> = (0..12).map(|_| next(&mut loader).unwrap().unwrap()).collect();
    assert_eq!(loader.position(), BatchPosition { epoch: 2, batch: 2 });
    assert_eq!(loader.statistics().batches, 12);
    let expected: Vec<Held> = kept.iter().map(held).collect();
    drop(loader);
    // Only the buffer's own handle is left, and the batches are still whole.
    assert_eq!(Arc::strong_count(&buffer), 1);
    assert_eq!(expected, kept.iter().map(held).collect::<Vec<_>>());
}

/// Flips a byte in the middle of the frames of chunk 1.
pub(crate) fn damage(dir: &std::path::Path) {
    let path = dir.join("chunks/00000001.chunk");
    let mut bytes = std::fs::read(&path).unwrap();
    // Frames come first, right behind the header.
    bytes[rdt_chunk::HEADER_LENGTH + 20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
}

#[test]
fn bad_samples_are_replaced_alike_everywhere_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let whole = load(&small_buffer::write(dir.path()), options());
    damage(dir.path());
    let buffer = Arc::new(Buffer::open_complete(dir.path()).unwrap());
    let mut loader = options().open(&buffer).unwrap();
    let batches: Vec<Held> =
        std::iter::from_fn(|| next(&mut loader)).map(|batch| held(&batch.unwrap())).collect();
    let bad = loader.take_bad_samples();
    assert!(bad.is_sorted_by_key(|bad| bad.sample) && loader.take_bad_samples().is_empty());
    assert!(!bad.is_empty());
    assert!(loader.statistics().replaced >= 2 * bad.len() as u64);
    for sample in &bad {
        let place = sample.place.map(|(chunk, slot)| (chunk.get(), slot.get()));
        assert_eq!(place, Some((1, sample.sample.get() as u32 - 7)));
        let (episode, step) = small_buffer::place(sample.sample.get());
        assert_eq!(sample.origin.as_ref().unwrap().key, format!("demo_{episode}"));
        assert_eq!(sample.step, Some(step));
        let text = sample.to_string();
        assert!(text.contains("file.hdf5:demo_") && text.contains("chunk 00000001, slot"), "{text}");
    }
    // Good samples are where they were; bad ones are gone from everywhere.
    for (batch, undamaged) in batches.iter().zip(&whole) {
        for (slot, (record, before)) in batch.records.iter().zip(&undamaged.records).enumerate() {
            let was_bad = bad.iter().any(|bad| bad.sample == before.sample);
            assert_eq!(record.sample != before.sample, was_bad);
            assert!(bad.iter().all(|bad| bad.sample != record.sample));
            let (episode, step) = place(record.sample.get());
            check_rows(batch, slot, episode, step);
        }
        assert_eq!(batch.records.len(), undamaged.records.len());
    }
    assert_eq!(load(&buffer, Asked { threads: 7, ..options() }), batches);

    let mut failing = Asked { on_bad_sample: OnBadSample::Fail, ..options() }.open(&buffer).unwrap();
    let error = std::iter::from_fn(|| next(&mut failing)).find_map(Result::err).unwrap();
    assert!(matches!(error, ConsumerError::BadSample(_)), "{error}");
    assert!(next(&mut failing).is_none());
}

#[test]
fn a_buffer_without_a_readable_sample_ends_the_run() {
    let dir = tempfile::tempdir().unwrap();
    let buffer = small_buffer::write(dir.path());
    for chunk in 0..buffer.chunk_count() as u32 {
        let path = buffer.chunk_path(rdt_buffer::ChunkId::new(chunk));
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    }
    let mut loader = options().open(&buffer).unwrap();
    assert!(matches!(next(&mut loader), Some(Err(ConsumerError::AllBad { .. }))));
    assert!(next(&mut loader).is_none());
}

#[test]
fn other_shapes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let buffer = small_buffer::write(dir.path());
    let new = |shape| Asked { shape, ..options() }.open(&buffer).err().unwrap();
    let shape = options().shape;
    assert!(matches!(new(BatchShape { history: 3, ..shape }), ConsumerError::Shape { found: 2, .. }));
    assert!(matches!(new(BatchShape { action_rows: 64, ..shape }), ConsumerError::Shape { found: 8, .. }));
    assert!(matches!(new(BatchShape { cameras: 5, ..shape }), ConsumerError::Cameras { .. }));
}

#[test]
fn a_loader_dropped_with_full_queues_ends_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let buffer = small_buffer::write(dir.path());
    // Seconds of work: images of another size are not looked at by anybody.
    let options = Asked {
        delivery: Delivery::Pixel { size: 512 },
        end: None,
        batches_ahead: 40,
        threads: 3,
        ..options()
    };
    let mut loader = options.clone().open(&buffer).unwrap();
    let batch = next(&mut loader).unwrap().unwrap();
    assert!(loader.jobs.as_ref().unwrap().len() > 200, "the queue is full");
    let asked = Instant::now();
    drop(loader);
    assert!(asked.elapsed() < std::time::Duration::from_secs(1), "{:?}", asked.elapsed());
    // What was delivered stays.
    assert_eq!(batch.len(), 8);
    // Nothing was asked for yet.
    let asked = Instant::now();
    drop(options.open(&buffer).unwrap());
    assert!(asked.elapsed() < std::time::Duration::from_secs(1), "{:?}", asked.elapsed());
}
