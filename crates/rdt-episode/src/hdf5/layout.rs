//! Where the bytes of an array are: asked of the library once, kept without it.
//!
//! Owns the questions about type, shape, layout, chunk table and filters, and the decision
//! whether this crate reads an array itself. Reads no values.

use hdf5::Dataset;
use hdf5::dataset::{ChunkOpts, DatasetCreate, FillValue, Layout};
use hdf5::types::TypeDescriptor;

use super::filters::{self, Pipeline};
use super::library::{Message, library};
use super::source::SourceFile;
use crate::EpisodeError;

/// A table with more entries than this is left to the library.
const MOST_CHUNKS: usize = 1 << 22;

/// An array's form, without its values.
#[derive(Debug)]
pub(super) struct Layed {
    pub(super) shape: Vec<usize>,
    pub(super) kind: Kind,
    pub(super) element_bytes: usize,
    pub(super) storage: Storage,
}

/// What an element is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number in this machine's own form.
    Native(Number),
    /// A number that the library converts: other byte order, half precision, and so on.
    Foreign(String),
    /// Bytes or characters of a fixed length.
    FixedText,
    /// Characters of variable length; whether they are UTF-8 by declaration.
    Text { unicode: bool },
    /// Bytes of variable length.
    VariableBytes,
    /// Anything else, named.
    Other(String),
}

/// Number formats that are read without the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    U8,
    U16,
    U32,
    U64,
    I8,
    I16,
    I32,
    I64,
    F32,
    F64,
}

/// Where the values are.
#[derive(Debug)]
pub(super) enum Storage {
    /// One run of bytes in the file.
    Contiguous { offset: u64 },
    /// Chunks of the file.
    Chunked(ChunkTable),
    /// Never written: all zero.
    Unwritten,
    /// Only the library can read it; why.
    Library { dataset: Dataset, reason: String },
}

/// The chunks of an array, by their place in it.
#[derive(Debug)]
pub(super) struct ChunkTable {
    /// Shape of a chunk, in elements.
    pub(super) shape: Vec<usize>,
    /// Number of chunks along each dimension.
    pub(super) grid: Vec<usize>,
    /// All chunks, the last dimension fastest.
    pub(super) chunks: Vec<StoredChunk>,
    pub(super) pipeline: Pipeline,
    /// Bytes of a chunk without filters.
    pub(super) chunk_bytes: usize,
}

/// Where one chunk is; zero bytes long where it was never written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StoredChunk {
    pub(super) offset: u64,
    pub(super) bytes: u32,
    pub(super) filter_mask: u32,
}

impl Kind {
    /// The type in a user's words.
    pub(super) fn describe(&self, element_bytes: usize) -> String {
        match self {
            Self::Native(number) => format!("{number:?}").to_lowercase(),
            Self::Foreign(name) | Self::Other(name) => name.clone(),
            Self::FixedText => format!("|S{element_bytes}"),
            Self::Text { .. } => "variable-length text".into(),
            Self::VariableBytes => "variable-length u8".into(),
        }
    }
}

/// Asks the library everything about an array, in one go under its lock.
pub(super) fn look_up(file: &SourceFile, place: &str) -> Result<(Dataset, Layed), EpisodeError> {
    let dataset = library(|| file.library.dataset(place)).map_err(|message| missing(file, place, message))?;
    let asked = library(|| ask(file, &dataset)).map_err(|message| damaged(file, place, message))?;
    let (shape, kind, element_bytes, answer) = asked;
    let storage = match answer {
        Answer::Storage(storage) => storage,
        Answer::Unavailable(filter) => {
            return Err(file.fault(
                place,
                format!("data compressed with filter {filter}"),
                "gzip, lzf, shuffle, fletcher32 or no filter",
                "rewrite it: h5repack -f GZIP=4 OLD NEW",
            ));
        }
    };
    let layed = Layed { shape, kind, element_bytes, storage };
    layed.check_inside(file, place)?;
    Ok((dataset, layed))
}

/// The array's shape; `None` where there is no such array.
pub(super) fn shape(file: &SourceFile, place: &str) -> Option<Vec<usize>> {
    library(|| file.library.dataset(place)?.space().map(|space| space.shape())).ok()
}

pub(super) fn missing(file: &SourceFile, place: &str, message: Message) -> EpisodeError {
    let found = match library(|| file.library.loc_type_by_name(place)) {
        Ok(kind) => format!("a {}", format!("{kind:?}").to_lowercase()),
        Err(_) => "nothing".into(),
    };
    file.fault(
        place,
        found,
        "an array",
        "check the array's path in the dataset card against the file (h5ls -r FILE)",
    )
    .caused_by(message)
}

