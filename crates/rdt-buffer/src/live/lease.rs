//! Leases: the right to write the next generation of one chunk, as one value.
//!
//! A [`Lease`] comes from [`LiveWriter::lease`] only, names its chunk and generation itself, and is
//! used up by publishing. There is no function that takes a chunk number and content: what was
//! written under a lease on one chunk cannot be published as another, and a chunk cannot be marked
//! clean without being replaced. A lease that is dropped gives its chunk back as it was.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use rdt_chunk::{ChunkSpec, ChunkSummary};

use crate::bits::{self, BitsHeader, History};
use crate::error::BufferError;
use crate::id::{ChunkId, SlotIndex};
use crate::layout;
use crate::live::claims::Claims;
use crate::live::generations::map_if_any;
use crate::live::live_writer::{LiveWriter, Place};
use crate::live::settle::{Payload, history_after};
use crate::writer::NewChunk;

/// The right to write the next generation of a chunk.
#[derive(Debug)]
pub struct Lease {
    writer: Arc<LiveWriter>,
    id: ChunkId,
    generation: u64,
    /// What is in the place now; becomes the place's state again where the lease is dropped.
    former: Option<Place>,
    carried: Vec<SlotIndex>,
}

/// A chunk that is being written under a lease.
#[derive(Debug)]
pub struct LeasedChunk {
    lease: Lease,
    new: NewChunk,
}

impl Lease {
    /// Closes what is in the place.
    pub(crate) fn new(writer: Arc<LiveWriter>, id: ChunkId, former: Place) -> Self {
        let (generation, carried) = match &former {
            Place::Published { claims, .. } => (claims.header().generation, claims.close()),
            Place::Absent { former, .. } => (*former, Vec::new()),
            Place::Leased => (0, Vec::new()),
        };
        Self { writer, id, generation: generation + 1, former: Some(former), carried }
    }

    /// The chunk.
    pub fn chunk(&self) -> ChunkId {
        self.id
    }

    /// The generation to be written.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Unread samples of the former generation: slots of [`Lease::former`]. They must be in the new
    /// one.
    pub fn carried(&self) -> &[SlotIndex] {
        &self.carried
    }

    /// The chunk that is in the place now; `None` where there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn former(&self) -> Result<Option<rdt_chunk::Chunk<memmap2::Mmap>>, BufferError> {
        match &self.former {
            Some(Place::Published { .. }) => map_if_any(self.id, &layout::chunk(self.writer.dir(), self.id)),
            _ => Ok(None),
        }
    }

    /// Gives the chunk back for good where its unread samples cannot be carried: it is leased again
    /// only when all of them are taken.
    pub fn wait_until_consumed(mut self) {
        if let Some(Place::Published { is_patient, .. }) = &mut self.former {
            *is_patient = true;
        }
    }

    /// Begins to write: an empty file that takes a chunk's bytes.
    ///
    /// # Errors
    /// The file cannot be created; the lease is given back.
    pub fn begin(self) -> Result<LeasedChunk, BufferError> {
        let new = NewChunk::create(self.writer.storage(), self.writer.dir(), self.id, self.generation)?;
        Ok(LeasedChunk { lease: self, new })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        #[cfg(test)]
        if self.writer.is_dead() {
            return;
        }
        if let Some(former) = self.former.take() {
            if let Place::Published { claims, .. } = &former {
                claims.reopen();
            }
            self.writer.put_back(self.id, former);
        }
    }
}

impl LeasedChunk {
    /// What the chunk is to be; the digest is the caller's matter.
    pub fn spec(&self, plan_digest: [u8; 16]) -> ChunkSpec {
        ChunkSpec {
            chunk: self.lease.id.get(),
            generation: self.lease.generation,
            capacity: self.lease.writer.manifest().chunk_size,
            plan_digest,
        }
    }

    /// Drops what was written and keeps the lease.
    pub fn discard(self) -> Lease {
        self.lease
    }

    /// Leaves everything as a killed process does.
    #[cfg(test)]
    pub(crate) fn die(mut self) {
        self.lease.former = None;
        self.new.forget();
    }

    /// Puts the sealed chunk in the place, with clean bits, in one step; durable when this returns.
    ///
    /// # Errors
    /// The chunk is not what was leased; a file cannot be written, synced, linked or renamed. Then
    /// nothing is published, and the lease is given back. (Where only the last sync fails, the
    /// chunk is published, and may be gone after a loss of power.)
    pub fn publish(self, summary: &ChunkSummary) -> Result<(), BufferError> {
        let Self { mut lease, mut new } = self;
        let writer = Arc::clone(&lease.writer);
        let (dir, storage) = (writer.dir(), writer.storage());
        let header = &summary.header;
        for (what, found, expected) in [
            ("the number", u64::from(header.chunk), u64::from(lease.id.get())),
            ("the generation", header.generation, lease.generation),
        ] {
            if found != expected {
                return Err(BufferError::WrongChunk { dir: dir.to_owned(), what, found, expected });
            }
        }
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |e| BufferError::io(action, path, e)
        };
        new.sync()?;
        let (history, is_settled) = match &lease.former {
            Some(Place::Published { claims, .. }) => history_after(dir, lease.id, claims, Payload::There),
            // Of a damaged chunk there is nothing to be linked.
            Some(Place::Absent { claims: Some(claims), .. }) => {
                (history_after(dir, lease.id, claims, Payload::Gone).0, true)
            }
            _ => (History::default(), true),
        };
        let bits_header =
            BitsHeader { chunk: lease.id, generation: lease.generation, slots: header.samples, history };
        // The bits come first: whoever sees the chunk must find them.
        let bits = layout::bits(dir, lease.id, lease.generation);
        bits::create(&**storage, &bits, bits_header)?;
        let claims = Arc::new(Claims::open(dir, lease.id, lease.generation)?);
        let path = layout::chunk(dir, lease.id);
        if !is_settled {
            // Somebody has samples of it, and may give them back.
            let retired = layout::retired(dir, lease.id, lease.generation - 1);
            match storage.link(&path, &retired) {
                // Of an attempt that failed behind this point.
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                linked => linked.map_err(io("link the replaced chunk to", &retired))?,
            }
            let folder = dir.join(layout::RETIRED);
            storage.sync_folder(&folder).map_err(io("sync", &folder))?;
        }
        new.put_in_place(&path)?;
        lease.former = None;
        writer.put_back(lease.id, Place::Published { claims, is_patient: false });
        let folder = dir.join(layout::CHUNKS);
        storage.sync_folder(&folder).map_err(io("sync", &folder))?;
        // What is settled is in the new bits' header; what cannot be removed now is by the next
        // start.
        for generation in (1..lease.generation).rev().skip_while(|&at| at > history.settled) {
            let (bits, retired) =
                (layout::bits(dir, lease.id, generation), layout::retired(dir, lease.id, generation));
            if !bits.exists() {
                break;
            }
            // The payload first: without bits nobody finds it.
            let _ = storage.remove(&retired);
            let _ = storage.remove(&bits);
        }
        Ok(())
    }
}

impl Write for LeasedChunk {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.new.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.new.flush()
    }
}

impl Seek for LeasedChunk {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.new.seek(to)
    }
}
