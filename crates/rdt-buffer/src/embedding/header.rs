//! The header and the records of an embedding file, as bytes and as values.
//!
//! Invariant: an [`EmbeddingHeader`] that was parsed says what its file's length is, and no part
//! of it asks for more than that.

use crate::embedding::header::field as f;

/// The first eight bytes of an embedding file.
pub const MAGIC: [u8; 8] = *b"\x89RDTE\r\n\x1a";
/// The version that is written and read.
pub const FORMAT_VERSION: u32 = 1;
/// Bytes of the header.
pub const HEADER_LENGTH: usize = 80;
/// Bytes of a record.
pub const RECORD_LENGTH: usize = 24;
/// Records of a file.
pub const MAX_RECORDS: u32 = 1 << 24;
/// Bytes of all texts of a file.
pub const MAX_TEXTS_BYTES: u32 = 1 << 28;

/// Where the fields of the header are.
pub(crate) mod field {
    pub(crate) const MAGIC: usize = 0;
    pub(crate) const FORMAT_VERSION: usize = 8;
    pub(crate) const CONTENT: usize = 12;
    pub(crate) const ELEMENT: usize = 13;
    pub(crate) const RESERVED: usize = 14;
    pub(crate) const FILE_LENGTH: usize = 16;
    pub(crate) const WIDTH: usize = 24;
    pub(crate) const RECORDS: usize = 28;
    pub(crate) const ENCODER: usize = 32;
    pub(crate) const CHUNK: usize = 48;
    pub(crate) const CHUNK_CRC: usize = 52;
    pub(crate) const GENERATION: usize = 56;
    pub(crate) const TEXTS_LENGTH: usize = 64;
    pub(crate) const TABLE_CRC: usize = 68;
    pub(crate) const TEXTS_CRC: usize = 72;
    pub(crate) const HEADER_CRC: usize = 76;
}

/// Where the fields of a record are.
pub(crate) mod record {
    pub(crate) const OFFSET: usize = 0;
    pub(crate) const TOKENS: usize = 8;
    pub(crate) const CRC: usize = 12;
    pub(crate) const TEXT_START: usize = 16;
    pub(crate) const TEXT_LENGTH: usize = 20;
}

/// What the embeddings of a file are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Content {
    /// Instructions.
    Language = 0,
    /// Frames of a chunk, and the background.
    Images = 1,
}

/// What a number is stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Element {
    /// 32 bits.
    F32 = 0,
    /// The upper 16 of them.
    Bf16 = 1,
}

impl Element {
    /// Bytes of a number.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }

    /// As reports write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

/// Tells encoders apart: a digest of configuration and weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EncoderDigest(pub [u8; 16]);

impl std::fmt::Display for EncoderDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What an embedding file says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddingHeader {
    /// What the embeddings are of.
    pub content: Content,
    /// What their numbers are stored as.
    pub element: Element,
    /// Numbers of a token.
    pub width: u32,
    /// Records.
    pub records: u32,
    /// Which encoder made them.
    pub encoder: EncoderDigest,
    /// Of images: the chunk. Of language: the number of the file.
    pub chunk: u32,
    /// Of images: the crc of the chunk's header, which covers the chunk's other checksums. Else 0.
    pub chunk_crc: u32,
    /// Of images: the chunk's generation. Else 0.
    pub generation: u64,
    /// Bytes of all texts.
    pub texts_length: u32,
}

/// The crc of a record without tokens whose frame could not be decoded. Of a frame that training
/// does not look at it is 0, as of no bytes.
pub(crate) const UNREADABLE: u32 = 1;

/// One record: where an embedding lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Record {
    pub(crate) offset: u64,
    /// 0 where the frame has none.
    pub(crate) tokens: u32,
    pub(crate) crc: u32,
    pub(crate) text_start: u32,
    pub(crate) text_length: u32,
}

impl EmbeddingHeader {
    /// Bytes of a token.
    pub fn token_bytes(&self) -> usize {
        self.width as usize * self.element.bytes()
    }

    /// First byte of the data.
    pub(crate) fn data_start(&self) -> u64 {
        HEADER_LENGTH as u64 + u64::from(self.records) * RECORD_LENGTH as u64 + u64::from(self.texts_length)
    }

