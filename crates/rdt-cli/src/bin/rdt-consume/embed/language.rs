//! Instructions: one embedding for each distinct wording of all episodes, and one for the empty
//! instruction, which stands for masked ones.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rdt_buffer::embedding::{
    Content, EmbeddingHeader, EmbeddingWriter, HEADER_LENGTH, LanguageEmbeddings, RECORD_LENGTH,
};
use rdt_buffer::storage::Disk;
use rdt_buffer::{Instructions, layout};
use rdt_cli::exit::Usage;
use rdt_cli::progress::Progress;
use rdt_model::encoder::instruction_embeddings::embed as embed_one;
use rdt_model::encoder::stored::to_bytes;

use super::{Report, Work, stopped};
use crate::train::usage_of_settings;

/// Instructions a file: what a kill loses at most.
const FILE_INSTRUCTIONS: usize = 64;

pub(super) fn embed(work: &Work<'_>) -> anyhow::Result<Report> {
    let dir = work.buffer.dir();
    let digest = work.encoders.language_digest(work.config, work.seed).map_err(usage_of_settings)?;
    let stored = LanguageEmbeddings::open(dir)?;
    let Instructions { texts: wanted, unread: unread_chunks } = Instructions::of(work.buffer)?;
    let missing: Vec<&String> = match &stored {
        Some(stored) => wanted.iter().filter(|text| !stored.contains(text)).collect(),
        None => wanted.iter().collect(),
    };
    // It says which folder is missing.
    let open = || work.encoders.language_encoder(work.config, work.seed, work.device, work.kind());
    let Some(digest) = digest else {
        open().map_err(usage_of_settings)?;
        return Err(Usage::new("the encoder cannot be told apart from others"));
    };
    if let Some(stored) = &stored {
        work.refuse_another(layout::language_embeddings(dir), stored.header(), digest)?;
    }
    let mut report = Report {
        embeddings: stored.as_ref().map_or(0, |stored| stored.len() as u64),
        made: 0,
        bytes: 0,
        encoder: digest.to_string(),
        unread_chunks,
        unread_frames: Vec::new(),
    };
    if missing.is_empty() {
        return Ok(report);
    }
    let encoder = open().map_err(usage_of_settings)?;
    eprintln!("language encoder: {}", encoder.describe());
    let progress = Progress::new("embedding", missing.len() as u64, "instructions");
    let first = stored.as_ref().map_or(0, LanguageEmbeddings::next_file);
    for (number, texts) in (first..).zip(missing.chunks(FILE_INSTRUCTIONS)) {
        let texts: Vec<&str> = texts.iter().map(|text| text.as_str()).collect();
        let header = EmbeddingHeader {
            content: Content::Language,
            element: work.element,
            width: encoder.width() as u32,
            records: 0,
            encoder: digest,
            chunk: number,
            chunk_crc: 0,
            generation: 0,
            texts_length: 0,
        };
        let path = layout::language_embedding(dir, number);
        let mut writer = EmbeddingWriter::create(&work.lock, Arc::new(Disk), path, header, &texts)?;
        let mut bytes = (HEADER_LENGTH + texts.len() * RECORD_LENGTH) as u64;
        for text in &texts {
            if work.stop.load(Ordering::Relaxed) {
                progress.finish();
                return Err(stopped(report.made));
            }
            let embedding = embed_one(encoder.as_ref(), text).map_err(usage_of_settings)?;
            let embedding = to_bytes(&embedding.tokens, work.element)?;
            writer.add(&embedding)?;
            bytes += (text.len() + embedding.len()) as u64;
        }
        writer.publish()?;
        report.made += texts.len() as u64;
        report.embeddings += texts.len() as u64;
        report.bytes += bytes;
        progress.set(report.made, "");
    }
    progress.finish();
    Ok(report)
}
