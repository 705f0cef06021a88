//! Frames: one embedding for each frame that training can look at, and one for the background
//! that stands for absent and masked images, in a file a chunk.
//!
//! Pixels go the way they go in training: decoded, squared by the same preprocessor, normalised by the
//! same code. Threads decode ahead of the encoder, a bounded number of batches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::available_parallelism;

use memmap2::Mmap;
use rdt_buffer::embedding::{
    Content, EmbeddingFile, EmbeddingHeader, EmbeddingWriter, EncoderDigest, ImageEmbeddings, image_files,
};
use rdt_buffer::storage::{Disk, Storage};
use rdt_buffer::{ChunkId, layout};
use rdt_chunk::{Chunk, FrameDecoder, Header};
use rdt_cli::exit::Usage;
use rdt_cli::progress::Progress;
use rdt_image::{BACKGROUND, Picture, Preprocessor};
use rdt_schema::CameraSlot;
use rdt_train::device_resize::DeviceResizer;
use rdt_train::encoder::image::ImageEncoder;
use rdt_train::encoder::stored::to_bytes;
use rdt_train::images::HostImages;

use super::{Report, Work, stopped};
use crate::train::usage_of_settings;

/// Images that are encoded at once.
const BATCH: usize = 16;

/// A frame that training can look at: a slot that shows it, a camera, a place in the window.
type Shown = (u32, CameraSlot, u8);

pub(super) fn embed(work: &Work<'_>) -> anyhow::Result<Report> {
    let digest = work.encoders.image_digest(work.config, work.seed).map_err(usage_of_settings)?;
    let open = || work.encoders.image_encoder(work.config, work.seed, work.device, work.kind());
    let Some(digest) = digest else {
        // It says which folder is missing.
        open().map_err(usage_of_settings)?;
        return Err(Usage::new("the encoder cannot be told apart from others"));
    };
    refuse_another(work, digest)?;
    let (stored, side) = (work.buffer.manifest().fill.frame_size, work.config.model.vision.image_size);
    if let Some(stored) = stored.filter(|&stored| stored != side) {
        return Err(Usage::new(format!(
            "model.vision.image_size is {side}, and frames are stored as squares of {stored}; expected the same"
        )));
    }
    let encoder = open().map_err(usage_of_settings)?;
    eprintln!("image encoder: {}", encoder.describe());
    let mut report =
        Report { embeddings: 0, made: 0, bytes: 0, encoder: digest.to_string(), unread_chunks: Vec::new() };
    let chunks = work.buffer.published_chunks()?;
    remove_stale(work, &chunks)?;
    let progress = Progress::new("embedding", chunks.len() as u64, "chunks");
    for (done, &id) in (1..).zip(&chunks) {
        match work.buffer.map(id) {
            Ok(chunk) => {
                let embedded = embed_chunk(work, id, &chunk, encoder.as_ref(), digest, &mut report);
                embedded.inspect_err(|_| progress.finish())?;
            }
            Err(error) => report.unread_chunks.push(format!("{:#}", anyhow::Error::from(error))),
        }
        progress.set(done, &format!("{} MB written", report.bytes / 1_000_000));
    }
    progress.finish();
    Ok(report)
}

fn embed_chunk(
    work: &Work<'_>,
    id: ChunkId,
    chunk: &Chunk<Mmap>,
    encoder: &dyn ImageEncoder,
    digest: EncoderDigest,
    report: &mut Report,
) -> anyhow::Result<()> {
    let chunk_header = chunk.header();
    let path = layout::image_embedding(work.buffer.dir(), id, chunk_header.generation);
    let frames = frames(work, chunk)?;
    let shown: Vec<Shown> = frames.iter().flatten().copied().collect();
    let header = EmbeddingHeader {
        content: Content::Images,
        element: work.element,
        width: encoder.width() as u32,
        records: chunk_header.frames + 1,
        encoder: digest,
        chunk: id.get(),
        chunk_crc: chunk_header.own_checksum(),
        generation: chunk_header.generation,
        texts_length: 0,
    };
    if EmbeddingFile::open(&path).is_ok_and(|file| *file.header() == header) {
        report.embeddings += shown.len() as u64;
        return Ok(());
    }
    let texts = vec![""; frames.len() + 1];
    let mut writer = EmbeddingWriter::create(&work.lock, Arc::new(Disk), path, header, &texts)?;
    // Embeddings of the frames that are shown, in their order, the background last.
    let mut encoded = Encoded::default();
    let mut next = frames.iter().map(Option::is_some).chain([true]);
    let mut bytes = 0;
    let mut store = |embeddings: &[u8], count: usize| -> anyhow::Result<()> {
        for embedding in embeddings.chunks_exact(embeddings.len() / count) {
            while next.next() == Some(false) {
                writer.add(&[])?;
            }
            writer.add(embedding)?;
            bytes += embedding.len() as u64;
        }
        Ok(())
    };
    decode_ahead(work, chunk, &shown, &mut |levels: &[u8], count| {
        if work.stop.load(Ordering::Relaxed) {
            return Err(stopped(report.made));
        }
        store(encoded.of(work, encoder, levels, count)?, count)
    })?;
    writer.publish()?;
    report.embeddings += shown.len() as u64;
    report.made += shown.len() as u64;
    report.bytes += bytes;
    Ok(())
}

