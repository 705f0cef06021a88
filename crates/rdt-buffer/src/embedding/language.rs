//! The embeddings of a buffer's instructions: found by their text, read when they are used.
//!
//! Memory is that of the instructions' texts. The files may become more while a reader is at work:
//! it looks again before it says that an instruction has no embedding.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::embedding::EmbeddingFile;
use crate::embedding::header::{Content, EmbeddingHeader};
use crate::error::BufferError;
use crate::layout;
use crate::storage::file_names;

/// The embeddings of instructions of one buffer.
#[derive(Debug)]
pub struct LanguageEmbeddings {
    dir: PathBuf,
    /// Of the first file: the others agree in encoder, width and element.
    header: EmbeddingHeader,
    /// By text: file and record. The id of an instruction.
    places: HashMap<Box<str>, (u32, u32)>,
    files: BTreeSet<u32>,
}

/// Numbers of the published files, in order.
///
/// # Errors
/// The folder cannot be listed.
pub fn segments(dir: &Path) -> Result<Vec<u32>, BufferError> {
    let folder = layout::language_embeddings(dir);
    let names = file_names(&folder).map_err(|e| BufferError::io("list", folder, e))?;
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| layout::parse_embedding(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

impl LanguageEmbeddings {
    /// Opens those of the buffer at `dir`; none where nothing was embedded yet.
    ///
    /// # Errors
    /// A file is damaged, or of another encoder, width or element than the first.
    pub fn open(dir: &Path) -> Result<Option<Self>, BufferError> {
        let Some(&first) = segments(dir)?.first() else { return Ok(None) };
        let header = *EmbeddingFile::open(&layout::language_embedding(dir, first))?.header();
        let (places, files) = (HashMap::new(), BTreeSet::new());
        let mut embeddings = Self { dir: dir.to_owned(), header, places, files };
        embeddings.look_again()?;
        Ok(Some(embeddings))
    }

    /// What the first file says: encoder, width, element.
    pub fn header(&self) -> &EmbeddingHeader {
        &self.header
    }

    /// Distinct instructions.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Numbers of the files.
    pub fn files(&self) -> impl Iterator<Item = u32> {
        self.files.iter().copied()
    }

    /// The number that the next file gets: one that none had, as far as can be seen.
    pub fn next_file(&self) -> u32 {
        self.files.last().map_or(0, |last| last + 1)
    }

    /// Whether an instruction has an embedding.
    pub fn contains(&self, text: &str) -> bool {
        self.places.contains_key(text)
    }

    /// Replaces `out` by the embedding of `text` and returns its number of tokens.
    ///
    /// # Errors
    /// It has none (the error names the instruction and says what to do), or it cannot be read.
    pub fn read(&mut self, text: &str, out: &mut Vec<u8>) -> Result<u32, BufferError> {
        if !self.contains(text) {
            self.look_again()?;
        }
        let Some(&(file, record)) = self.places.get(text) else {
            return Err(BufferError::NoEmbedding { dir: self.dir.clone(), text: text.to_owned() });
        };
        // Opened each time: there may be more files than a process may keep open, and tables are
        // short beside an embedding.
        let file = self.open_file(file)?;
        let tokens = file.tokens(record);
        out.clear();
        out.resize(tokens as usize * self.header.token_bytes(), 0);
        file.read(record, out)?;
        Ok(tokens)
    }

    /// Takes up files that were published since.
    fn look_again(&mut self) -> Result<(), BufferError> {
        for number in
            segments(&self.dir)?.into_iter().filter(|number| !self.files.contains(number)).collect::<Vec<_>>()
        {
            let file = self.open_file(number)?;
            for (record, text) in (0..).zip(file.texts()) {
                self.places.entry(text.into()).or_insert((number, record));
            }
            self.files.insert(number);
        }
        Ok(())
    }

    fn open_file(&self, number: u32) -> Result<EmbeddingFile, BufferError> {
        let path = layout::language_embedding(&self.dir, number);
        let file = EmbeddingFile::open(&path)?;
        let (found, expected) = (file.header(), &self.header);
        let same = |header: &EmbeddingHeader| (header.encoder, header.width, header.element);
        if found.content != Content::Language || found.chunk != number || same(found) != same(expected) {
            return Err(BufferError::DamagedEmbedding {
                path,
                found: format!(
                    "{:?} file {} of encoder {}, width {}, {}",
                    found.content,
                    found.chunk,
                    found.encoder,
                    found.width,
                    found.element.name()
                ),
                expected: format!(
                    "language file {number} of encoder {}, width {}, {}, as the first file",
                    expected.encoder,
                    expected.width,
                    expected.element.name()
                ),
            });
        }
        Ok(file)
    }
}
