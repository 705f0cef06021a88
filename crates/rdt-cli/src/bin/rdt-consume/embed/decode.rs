//! The frames of a chunk as the encoder takes them. Threads decode ahead of it, a bounded number of
//! batches.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::available_parallelism;

use anyhow::Context;
use memmap2::Mmap;
use rdt_buffer::embedding::Shown;
use rdt_buffer::embedding::background;
use rdt_chunk::{Chunk, FrameDecoder};
use rdt_image::{BACKGROUND, Picture, Preprocessor};

use super::Work;

/// Images that are encoded at once.
pub(super) const BATCH: usize = 16;

/// A batch of frames.
pub(super) struct Decoded {
    /// Squared images of those that can be decoded, one after the other, as the loader delivers them.
    pub(super) levels: Vec<u8>,
    /// All of them by number, in order; with the reason where one cannot be decoded.
    pub(super) frames: Vec<(u32, Option<String>)>,
}

impl Decoded {
    /// How many can be decoded.
    pub(super) fn readable(&self) -> usize {
        self.frames.iter().filter(|(_, reason)| reason.is_none()).count()
    }
}

/// Decodes and squares the frames of `shown`, and the background behind them, in batches, and
/// hands these to `take` in order.
pub(super) fn decode_ahead(
    work: &Work<'_>,
    chunk: &Chunk<Mmap>,
    shown: &[Shown],
    take: &mut dyn FnMut(Decoded) -> anyhow::Result<()>,
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
        for number in 0..batches.len() {
            while !waiting.contains_key(&number) {
                let (number, decoded) = receive.recv()?;
                waiting.insert(number, decoded);
            }
            if let Some(decoded) = waiting.remove(&number) {
                take(decoded?)?;
            }
        }
        Ok(())
    })?;
    let frames = vec![(background(chunk.header()), None)];
    take(Decoded { levels: vec![BACKGROUND; 3 * side * side], frames })
}

/// Decodes the frames of a batch.
///
/// # Errors
/// There are no images of `side`.
pub(super) fn decode(chunk: &Chunk<Mmap>, batch: &[Shown], side: usize) -> anyhow::Result<Decoded> {
    let (mut decoder, mut preprocessor) = (FrameDecoder::new(), Preprocessor::new(side)?);
    let (mut pixels, image) = (Vec::new(), 3 * side * side);
    let mut decoded = Decoded { levels: vec![0; batch.len() * image], frames: Vec::new() };
    let mut end = 0;
    for shown in batch {
        let mut square = || -> anyhow::Result<()> {
            let frame = shown.find(chunk)?.context("it is not there")?;
            let (height, width) = decoder.decode(&frame, &mut pixels)?;
            let picture = Picture::new(height as usize, width as usize, &pixels)?;
            preprocessor.square(picture, &mut decoded.levels[end..end + image]);
            Ok(())
        };
        let reason = square().err().map(|error| format!("{error:#}"));
        if reason.is_none() {
            end += image;
        }
        decoded.frames.push((shown.frame, reason));
    }
    decoded.levels.truncate(end);
    Ok(decoded)
}