    pub(crate) fn to_bytes(self, file_length: u64, table_crc: u32, texts_crc: u32) -> [u8; HEADER_LENGTH] {
        let mut bytes = [0; HEADER_LENGTH];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(f::MAGIC, &MAGIC);
        put(f::FORMAT_VERSION, &FORMAT_VERSION.to_le_bytes());
        put(f::CONTENT, &[self.content as u8, self.element as u8]);
        put(f::FILE_LENGTH, &file_length.to_le_bytes());
        put(f::WIDTH, &self.width.to_le_bytes());
        put(f::RECORDS, &self.records.to_le_bytes());
        put(f::ENCODER, &self.encoder.0);
        put(f::CHUNK, &self.chunk.to_le_bytes());
        put(f::CHUNK_CRC, &self.chunk_crc.to_le_bytes());
        put(f::GENERATION, &self.generation.to_le_bytes());
        put(f::TEXTS_LENGTH, &self.texts_length.to_le_bytes());
        put(f::TABLE_CRC, &table_crc.to_le_bytes());
        put(f::TEXTS_CRC, &texts_crc.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..f::HEADER_CRC]);
        bytes[f::HEADER_CRC..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The header in `bytes` of a file of `length` bytes, with the checksums of table and texts.
    /// `Err` is what was found and what was expected.
    pub(crate) fn parse(
        bytes: &[u8; HEADER_LENGTH],
        length: u64,
    ) -> Result<(Self, u32, u32), (String, String)> {
        let wrong = |found: String, expected: &str| Err((found, expected.to_owned()));
        if bytes[f::MAGIC..f::MAGIC + 8] != MAGIC {
            return wrong("its first bytes are those of something else".into(), "an embedding file");
        }
        let version = u32_at(bytes, f::FORMAT_VERSION);
        if version != FORMAT_VERSION {
            return wrong(format!("format version {version}"), &format!("version {FORMAT_VERSION}"));
        }
        let (crc, computed) = (u32_at(bytes, f::HEADER_CRC), crc32c::crc32c(&bytes[..f::HEADER_CRC]));
        if crc != computed {
            return wrong(format!("header crc {computed:#010x}"), &format!("{crc:#010x}"));
        }
        let content = match bytes[f::CONTENT] {
            0 => Content::Language,
            1 => Content::Images,
            other => return wrong(format!("content {other}"), "0 (language) or 1 (images)"),
        };
        let element = match bytes[f::ELEMENT] {
            0 => Element::F32,
            1 => Element::Bf16,
            other => return wrong(format!("element {other}"), "0 (f32) or 1 (bf16)"),
        };
        if bytes[f::RESERVED..f::FILE_LENGTH] != [0, 0] {
            return wrong("reserved bytes that are used".into(), "zeros");
        }
        let header = Self {
            content,
            element,
            width: u32_at(bytes, f::WIDTH),
            records: u32_at(bytes, f::RECORDS),
            encoder: EncoderDigest(std::array::from_fn(|i| bytes[f::ENCODER + i])),
            chunk: u32_at(bytes, f::CHUNK),
            chunk_crc: u32_at(bytes, f::CHUNK_CRC),
            generation: u64_at(bytes, f::GENERATION),
            texts_length: u32_at(bytes, f::TEXTS_LENGTH),
        };
        let stated = u64_at(bytes, f::FILE_LENGTH);
        if stated != length {
            return wrong(format!("{length} bytes"), &format!("{stated}, as its header says"));
        }
        if header.width == 0 || header.records == 0 || header.records > MAX_RECORDS {
            return wrong(
                format!("width {}, {} records", header.width, header.records),
                &format!("a width of at least 1 and 1 to {MAX_RECORDS} records"),
            );
        }
        if header.texts_length > MAX_TEXTS_BYTES || header.data_start() > length {
            return wrong(format!("tables of {} bytes", header.data_start()), "tables inside the file");
        }
        Ok((header, u32_at(bytes, f::TABLE_CRC), u32_at(bytes, f::TEXTS_CRC)))
    }
}

impl Record {
    pub(crate) fn to_bytes(self) -> [u8; RECORD_LENGTH] {
        let mut bytes = [0; RECORD_LENGTH];
        bytes[record::OFFSET..record::TOKENS].copy_from_slice(&self.offset.to_le_bytes());
        for (at, value) in [
            (record::TOKENS, self.tokens),
            (record::CRC, self.crc),
            (record::TEXT_START, self.text_start),
            (record::TEXT_LENGTH, self.text_length),
        ] {
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    pub(crate) fn parse(bytes: &[u8]) -> Self {
        Self {
            offset: u64_at(bytes, record::OFFSET),
            tokens: u32_at(bytes, record::TOKENS),
            crc: u32_at(bytes, record::CRC),
            text_start: u32_at(bytes, record::TEXT_START),
            text_length: u32_at(bytes, record::TEXT_LENGTH),
        }
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}
