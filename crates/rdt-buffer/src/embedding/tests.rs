//! Embedding files: what is written comes back, and everything else is an error.

use std::path::Path;
use std::sync::Arc;

use super::header::{field as f, record as r};
use super::*;
use crate::error::BufferError;
use crate::layout;
use crate::storage::Disk;

const ENCODER: EncoderDigest = EncoderDigest([7; 16]);

fn header() -> EmbeddingHeader {
    EmbeddingHeader {
        content: Content::Language,
        element: Element::Bf16,
        width: 3,
        records: 0,
        encoder: ENCODER,
        chunk: 0,
        chunk_crc: 0,
        generation: 0,
        texts_length: 0,
    }
}

/// The bytes of an embedding: as many tokens as the text has letters, at least one.
fn embedding(text: &str) -> Vec<u8> {
    let tokens = text.chars().count().max(1);
    (0..tokens * 6).map(|at| (at * 7 + text.len()) as u8).collect()
}

fn write(dir: &Path, header: EmbeddingHeader, texts: &[&str]) -> Result<(), BufferError> {
    let lock = EmbedderLock::acquire(dir, &Disk)?;
    let path = layout::language_embedding(dir, header.chunk);
    let mut writer = EmbeddingWriter::create(&lock, Arc::new(Disk), path, header, texts)?;
    texts.iter().try_for_each(|text| writer.add(&embedding(text)))?;
    writer.publish()
}

#[test]
fn what_is_written_comes_back() -> Result<(), BufferError> {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path();
    assert!(LanguageEmbeddings::open(dir)?.is_none());
    write(dir, header(), &["", "Öffne.", "Open."])?;
    let mut embeddings = LanguageEmbeddings::open(dir)?.expect("embeddings");
    assert_eq!((embeddings.len(), embeddings.header().encoder), (3, ENCODER));
    let mut bytes = vec![1, 2, 3];
    for text in ["Open.", "", "Öffne."] {
        assert_eq!(embeddings.read(text, &mut bytes)? as usize, embedding(text).len() / 6);
        assert_eq!(bytes, embedding(text));
    }
    let missing = embeddings.read("Close.", &mut bytes).expect_err("not there").to_string();
    assert!(missing.contains("\"Close.\"") && missing.contains("rdt-consume embed"), "{missing}");
    // What is added later is found by a reader that is at work.
    write(dir, EmbeddingHeader { chunk: embeddings.next_file(), ..header() }, &["Close."])?;
    embeddings.read("Close.", &mut bytes)?;
    assert_eq!(bytes, embedding("Close."));
    // A file that is removed for being damaged takes its instructions with it, and no others.
    std::fs::remove_file(layout::language_embedding(dir, 0)).expect("removed");
    let embeddings = LanguageEmbeddings::open(dir)?.expect("embeddings");
    assert_eq!((embeddings.len(), embeddings.next_file()), (1, 2));
    Ok(())
}

#[test]
fn files_of_another_encoder_are_refused() -> Result<(), BufferError> {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), header(), &["a"])?;
    let others = [
        EmbeddingHeader { encoder: EncoderDigest([8; 16]), ..header() },
        EmbeddingHeader { element: Element::F32, width: 3, ..header() },
        EmbeddingHeader { width: 1, ..header() },
    ];
    for other in others {
        write(folder.path(), EmbeddingHeader { chunk: 1, ..other }, &["bb"])?;
        let error = LanguageEmbeddings::open(folder.path()).expect_err("of another encoder").to_string();
        assert!(error.contains("as the first file"), "{error}");
    }
    Ok(())
}

#[test]
fn every_flipped_bit_and_every_truncation_is_found() -> Result<(), BufferError> {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), header(), &["", "ab", "c"])?;
    let path = layout::language_embedding(folder.path(), 0);
    let whole = std::fs::read(&path).expect("the file");
    let verdict = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("written");
        EmbeddingFile::open(&path).and_then(|file| file.verify())
    };
    verdict(&whole)?;
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(verdict(&bytes).is_err(), "bit {bit}");
    }
    for length in 0..whole.len() {
        assert!(verdict(&whole[..length]).is_err(), "{length} bytes");
    }
    assert!(verdict(&[&whole[..], &[0]].concat()).is_err());
    Ok(())
}

