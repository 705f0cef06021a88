//! What can be wrong with a buffer.

use std::path::PathBuf;

use rdt_schema::Setting;

use crate::id::ChunkId;

/// A buffer that cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BufferError {
    /// A file or folder could not be read, written, renamed or removed.
    #[error("cannot {action} {}; {remedy}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What to do.
        remedy: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// There is no buffer at the path.
    #[error("{} is not a buffer: {found}, expected a directory with {}; {remedy}", dir.display(), crate::layout::MANIFEST)]
    NotABuffer {
        /// The path.
        dir: PathBuf,
        /// What is there.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The manifest's bytes are not those that were written.
    #[error(
        "{} is damaged: {found}, expected {expected}; restore the file from a copy, \
         or remove the buffer and fill it again", path.display()
    )]
    DamagedManifest {
        /// The manifest.
        path: PathBuf,
        /// What is there.
        found: String,
        /// What should be there.
        expected: String,
    },
    /// A buffer of a format that this program does not know.
    #[error(
        "{}: format version {found}, expected {expected}; use the program that wrote it, \
         or fill a new buffer", path.display()
    )]
    OtherVersion {
        /// The manifest, or a bits file.
        path: PathBuf,
        /// The version found.
        found: String,
        /// The version that is read.
        expected: u32,
    },
    /// The manifest could not be put into JSON.
    #[error("cannot serialise {}", path.display())]
    SerialiseManifest {
        /// The manifest.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Another producer works on this buffer.
    #[error(
        "{} is being produced by process {holder}; wait for it, stop it, or give another {}",
        dir.display(),
        Setting::BUFFER
    )]
    Locked {
        /// The buffer.
        dir: PathBuf,
        /// The holder's pid, or what is known of it.
        holder: String,
    },
    /// Another process writes the embeddings of this buffer.
    #[error("the embeddings of {} are being written by process {holder}; wait for it, or stop it", dir.display())]
    EmbedderLocked {
        /// The buffer.
        dir: PathBuf,
        /// The holder's pid, or what is known of it.
        holder: String,
    },
    /// An instruction was not embedded.
    #[error(
        "{}: the instruction {text:?} has no embedding, expected one of each instruction of the buffer; \
         run rdt-consume embed --buffer {} again, with the encoder of the others", dir.display(), dir.display()
    )]
    NoEmbedding {
        /// The buffer.
        dir: PathBuf,
        /// The instruction.
        text: String,
    },
    /// The frames of a chunk were not embedded.
    #[error(
        "{}: the frames of chunk {chunk}, generation {generation}, have no embeddings; \
         run rdt-consume embed --images --buffer {} again, with the encoder of the others",
        dir.display(), dir.display()
    )]
    NoImageEmbeddings {
        /// The buffer.
        dir: PathBuf,
        /// The chunk.
        chunk: ChunkId,
        /// Its generation.
        generation: u64,
    },
    /// A frame was not embedded, since its camera or place in the window was not shown then.
    #[error(
        "{}: frame {frame} has no embedding: it was made for fewer cameras or a shorter history \
         (common.num_cameras, common.img_history_size); run rdt-consume embed --images again with the \
         configuration of this run", path.display()
    )]
    FrameNotEmbedded {
        /// The embeddings of the frame's chunk.
        path: PathBuf,
        /// The frame.
        frame: u32,
    },
    /// A frame could not be decoded when the others of its chunk were embedded.
    #[error(
        "{}: frame {frame} has no embedding, since it could not be decoded; where its chunk was put right, \
         run rdt-consume embed --images again", path.display()
    )]
    UnreadableFrame {
        /// The embeddings of the frame's chunk.
        path: PathBuf,
        /// The frame.
        frame: u32,
    },
    /// An embedding file is not what was written.
    #[error("{} is damaged: {found}, expected {expected}; remove it and run rdt-consume embed again", path.display())]
    DamagedEmbedding {
        /// The file.
        path: PathBuf,
        /// What is there.
        found: String,
        /// What should be there.
        expected: String,
    },
    /// More than an embedding file can hold.
    #[error("{}: {found} {what}, expected at least 1 and at most {most}", path.display())]
    TooManyEmbeddings {
        /// The file.
        path: PathBuf,
        /// Of what.
        what: &'static str,
        /// How many.
        found: u64,
        /// The limit.
        most: u64,
    },
    /// The fill of this buffer has not reached its end.
    #[error(
        "the fill of {} is not finished: {published} of {expected} chunks are there; \
         run the same rdt-produce command again to continue it", dir.display()
    )]
    Unfinished {
        /// The buffer.
        dir: PathBuf,
        /// Chunks there.
        published: u64,
        /// Chunks there should be.
        expected: u64,
    },
    /// A chunk that the manifest promises is not there.
    #[error(
        "{}: chunk {chunk} is missing, expected chunks 0 to {last}; \
         run the same rdt-produce command again to write it", path.display()
    )]
    MissingChunk {
        /// Where it should be.
        path: PathBuf,
        /// Which one.
        chunk: ChunkId,
        /// The last chunk of the buffer.
        last: u32,
    },
    /// There is no such chunk.
    #[error("chunk {chunk} does not exist: {} holds {chunks} chunks", dir.display())]
    NoSuchChunk {
        /// The buffer.
        dir: PathBuf,
        /// The chunk asked for.
        chunk: ChunkId,
        /// The chunks there are.
        chunks: u64,
    },
    /// A chunk cannot be read.
    #[error("chunk {chunk} cannot be read; rdt-buf verify lists all that is damaged")]
    Chunk {
        /// Which one.
        chunk: ChunkId,
        /// What is wrong; names the file.
        #[source]
        source: rdt_chunk::ChunkError,
    },
    /// A chunk is whole and not the one that the manifest describes.
    #[error(
        "{}: {what} is {found}, the manifest says {expected}; was a file of another buffer put here? \
         remove it and run the same rdt-produce command again", path.display()
    )]
    ForeignChunk {
        /// The chunk.
        path: PathBuf,
        /// What differs.
        what: &'static str,
        /// What the chunk says.
        found: String,
        /// What the manifest says.
        expected: String,
    },
    /// A dirty-bit file is not usable.
    #[error("{}: {what} is {found}, expected {expected}; {remedy}", path.display())]
    DamagedBits {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
        /// What is there.
        found: String,
        /// What should be there.
        expected: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Chunks of the buffer are being replaced.
    #[error(
        "{} is being refilled by process {holder}, so it has no static order; follow it with {}, \
         or stop the producer first", dir.display(), Setting::FOLLOW
    )]
    BeingRefilled {
        /// The buffer.
        dir: PathBuf,
        /// The producer's pid.
        holder: String,
    },
    /// A buffer that cannot be written cannot be followed.
    #[error(
        "cannot follow {}: what is consumed is marked in the buffer, and it cannot be written; \
         leave out {} to read it in the static order, or copy it to a disk", dir.display(), Setting::FOLLOW
    )]
    CannotFollow {
        /// The buffer.
        dir: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Too many generations are held at once.
    #[error("{}: this consumer has samples of too many chunks at once; expected fewer: \
             take a smaller window or smaller batches", dir.display())]
    TooManyHolds {
        /// The buffer.
        dir: PathBuf,
    },
    /// A live buffer is to have more chunks than a process can map.
    #[error("{}: {found} chunks, expected at most {most} in a live buffer; take a larger {}", dir.display(), Setting::CHUNK_SIZE)]
    TooManyLiveChunks {
        /// The buffer.
        dir: PathBuf,
        /// The chunks it has, or is to have.
        found: u64,
        /// The limit.
        most: u64,
    },
    /// Bits cannot be reset while somebody uses them.
    #[error("{}: cannot reset the dirty bits: {holder} is using them; stop it first", dir.display())]
    BitsInUse {
        /// The buffer.
        dir: PathBuf,
        /// Who.
        holder: String,
    },
    /// What was written is not what the lease is for.
    #[error(
        "{}: {what} of the chunk that was written is {found}, the lease is for {expected}; nothing was published",
        dir.display()
    )]
    WrongChunk {
        /// The buffer.
        dir: PathBuf,
        /// What differs.
        what: &'static str,
        /// What was written.
        found: u64,
        /// What was leased.
        expected: u64,
    },
    /// Chunks may be withdrawn from an unfinished fill only.
    #[error(
        "{} is complete: chunk {chunk} cannot be withdrawn any more; fill a new buffer", dir.display()
    )]
    WithdrawFromComplete {
        /// The buffer.
        dir: PathBuf,
        /// The chunk.
        chunk: ChunkId,
    },
}

