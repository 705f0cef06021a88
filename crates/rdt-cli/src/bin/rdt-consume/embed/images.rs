//! Frames: one embedding for each frame that training can look at, and one for the background
//! that stands for absent and masked images, in a file a chunk.
//!
//! Pixels go the way they go in training: decoded, squared by the same preprocessor, normalised by the
//! same code. A frame that cannot be decoded is recorded as such, and named.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context;
use memmap2::Mmap;
use rdt_buffer::embedding::{
    Content, EmbeddingFile, EmbeddingHeader, EmbeddingWriter, EncoderDigest, ImageEmbeddings, Shown,
    background, image_files, shown,
};
use rdt_buffer::storage::{Disk, Storage};
use rdt_buffer::{ChunkId, layout};
use rdt_chunk::Chunk;
use rdt_cli::exit::Usage;
use rdt_cli::progress::Progress;
use rdt_model::device::resize::DeviceResizer;
use rdt_model::encoder::image::ImageEncoder;
use rdt_model::encoder::stored::to_bytes;
use rdt_model::images::HostImages;

use super::decode::{BATCH, Decoded, decode, decode_ahead};
use super::{Report, Work, stopped};
use crate::train::usage_of_settings;

/// Frames that cannot be decoded, and why.
type Unread = Vec<(u32, String)>;

pub(super) fn embed(work: &Work<'_>) -> anyhow::Result<Report> {
    let digest = work.encoders.image_digest(work.config, work.seed).map_err(usage_of_settings)?;
    let open = || work.encoders.image_encoder(work.config, work.seed, work.device, work.kind());
    let Some(digest) = digest else {
        // It says which folder is missing.
        open().map_err(usage_of_settings)?;
        return Err(Usage::new("the encoder cannot be told apart from others"));
    };
    // A damaged file is made again.
    if let Ok(Some(stored)) = ImageEmbeddings::open(work.buffer.dir()) {
        let folder = layout::image_embeddings(work.buffer.dir());
        work.refuse_another(folder, stored.header(), digest)?;
    }
    let (stored, side) = (work.buffer.manifest().fill.frame_size, work.config.model.vision.image_size);
    if let Some(stored) = stored.filter(|&stored| stored != side) {
        return Err(Usage::new(format!(
            "model.vision.image_size is {side}, and frames are stored as squares of {stored}; expected the same"
        )));
    }
    let encoder = open().map_err(usage_of_settings)?;
    eprintln!("image encoder: {}", encoder.describe());
    let mut report = Report {
        embeddings: 0,
        made: 0,
        bytes: 0,
        encoder: digest.to_string(),
        unread_chunks: Vec::new(),
        unread_frames: Vec::new(),
    };
    let chunks = work.buffer.published_chunks()?;
    remove_stale(work, &chunks)?;
    let progress = Progress::new("embedding", chunks.len() as u64, "chunks");
    for (done, &id) in (1..).zip(&chunks) {
        match readable(work, id) {
            Ok((chunk, shown)) => {
                let embedded = embed_chunk(work, (id, &chunk, &shown), encoder.as_ref(), digest, &mut report);
                embedded.inspect_err(|_| progress.finish())?;
            }
            Err(error) => report.unread_chunks.push(format!("{error:#}")),
        }
        progress.set(done, &format!("{} MB written", report.bytes / 1_000_000));
    }
    progress.finish();
    Ok(report)
}

/// A chunk, and which frames of it are shown.
fn readable(work: &Work<'_>, id: ChunkId) -> anyhow::Result<(Chunk<Mmap>, Vec<Shown>)> {
    let chunk = work.buffer.map(id)?;
    let shown = shown(work.config, &chunk).with_context(|| format!("chunk {id} is not usable"))?;
    Ok((chunk, shown))
}