pub(super) fn damaged(file: &SourceFile, place: &str, message: Message) -> EpisodeError {
    file.fault(
        place,
        "an array that the library cannot read",
        "a readable array",
        "copy or record the file again",
    )
    .caused_by(message)
}

enum Answer {
    Storage(Storage),
    Unavailable(String),
}

fn ask(file: &SourceFile, dataset: &Dataset) -> hdf5::Result<(Vec<usize>, Kind, usize, Answer)> {
    let shape = dataset.space()?.shape();
    let datatype = dataset.dtype()?;
    let element_bytes = datatype.size();
    let kind = kind_of(&datatype, element_bytes);
    // Behind an external link, addresses count in another file than the one that is open here.
    if dataset.loc_info()?.fileno != file.library.loc_info()?.fileno {
        return Ok((shape, kind, element_bytes, by_library(dataset, "an external link")));
    }
    // A user block shifts HDF5's "no address" to a small number, hence the second condition.
    if let Some(offset) = dataset.offset().filter(|&offset| offset >= file.user_block_bytes()) {
        return Ok((shape, kind, element_bytes, Answer::Storage(Storage::Contiguous { offset })));
    }
    let plist = dataset.create_plist()?;
    let answer = match plist.get_layout()? {
        Layout::Compact => by_library(dataset, "compact layout"),
        Layout::Virtual => by_library(dataset, "a virtual data set"),
        Layout::Contiguous if !plist.get_external()?.is_empty() => by_library(dataset, "external files"),
        Layout::Contiguous if plist.get_fill_value_defined()? == FillValue::UserDefined => {
            by_library(dataset, "never written")
        }
        Layout::Contiguous => Answer::Storage(Storage::Unwritten),
        Layout::Chunked => ask_chunks(dataset, &plist, &shape, element_bytes)?,
    };
    Ok((shape, kind, element_bytes, answer))
}

fn by_library(dataset: &Dataset, reason: &str) -> Answer {
    Answer::Storage(Storage::Library { dataset: dataset.clone(), reason: reason.to_owned() })
}

/// Whether the chunks are read here, and where they are.
fn ask_chunks(
    dataset: &Dataset,
    plist: &DatasetCreate,
    shape: &[usize],
    element_bytes: usize,
) -> hdf5::Result<Answer> {
    let filters = plist.get_filters()?;
    if let Some(filter) =
        filters.iter().find(|f| Pipeline::of(&[(*f).clone()], 1).is_none() && !f.is_available())
    {
        return Ok(Answer::Unavailable(filters::name(filter)));
    }
    let Some(pipeline) = Pipeline::of(&filters, element_bytes) else {
        let names: Vec<_> = filters.iter().map(filters::name).collect();
        return Ok(by_library(dataset, &names.join(", ")));
    };
    let edges = plist.get_chunk_opts()?.unwrap_or(ChunkOpts::empty());
    if edges.contains(ChunkOpts::DONT_FILTER_PARTIAL_CHUNKS) && !filters.is_empty() {
        return Ok(by_library(dataset, "unfiltered edge chunks"));
    }
    let Some(table) = chunk_table(dataset, shape, plist.get_chunk()?, element_bytes, pipeline)? else {
        return Ok(by_library(dataset, "unusual chunks"));
    };
    let filled = plist.get_fill_value_defined()? == FillValue::UserDefined;
    if filled && table.chunks.iter().any(|chunk| chunk.bytes == 0) {
        return Ok(by_library(dataset, "unwritten chunks with a fill value"));
    }
    Ok(Answer::Storage(Storage::Chunked(table)))
}