impl BufferError {
    /// An I/O error, with the remedy that its kind suggests.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::Io { action, path: path.into(), remedy: remedy(&source), source }
    }

    /// Whether a file is not there, or holds what nobody can read: another attempt would find the
    /// same. Everything else (permissions, no memory, too many open files, a file of a newer
    /// program) says nothing against the file, which may be whole and in use.
    pub(crate) fn is_of_the_file(&self) -> bool {
        use rdt_chunk::ChunkError;
        match self {
            Self::Io { source, .. } | Self::Chunk { source: ChunkError::File { source, .. }, .. } => {
                source.kind() == std::io::ErrorKind::NotFound
            }
            Self::Chunk { source: ChunkError::InFile { source, .. }, .. } => {
                !matches!(**source, ChunkError::Version { .. })
            }
            Self::DamagedBits { .. } => true,
            _ => false,
        }
    }
}

/// What to do about an I/O error.
fn remedy(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "make room, or put the buffer elsewhere; what is published stays whole, \
             and the same command continues from there"
        }
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only: put the buffer elsewhere",
        ErrorKind::PermissionDenied => "check the permissions of the folder",
        ErrorKind::NotFound => "check the path",
        ErrorKind::NotADirectory => "a part of the path is a file: give another path",
        _ => "check the disk; what is published stays whole, and the same command continues from there",
    }
}