#[test]
fn an_unfinished_file_is_not_visible_and_is_cleaned_away() -> Result<(), BufferError> {
    let folder = tempfile::tempdir().expect("a folder");
    let (dir, path) = (folder.path(), layout::language_embedding(folder.path(), 0));
    let left = layout::embeddings_tmp(dir).join("00000000.emb");
    let lock = EmbedderLock::acquire(dir, &Disk)?;
    let create = || EmbeddingWriter::create(&lock, Arc::new(Disk), path.clone(), header(), &["a", "b"]);
    let mut writer = create()?;
    writer.add(&[0; 6])?;
    assert!(writer.add(&[0; 5]).is_err(), "no whole token");
    assert!(writer.publish().is_err(), "one is missing");
    assert!(!path.exists() && !left.exists());
    // As a killed process leaves it.
    std::mem::forget(create()?);
    assert!(left.exists() && !path.exists());
    drop(lock);
    let lock = EmbedderLock::acquire(dir, &Disk)?;
    assert!(!left.exists());
    let error = EmbedderLock::acquire(dir, &Disk).expect_err("a second writer").to_string();
    assert!(error.contains(&std::process::id().to_string()), "{error}");
    drop(lock);
    EmbedderLock::acquire(dir, &Disk).map(drop)
}

/// The rows of the first table under `heading` of `docs/format.md`.
fn table(heading: &str) -> Vec<Vec<String>> {
    let document = include_str!("../../../../docs/format.md");
    let mut lines = document.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "docs/format.md has no line {heading:?}");
    let rows = lines.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| {
        let inner = line.trim_matches('|');
        inner.split('|').map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>()
    };
    rows.skip(2).map(cells).collect()
}

fn check_fields(heading: &str, length: usize, expected: &[(usize, &str)]) {
    let rows = table(heading);
    let number = |text: &str| text.parse::<usize>().expect("a number");
    let found: Vec<(usize, &str)> = rows.iter().map(|row| (number(&row[0]), row[2].as_str())).collect();
    assert_eq!(found, expected, "{heading}");
    let ends = rows.iter().map(|row| number(&row[0]) + number(&row[1]));
    let starts = rows.iter().skip(1).map(|row| number(&row[0])).chain([length]);
    assert!(ends.eq(starts), "{heading}: fields lie back to back");
}

#[test]
fn the_format_is_as_documented() {
    check_fields(
        "### Embedding header",
        HEADER_LENGTH,
        &[
            (f::MAGIC, "magic"),
            (f::FORMAT_VERSION, "format_version"),
            (f::CONTENT, "content"),
            (f::ELEMENT, "element"),
            (f::RESERVED, "reserved"),
            (f::FILE_LENGTH, "file_length"),
            (f::WIDTH, "width"),
            (f::RECORDS, "records"),
            (f::ENCODER, "encoder"),
            (f::CHUNK, "chunk"),
            (f::CHUNK_CRC, "chunk_crc"),
            (f::GENERATION, "generation"),
            (f::TEXTS_LENGTH, "texts_length"),
            (f::TABLE_CRC, "table_crc"),
            (f::TEXTS_CRC, "texts_crc"),
            (f::HEADER_CRC, "header_crc"),
        ],
    );
    check_fields(
        "### Embedding record",
        RECORD_LENGTH,
        &[
            (r::OFFSET, "offset"),
            (r::TOKENS, "tokens"),
            (r::CRC, "crc"),
            (r::TEXT_START, "text_start"),
            (r::TEXT_LENGTH, "text_length"),
        ],
    );
    let limits: Vec<(String, u64)> = table("### Embedding limits")
        .iter()
        .map(|row| (row[0].clone(), row[1].parse().expect("a number")))
        .collect();
    let expected = [
        ("EMBEDDING_FORMAT_VERSION", u64::from(FORMAT_VERSION)),
        ("EMBEDDING_HEADER_LENGTH", HEADER_LENGTH as u64),
        ("EMBEDDING_RECORD_LENGTH", RECORD_LENGTH as u64),
        ("MAX_RECORDS", u64::from(MAX_RECORDS)),
        ("MAX_TEXTS_BYTES", u64::from(MAX_TEXTS_BYTES)),
    ];
    assert_eq!(limits, expected.map(|(name, value)| (name.to_owned(), value)));
    let magic = MAGIC.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ");
    assert!(table("### Embedding header")[0][4].contains(&magic), "{magic}");
    let codes = |heading| -> Vec<(String, String)> {
        table(heading).into_iter().map(|row| (row[0].clone(), row[1].clone())).collect()
    };
    let contents = [Content::Language, Content::Images];
    let names = contents.map(|c| ((c as u8).to_string(), format!("{c:?}").to_lowercase()));
    assert_eq!(codes("### Embedding contents"), names);
    let elements = [Element::F32, Element::Bf16].map(|e| ((e as u8).to_string(), e.name().to_owned()));
    assert_eq!(codes("### Embedding elements"), elements);
}
