//! Writes one chunk from its part of the plan: the inner loop of a fill.
//!
//! A worker keeps one source file open, since neighbouring pieces mostly share it, and holds one
//! frame at a time.

use std::io::{Seek, Write};

use rdt_buffer::ChunkId;
use rdt_chunk::{ChunkError, ChunkSpec, ChunkSummary, ChunkWriter, FrameStorage};
use rdt_episode::{EpisodeError, SourceFile, Verdict};
use rdt_schema::{DatasetSchema, in_full};

use crate::plan::{Piece, Plan};
use crate::sources::Sources;

/// Every chunk of a fill is the first of its number.
pub(crate) const FIRST_GENERATION: u64 = 1;

/// Why a chunk was not written.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Somebody asked to stop.
    Stopped,
    /// An episode turned out to be bad; it must leave the plan.
    Episode { episode: usize, reason: String },
    /// A source file is not the one that was scanned.
    Changed { dataset: u16, file: String, change: String },
    /// The chunk cannot be written.
    Chunk(ChunkError),
    /// What a piece's frames could not be read for; becomes [`Fault::Episode`].
    Source(EpisodeError),
}

impl From<ChunkError> for Fault {
    fn from(error: ChunkError) -> Self {
        Self::Chunk(error)
    }
}

impl From<EpisodeError> for Fault {
    fn from(error: EpisodeError) -> Self {
        Self::Source(error)
    }
}

/// Writes chunks of one plan.
pub(crate) struct Worker<'a> {
    sources: &'a Sources,
    plan: &'a Plan,
    frames: FrameStorage,
    schemas: Vec<DatasetSchema>,
    /// Place in the plan's list of files, and the file.
    open: Option<(u32, SourceFile<'a>)>,
}

impl<'a> Worker<'a> {
    pub(crate) fn new(sources: &'a Sources, plan: &'a Plan, frames: FrameStorage) -> Self {
        Self { sources, plan, frames, schemas: sources.schemas(), open: None }
    }

    /// Writes chunk `id`, made of `pieces`, to `out`; asks `stop` before each frame.
    pub(crate) fn write<W: Write + Seek>(
        &mut self,
        id: ChunkId,
        capacity: u32,
        pieces: &[Piece],
        out: W,
        stop: &dyn Fn() -> bool,
    ) -> Result<(W, ChunkSummary), Fault> {
        let spec = ChunkSpec {
            chunk: id.get(),
            generation: FIRST_GENERATION,
            capacity,
            plan_digest: self.plan.chunk_digest(self.sources, id),
        };
        let mut writer = ChunkWriter::create(out, spec, self.frames, self.schemas.clone())?;
        for piece in pieces {
            self.add_piece(&mut writer, piece, stop)?;
        }
        Ok(writer.finish()?)
    }

    /// Adds one piece; a fault that lies in the episode names it.
    pub(crate) fn add_piece<W: Write + Seek>(
        &mut self,
        writer: &mut ChunkWriter<W>,
        piece: &Piece,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), Fault> {
        self.add(writer, piece, stop).map_err(|fault| as_bad_episode(fault, piece))
    }

    fn add<W: Write + Seek>(
        &mut self,
        writer: &mut ChunkWriter<W>,
        piece: &Piece,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), Fault> {
        let origin = self.plan.origin(self.sources, piece);
        let changed =
            |change: String| Fault::Changed { dataset: piece.dataset, file: origin.to_string(), change };
        let file = self.file(piece, &origin.source)?;
        let episode = match file.episode(&origin.key)? {
            Verdict::Accepted(episode) => episode,
            Verdict::Filtered(reason) => return Err(changed(format!("it would now be filtered: {reason}"))),
        };
        let schema = &self.schemas[usize::from(piece.dataset)];
        let mut steps = episode.sample_steps(schema);
        let found = (steps.next().unwrap_or(0), 1 + steps.count() as u32);
        if found != self.plan.sample_steps(piece) {
            return Err(changed("its steps are others now".into()));
        }
        writer.add_episode::<Fault>(
            piece.dataset,
            episode.info().clone(),
            episode.states(),
            episode.actions(),
            &piece.steps,
            &mut |slot, frame, bytes| {
                if stop() {
                    return Err(Fault::Stopped);
                }
                Ok(episode.frame(slot, frame, bytes)?)
            },
        )
    }

    fn file(&mut self, piece: &Piece, name: &str) -> Result<&SourceFile<'a>, Fault> {
        let (index, fingerprint) = self.plan.file_of(piece);
        let source = &self.sources.list[usize::from(piece.dataset)];
        let open = match self.open.take() {
            Some((open, file)) if open == index => file,
            _ => {
                if source.fingerprint(name) != Some(fingerprint) {
                    return Err(Fault::Changed {
                        dataset: piece.dataset,
                        file: name.to_owned(),
                        change: "its length or time of change is another".into(),
                    });
                }
                source.dataset.open_file(name)?
            }
        };
        Ok(&self.open.insert((index, open)).1)
    }
}

/// Faults that lie in an episode's content, not in the output, put the episode out of the plan.
fn as_bad_episode(fault: Fault, piece: &Piece) -> Fault {
    let episode = piece.episode;
    match fault {
        Fault::Source(error) => Fault::Episode { episode, reason: in_full(&error) },
        Fault::Chunk(error @ (ChunkError::Refused { .. } | ChunkError::Frame { .. })) => {
            Fault::Episode { episode, reason: in_full(&error) }
        }
        fault => fault,
    }
}
