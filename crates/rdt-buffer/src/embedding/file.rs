//! Reading an embedding file: header and tables once, each embedding when it is asked for.
//!
//! Nothing is mapped: an embedding is copied to where it is used, by one read.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::embedding::header::{Content, EmbeddingHeader, HEADER_LENGTH, RECORD_LENGTH, Record, UNREADABLE};
use crate::error::BufferError;

/// An open embedding file, read by any number of threads.
#[derive(Debug)]
pub struct EmbeddingFile {
    path: PathBuf,
    file: File,
    header: EmbeddingHeader,
    records: Vec<Record>,
    texts: String,
}

impl EmbeddingFile {
    /// Opens the file at `path` and checks its header and tables.
    ///
    /// # Errors
    /// It cannot be read, is damaged, or of another version.
    pub fn open(path: &Path) -> Result<Self, BufferError> {
        let io = |action| move |e| BufferError::io(action, path, e);
        let damaged = |(found, expected): (String, String)| BufferError::DamagedEmbedding {
            path: path.to_owned(),
            found,
            expected,
        };
        let mut file = File::open(path).map_err(io("open"))?;
        let length = file.metadata().map_err(io("look at"))?.len();
        let mut bytes = [0; HEADER_LENGTH];
        if length < HEADER_LENGTH as u64 {
            return Err(damaged((format!("{length} bytes"), format!("at least {HEADER_LENGTH}"))));
        }
        file.read_exact(&mut bytes).map_err(io("read"))?;
        let (header, table_crc, texts_crc) = EmbeddingHeader::parse(&bytes, length).map_err(damaged)?;
        // The parsed header does not ask for more than the file has.
        let mut table = vec![0; header.records as usize * RECORD_LENGTH];
        file.read_exact(&mut table).map_err(io("read"))?;
        let mut texts = vec![0; header.texts_length as usize];
        file.read_exact(&mut texts).map_err(io("read"))?;
        for (what, bytes, crc) in [("table", &table, table_crc), ("texts", &texts, texts_crc)] {
            let computed = crc32c::crc32c(bytes);
            if computed != crc {
                return Err(damaged((format!("{what} crc {computed:#010x}"), format!("{crc:#010x}"))));
            }
        }
        let records: Vec<Record> = table.chunks_exact(RECORD_LENGTH).map(Record::parse).collect();
        let texts = String::from_utf8(texts)
            .map_err(|error| damaged((error.to_string(), "texts in UTF-8".into())))?;
        check(&header, &records, &texts, length).map_err(damaged)?;
        Ok(Self { path: path.to_owned(), file, header, records, texts })
    }

    /// What it says about itself.
    pub fn header(&self) -> &EmbeddingHeader {
        &self.header
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tokens of an embedding; 0 where there is none.
    pub fn tokens(&self, record: u32) -> u32 {
        self.records.get(record as usize).map_or(0, |record| record.tokens)
    }

    /// Whether it is recorded of a frame that it could not be decoded.
    pub fn is_unreadable(&self, frame: u32) -> bool {
        let record = self.records.get(frame as usize);
        record.is_some_and(|record| record.tokens == 0 && record.crc == UNREADABLE)
    }

    /// Whether a frame was embedded or, being unreadable, could not be.
    ///
    /// # Errors
    /// It was passed over: the error says what to do.
    pub fn check_frame(&self, frame: u32) -> Result<(), BufferError> {
        if self.tokens(frame) > 0 || self.is_unreadable(frame) {
            return Ok(());
        }
        Err(BufferError::FrameNotEmbedded { path: self.path.clone(), frame })
    }

    /// The texts of the records, in their order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.records.iter().map(|record| text(&self.texts, record).unwrap_or_default())
    }

    /// Copies an embedding to `out`, its tokens one after the other, and compares its checksum.
    ///
    /// # Errors
    /// There is none of this number, `out` has another length, it cannot be read, or it is damaged.
    pub fn read(&self, record: u32, out: &mut [u8]) -> Result<(), BufferError> {
        let wrong = |found: String, expected: String| BufferError::DamagedEmbedding {
            path: self.path.clone(),
            found,
            expected,
        };
        let found = self.records.get(record as usize).filter(|record| record.tokens > 0);
        let Some(place) = found else {
            let records = self.records.len();
            if self.header.content == Content::Images && (record as usize) < records {
                self.check_frame(record)?;
                return Err(BufferError::UnreadableFrame { path: self.path.clone(), frame: record });
            }
            return Err(wrong(format!("no embedding {record}"), format!("one of {records} records")));
        };
        let bytes = place.tokens as usize * self.header.token_bytes();
        if bytes != out.len() {
            let expected = format!("{}", out.len());
            return Err(wrong(format!("embedding {record} has {bytes} bytes"), expected));
        }
        self.file.read_exact_at(out, place.offset).map_err(|e| BufferError::io("read", &self.path, e))?;
        let computed = crc32c::crc32c(out);
        if computed != place.crc {
            let (found, expected) = (format!("{computed:#010x}"), format!("{:#010x}", place.crc));
            return Err(wrong(format!("embedding {record} has the crc {found}"), expected));
        }
        Ok(())
    }

    /// Reads every embedding and compares its checksum.
    ///
    /// # Errors
    /// The first that cannot be read or is damaged.
    pub fn verify(&self) -> Result<(), BufferError> {
        let mut bytes = Vec::new();
        for record in 0..self.header.records {
            let tokens = self.tokens(record);
            if tokens > 0 {
                bytes.resize(tokens as usize * self.header.token_bytes(), 0);
                self.read(record, &mut bytes)?;
            }
        }
        Ok(())
    }
}

fn text<'t>(texts: &'t str, record: &Record) -> Option<&'t str> {
    let start = record.text_start as usize;
    texts.get(start..start.checked_add(record.text_length as usize)?)
}

/// Embeddings and texts must lie back to back and fill their sections.
fn check(
    header: &EmbeddingHeader,
    records: &[Record],
    texts: &str,
    length: u64,
) -> Result<(), (String, String)> {
    let (mut next, mut next_text) = (header.data_start(), 0u64);
    for (number, record) in records.iter().enumerate() {
        if record.offset != next || u64::from(record.text_start) != next_text {
            let found = format!("record {number} at {} and {}", record.offset, record.text_start);
            return Err((found, format!("{next} and {next_text}")));
        }
        next_text += u64::from(record.text_length);
        if next_text > texts.len() as u64 || text(texts, record).is_none() {
            return Err((
                format!("record {number} with a broken text"),
                "whole letters inside the texts".into(),
            ));
        }
        let bytes = u128::from(record.tokens) * header.token_bytes() as u128;
        next =
            u64::try_from(u128::from(next) + bytes).ok().filter(|&end| end <= length).ok_or_else(|| {
                (
                    format!("record {number} with {} tokens", record.tokens),
                    "an embedding inside the file".to_owned(),
                )
            })?;
    }
    if next != length || next_text != texts.len() as u64 {
        return Err((format!("embeddings up to byte {next}"), format!("{length}, the end of the file")));
    }
    Ok(())
}
