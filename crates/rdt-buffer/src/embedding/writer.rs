//! Writing an embedding file: embeddings stream out, tables and header follow in front, one
//! rename makes it visible.

use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::embedding::EmbedderLock;
use crate::embedding::header::{
    EmbeddingHeader, HEADER_LENGTH, MAX_RECORDS, MAX_TEXTS_BYTES, RECORD_LENGTH, Record, UNREADABLE,
};
use crate::error::BufferError;
use crate::layout;
use crate::storage::{Storage, StorageFile, parent};

/// Bytes gathered before they are written.
const WRITE_BYTES: usize = 1 << 20;

/// An embedding file in work. Dropped before it is published, it leaves nothing.
#[derive(Debug)]
pub struct EmbeddingWriter {
    storage: Arc<dyn Storage>,
    temporary: PathBuf,
    path: PathBuf,
    file: BufWriter<Box<dyn StorageFile>>,
    header: EmbeddingHeader,
    texts: String,
    records: Vec<Record>,
    added: usize,
    end: u64,
    published: bool,
}

impl EmbeddingWriter {
    /// Begins the file at `path`, for embeddings of `texts` (of images: as many empty texts as
    /// records). `header.records` and `header.texts_length` follow from the texts.
    ///
    /// # Errors
    /// Too many records or too long texts, or the file cannot be created.
    pub fn create(
        lock: &EmbedderLock,
        storage: Arc<dyn Storage>,
        path: PathBuf,
        header: EmbeddingHeader,
        texts: &[&str],
    ) -> Result<Self, BufferError> {
        let refused = |what: &'static str, found: usize, most: u32| BufferError::TooManyEmbeddings {
            path: path.clone(),
            what,
            found: found as u64,
            most: u64::from(most),
        };
        let joined: String = texts.concat();
        if texts.is_empty() || texts.len() > MAX_RECORDS as usize {
            return Err(refused("records", texts.len(), MAX_RECORDS));
        }
        if joined.len() > MAX_TEXTS_BYTES as usize {
            return Err(refused("bytes of texts", joined.len(), MAX_TEXTS_BYTES));
        }
        let header =
            EmbeddingHeader { records: texts.len() as u32, texts_length: joined.len() as u32, ..header };
        let mut start = 0;
        let records = texts
            .iter()
            .map(|text| {
                let record =
                    Record { text_start: start, text_length: text.len() as u32, ..Record::default() };
                start += record.text_length;
                record
            })
            .collect();
        let folder = layout::embeddings_tmp(lock.dir());
        for folder in [folder.as_path(), &parent(&path)] {
            storage.create_folder(folder).map_err(|e| BufferError::io("create", folder, e))?;
        }
        let name = path.file_name().unwrap_or_default();
        let temporary = folder.join(name);
        let file = storage.create(&temporary).map_err(|e| BufferError::io("create", &temporary, e))?;
        let mut writer = Self {
            storage,
            temporary,
            path,
            file: BufWriter::with_capacity(WRITE_BYTES, file),
            header,
            texts: joined,
            records,
            added: 0,
            end: header.data_start(),
            published: false,
        };
        // Zeros, until everything is known: an unfinished file is no embedding file.
        let room = HEADER_LENGTH + writer.records.len() * RECORD_LENGTH;
        let texts = std::mem::take(&mut writer.texts);
        writer.write(&vec![0; room])?;
        writer.write(texts.as_bytes())?;
        writer.texts = texts;
        Ok(writer)
    }

    /// Adds the embedding of the next text: whole tokens, or nothing where it has none.
    ///
    /// # Errors
    /// The bytes are no whole tokens, there are no more texts, or the file cannot be written.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), BufferError> {
        self.add_record(bytes, crc32c::crc32c(bytes))
    }

    /// Records that the next frame cannot be decoded and so has no embedding.
    ///
    /// # Errors
    /// There are no more records.
    pub fn add_unreadable(&mut self) -> Result<(), BufferError> {
        self.add_record(&[], UNREADABLE)
    }

    fn add_record(&mut self, bytes: &[u8], crc: u32) -> Result<(), BufferError> {
        let token = self.header.token_bytes();
        let end = self.end;
        let wrong = |found: String, expected: String| BufferError::DamagedEmbedding {
            path: self.path.clone(),
            found,
            expected,
        };
        if !bytes.len().is_multiple_of(token) {
            return Err(wrong(format!("{} bytes", bytes.len()), format!("whole tokens of {token}")));
        }
        let texts = self.records.len();
        let Some(place) = self.records.get_mut(self.added) else {
            return Err(wrong("one embedding more".into(), format!("those of {texts} texts")));
        };
        place.offset = end;
        place.tokens = (bytes.len() / token) as u32;
        place.crc = crc;
        self.added += 1;
        self.write(bytes)?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// Writes tables and header, syncs the file and puts it in place; durable when this returns.
    ///
    /// # Errors
    /// Embeddings are missing, or it cannot be written, synced or renamed; then nothing is visible.
    pub fn publish(mut self) -> Result<(), BufferError> {
        if self.added < self.records.len() {
            return Err(BufferError::DamagedEmbedding {
                path: self.path.clone(),
                found: format!("{} embeddings", self.added),
                expected: format!("those of {} texts", self.records.len()),
            });
        }
        let table: Vec<u8> = self.records.iter().flat_map(|record| record.to_bytes()).collect();
        let header =
            self.header.to_bytes(self.end, crc32c::crc32c(&table), crc32c::crc32c(self.texts.as_bytes()));
        let seek = self.file.seek(SeekFrom::Start(0));
        seek.map_err(|e| BufferError::io("write", &self.temporary, e))?;
        self.write(&header)?;
        self.write(&table)?;
        let io = |action, at: &Path| {
            let at = at.to_owned();
            move |e| BufferError::io(action, at, e)
        };
        self.file.flush().map_err(io("write", &self.temporary))?;
        self.file.get_mut().sync().map_err(io("sync", &self.temporary))?;
        let renamed = self.storage.rename(&self.temporary, &self.path);
        renamed.map_err(io("rename a temporary file to", &self.path))?;
        self.published = true;
        let folder = parent(&self.path);
        self.storage.sync_folder(&folder).map_err(io("sync", &folder))
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BufferError> {
        self.file.write_all(bytes).map_err(|e| BufferError::io("write", &self.temporary, e))
    }
}

impl Drop for EmbeddingWriter {
    fn drop(&mut self) {
        if !self.published {
            // A file that cannot be removed here is removed by the next start.
            let _ = self.storage.remove(&self.temporary);
        }
    }
}