fn kind_of(datatype: &hdf5::Datatype, element_bytes: usize) -> Kind {
    use hdf5::types::{FloatSize, IntSize};
    let foreign = || Kind::Foreign(datatype.to_string());
    let integer = |signed: bool, size: IntSize| match (signed, size) {
        (false, IntSize::U1) => (Number::U8, datatype.is::<u8>()),
        (false, IntSize::U2) => (Number::U16, datatype.is::<u16>()),
        (false, IntSize::U4) => (Number::U32, datatype.is::<u32>()),
        (false, IntSize::U8) => (Number::U64, datatype.is::<u64>()),
        (true, IntSize::U1) => (Number::I8, datatype.is::<i8>()),
        (true, IntSize::U2) => (Number::I16, datatype.is::<i16>()),
        (true, IntSize::U4) => (Number::I32, datatype.is::<i32>()),
        (true, IntSize::U8) => (Number::I64, datatype.is::<i64>()),
    };
    // Comparing with the native type tells byte order and unusual bit layouts, which the
    // descriptor leaves out.
    let or_foreign = |(number, native)| if native { Kind::Native(number) } else { foreign() };
    match datatype.to_descriptor() {
        Ok(TypeDescriptor::Unsigned(size)) => or_foreign(integer(false, size)),
        Ok(TypeDescriptor::Integer(size)) => or_foreign(integer(true, size)),
        Ok(TypeDescriptor::Float(FloatSize::U4)) => or_foreign((Number::F32, datatype.is::<f32>())),
        Ok(TypeDescriptor::Float(FloatSize::U8)) => or_foreign((Number::F64, datatype.is::<f64>())),
        // One byte has no byte order.
        Ok(TypeDescriptor::Boolean) => Kind::Native(Number::U8),
        Ok(TypeDescriptor::Enum(_)) => foreign(),
        Ok(TypeDescriptor::FixedAscii(_) | TypeDescriptor::FixedUnicode(_)) => Kind::FixedText,
        Ok(TypeDescriptor::VarLenAscii) => Kind::Text { unicode: false },
        Ok(TypeDescriptor::VarLenUnicode) => Kind::Text { unicode: true },
        Ok(TypeDescriptor::VarLenArray(item)) if *item == TypeDescriptor::Unsigned(IntSize::U1) => {
            Kind::VariableBytes
        }
        Ok(other) => Kind::Other(other.to_string()),
        // Half precision and the like have no descriptor; the library converts them.
        Err(_) if datatype.conv_to::<f64>().is_some() => foreign(),
        Err(_) => Kind::Other(format!("a type of {element_bytes} bytes that is neither number nor text")),
    }
}

/// The chunk table; `None` where it is not of the form that this crate reads itself.
fn chunk_table(
    dataset: &Dataset,
    shape: &[usize],
    chunk: Option<Vec<usize>>,
    element_bytes: usize,
    pipeline: Pipeline,
) -> hdf5::Result<Option<ChunkTable>> {
    let Some(chunk) = chunk.filter(|c| c.len() == shape.len() && !c.contains(&0)) else { return Ok(None) };
    let grid: Vec<usize> = shape.iter().zip(&chunk).map(|(&whole, &part)| whole.div_ceil(part)).collect();
    let product = |sizes: &[usize]| sizes.iter().try_fold(1_usize, |all, &n| all.checked_mul(n));
    let (Some(count), Some(chunk_bytes)) = (
        product(&grid).filter(|&n| n <= MOST_CHUNKS),
        product(&chunk).and_then(|n| n.checked_mul(element_bytes)),
    ) else {
        return Ok(None);
    };
    let mut chunks = vec![StoredChunk::default(); count];
    let mut odd = false;
    dataset.chunks_visit(|info| {
        let mut index = 0;
        for ((&start, &part), &along) in info.offset.iter().zip(&chunk).zip(&grid) {
            let (start, position) = (start as usize, start as usize / part);
            if position >= along {
                // Left over from before the array was made smaller.
                return 0;
            }
            odd |= !start.is_multiple_of(part);
            index = index * along + position;
        }
        match (u32::try_from(info.size), chunks.get_mut(index)) {
            (Ok(bytes), Some(entry)) => {
                *entry = StoredChunk { offset: info.addr, bytes, filter_mask: info.filter_mask };
            }
            _ => odd = true,
        }
        0
    })?;
    Ok((!odd).then_some(ChunkTable { shape: chunk, grid, chunks, pipeline, chunk_bytes }))
}

impl Layed {
    /// Number of elements; `None` where it does not fit.
    pub(super) fn elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1_usize, |all, &n| all.checked_mul(n))
    }

    /// Every byte that reading will ask for must be in the file.
    fn check_inside(&self, file: &SourceFile, place: &str) -> Result<(), EpisodeError> {
        let outside = |what: String, offset: u64, bytes: u64| {
            file.fault(
                place,
                format!("{what} at offset {offset}, {bytes} bytes long"),
                format!("bytes inside the file's {}", file.len()),
                "the file was cut short or damaged: copy it again",
            )
        };
        match &self.storage {
            Storage::Contiguous { offset } => {
                let bytes =
                    self.elements().and_then(|n| n.checked_mul(self.element_bytes)).unwrap_or(usize::MAX);
                if !file.holds(*offset, bytes as u64) {
                    return Err(outside("values".into(), *offset, bytes as u64));
                }
            }
            Storage::Chunked(table) => {
                let bad = table.chunks.iter().position(|c| !file.holds(c.offset, u64::from(c.bytes)));
                if let Some(index) = bad {
                    let chunk = table.chunks[index];
                    return Err(outside(format!("chunk {index}"), chunk.offset, u64::from(chunk.bytes)));
                }
            }
            Storage::Unwritten | Storage::Library { .. } => {}
        }
        Ok(())
    }
}