/// The last batch as it is stored.
#[derive(Default)]
struct Encoded(Vec<u8>);

impl Encoded {
    fn of(
        &mut self,
        work: &Work<'_>,
        encoder: &dyn ImageEncoder,
        levels: &[u8],
        count: usize,
    ) -> anyhow::Result<&[u8]> {
        let resizer = DeviceResizer::new(work.config.model.vision.image_size.into(), work.device);
        let pixels = HostImages::Pixel(levels).to_device(count as i64, &resizer)?;
        self.0 = to_bytes(&encoder.encode(&pixels)?, work.element)?;
        Ok(&self.0)
    }
}

/// For each frame of a chunk, where it is shown to the network; none for cameras that are not.
fn frames(work: &Work<'_>, chunk: &Chunk<Mmap>) -> anyhow::Result<Vec<Option<Shown>>> {
    let Header { samples, frames, .. } = *chunk.header();
    let mut shown = vec![None; frames as usize];
    for slot in 0..samples {
        let sample = chunk.sample(slot)?;
        for camera in CameraSlot::ALL.into_iter().take(work.config.common.num_cameras.into()) {
            for history in 0..work.config.common.img_history_size {
                let frame = sample.frame(camera, history).filter(|frame| frame.valid);
                if let Some(place) = frame.and_then(|frame| shown.get_mut(frame.number() as usize)) {
                    *place = Some((slot, camera, history));
                }
            }
        }
    }
    Ok(shown)
}

/// Decodes and squares the frames of `shown`, and the background behind them, in batches, and
/// hands these to `take` in order.
fn decode_ahead(
    work: &Work<'_>,
    chunk: &Chunk<Mmap>,
    shown: &[Shown],
    take: &mut dyn FnMut(&[u8], usize) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let side = work.config.model.vision.image_size as usize;
    let batches: Vec<&[Shown]> = shown.chunks(BATCH).collect();
    let workers = available_parallelism().map_or(1, usize::from).min(batches.len().max(1));
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| -> anyhow::Result<()> {
        let (send, receive) = sync_channel(2 * workers);
        for _ in 0..workers {
            let (send, batches, next) = (send.clone(), &batches, &next);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(batch) = batches.get(number) else { break };
                    if send.send((number, decode(chunk, batch, side))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        let mut waiting = BTreeMap::new();
        for (number, batch) in batches.iter().enumerate() {
            while !waiting.contains_key(&number) {
                let (number, levels) = receive.recv()?;
                waiting.insert(number, levels);
            }
            if let Some(levels) = waiting.remove(&number) {
                take(&levels?, batch.len())?;
            }
        }
        Ok(())
    })?;
    take(&vec![BACKGROUND; 3 * side * side], 1)
}

fn decode(chunk: &Chunk<Mmap>, batch: &[Shown], side: usize) -> anyhow::Result<Vec<u8>> {
    let (mut decoder, mut preprocessor) = (FrameDecoder::new(), Preprocessor::new(side)?);
    let (mut levels, mut pixels) = (vec![0; batch.len() * 3 * side * side], Vec::new());
    for (&(slot, camera, history), image) in batch.iter().zip(levels.chunks_exact_mut(3 * side * side)) {
        let sample = chunk.sample(slot)?;
        if let Some(frame) = sample.frame(camera, history) {
            let (height, width) = decoder.decode(&frame, &mut pixels)?;
            preprocessor.square(Picture::new(height as usize, width as usize, &pixels)?, image);
        }
    }
    Ok(levels)
}

/// Removes the embeddings of chunks that are no longer there, or were filled again since.
fn remove_stale(work: &Work<'_>, chunks: &[ChunkId]) -> anyhow::Result<()> {
    let dir = work.buffer.dir();
    for (id, generation) in image_files(dir)? {
        let current = chunks.binary_search(&id).is_ok().then(|| work.buffer.map(id));
        let is_current = match current {
            Some(Ok(chunk)) => chunk.header().generation == generation,
            // What cannot be read now may be made whole again.
            Some(Err(_)) => true,
            None => false,
        };
        if !is_current {
            Disk.remove(&layout::image_embedding(dir, id, generation))?;
        }
    }
    Ok(())
}

fn refuse_another(work: &Work<'_>, digest: EncoderDigest) -> anyhow::Result<()> {
    // A damaged file is made again.
    let Ok(Some(stored)) = ImageEmbeddings::open(work.buffer.dir()) else { return Ok(()) };
    let header = stored.header();
    if (header.encoder, header.element) == (digest, work.element) {
        return Ok(());
    }
    let folder = layout::image_embeddings(work.buffer.dir());
    Err(Usage::new(format!(
        "{} holds embeddings of encoder {} in {}, and this one is {digest} in {}; give the same encoder (of \
         untrained ones the --seed too) and --mixed-precision, or remove the folder to make all anew",
        folder.display(),
        header.encoder,
        header.element.name(),
        work.element.name()
    )))
}