fn embed_chunk(
    work: &Work<'_>,
    (id, chunk, shown): (ChunkId, &Chunk<Mmap>, &[Shown]),
    encoder: &dyn ImageEncoder,
    digest: EncoderDigest,
    report: &mut Report,
) -> anyhow::Result<()> {
    let chunk_header = chunk.header();
    let path = layout::image_embedding(work.buffer.dir(), id, chunk_header.generation);
    let header = EmbeddingHeader {
        content: Content::Images,
        element: work.element,
        width: encoder.width() as u32,
        records: background(chunk_header) + 1,
        encoder: digest,
        chunk: id.get(),
        chunk_crc: chunk_header.own_checksum(),
        generation: chunk_header.generation,
        texts_length: 0,
    };
    let stored = EmbeddingFile::open(&path).ok().filter(|file| *file.header() == header);
    if let Some(unread) = stored.and_then(|file| finished(work, chunk, shown, &file)) {
        report.add(id, shown, unread);
        return Ok(());
    }
    let texts = vec![""; header.records as usize];
    let mut writer = EmbeddingWriter::create(&work.lock, Arc::new(Disk), path, header, &texts)?;
    let (mut encoded, mut unread) = (Vec::new(), Vec::new());
    let (mut next, mut bytes) = (0, 0);
    decode_ahead(work, chunk, shown, &mut |batch: Decoded| {
        if work.stop.load(Ordering::Relaxed) {
            return Err(stopped(report.made));
        }
        let readable = batch.readable();
        if readable > 0 {
            encoded = encode(work, encoder, &batch.levels, readable)?;
        }
        let mut embeddings = encoded.chunks_exact((encoded.len() / readable.max(1)).max(1));
        for (frame, reason) in batch.frames {
            while next < frame {
                writer.add(&[])?;
                next += 1;
            }
            next += 1;
            if let Some(reason) = reason {
                writer.add_unreadable()?;
                unread.push((frame, reason));
            } else {
                let embedding = embeddings.next().unwrap_or_default();
                writer.add(embedding)?;
                bytes += embedding.len() as u64;
            }
        }
        Ok(())
    })?;
    writer.publish()?;
    report.made += (shown.len() - unread.len()) as u64;
    report.bytes += bytes;
    report.add(id, shown, unread);
    Ok(())
}

impl Report {
    /// Counts a chunk's embeddings and names its frames without.
    fn add(&mut self, id: ChunkId, shown: &[Shown], unread: Unread) {
        self.embeddings += (shown.len() - unread.len()) as u64;
        let line = |(frame, reason)| format!("chunk {id}, frame {frame} cannot be decoded: {reason}");
        self.unread_frames.extend(unread.into_iter().map(line));
    }
}

/// Whether a stored file has all that is shown, and if so, what could not be decoded. A frame that
/// could not be decoded when the file was made and can be now was put right: the file is made anew.
fn finished(work: &Work<'_>, chunk: &Chunk<Mmap>, shown: &[Shown], file: &EmbeddingFile) -> Option<Unread> {
    shown.iter().try_for_each(|shown| file.check_frame(shown.frame)).ok()?;
    let lacking: Vec<Shown> = shown.iter().filter(|shown| file.is_unreadable(shown.frame)).copied().collect();
    let mut unread = Vec::new();
    for batch in lacking.chunks(BATCH) {
        for (frame, reason) in decode(chunk, batch, work.config.model.vision.image_size as usize).ok()?.frames
        {
            unread.push((frame, reason?));
        }
    }
    Some(unread)
}

/// Embeddings of `count` images as they are stored, one after the other.
fn encode(
    work: &Work<'_>,
    encoder: &dyn ImageEncoder,
    levels: &[u8],
    count: usize,
) -> anyhow::Result<Vec<u8>> {
    let resizer = DeviceResizer::new(work.config.model.vision.image_size.into(), work.device);
    let pixels = HostImages::Pixel(levels).to_device(count as i64, &resizer)?;
    Ok(to_bytes(&encoder.encode(&pixels)?, work.element)?)
}

/// Removes the embeddings of chunks that are no longer there, or were filled again since and of which no
/// sample is out any more.
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
        // Consumers read what they have of a replaced generation as long as its chunk is kept for them.
        let is_out = || layout::retired(dir, id, generation).try_exists().unwrap_or(true);
        if !is_current && !is_out() {
            Disk.remove(&layout::image_embedding(dir, id, generation))?;
        }
    }
    Ok(())
}
