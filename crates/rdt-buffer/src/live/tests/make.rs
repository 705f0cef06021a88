//! Small live buffers.

use std::path::Path;
use std::sync::Arc;

use rdt_chunk::{ChunkError, ChunkWriter, ImageCodec};
use rdt_schema::{EpisodeInfo, FrameEncoding, FrameForm, Instruction, Origin};

use crate::live::{Follower, FollowerOptions, Lease, LeasedChunk, LiveWriter, Shard, totals};
use crate::manifest::LiveSettings;
use crate::storage::{Disk, Storage};
use crate::tests::make as fixed;
use crate::*;

pub(super) type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

pub(super) const CHUNK_SIZE: u32 = fixed::CHUNK_SIZE;

/// A folder where syncs are quick, if there is one: what is tested here does not lose memory.
pub(super) fn folder() -> std::io::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}

pub(super) fn manifest(chunks: u32) -> Manifest {
    let mut manifest = fixed::manifest(u64::from(chunks * CHUNK_SIZE), BufferState::Live);
    manifest.live = Some(LiveSettings { chunks, from_generation: 1 });
    manifest
}

pub(super) fn start(dir: &Path, storage: Arc<dyn Storage>, chunks: u32) -> Result<Arc<LiveWriter>> {
    start_shard(dir, storage, chunks, Shard::WHOLE)
}

pub(super) fn start_shard(
    dir: &Path,
    storage: Arc<dyn Storage>,
    chunks: u32,
    shard: Shard,
) -> Result<Arc<LiveWriter>> {
    let lock = ProducerLock::acquire_shard(dir, shard)?;
    let decide = |former: Option<Manifest>| -> std::result::Result<_, BufferError> {
        Ok(former.is_none().then(|| manifest(chunks)))
    };
    let manifest = LiveWriter::set_up(&lock, &*storage, decide)?;
    Ok(LiveWriter::start(lock, storage, manifest)?)
}

pub(super) fn follower(dir: &Path) -> Result<Follower> {
    Ok(Follower::new(dir, FollowerOptions { window: 2, seed: 1, stored_images: false })?)
}

/// Writes samples with these numbers, which become their steps, under a lease.
pub(super) fn write(
    lease: Lease,
    numbers: &[u32],
) -> std::result::Result<(LeasedChunk, rdt_chunk::ChunkSummary), BufferError> {
    let chunk = lease.chunk();
    let leased = lease.begin()?;
    let spec = leased.spec([7; 16]);
    let steps = numbers.iter().max().map_or(1, |last| last + 1);
    let info = EpisodeInfo {
        origin: Origin { source: "toy.hdf5".into(), key: "demo_0".into() },
        states: steps,
        actions: steps,
        steps,
        first_step: 0,
        num_steps: steps - 1,
        cameras: fixed::schema().cameras,
        instructions: Instruction::only("Wait."),
        state_std: vec![0.5; 2],
        state_mean: vec![1.0; 2],
        state_norm: vec![1.0; 2],
    };
    let (order, flip) = Default::default();
    let form = FrameForm { encoding: FrameEncoding::Raw, height: 2, width: 2, order, flip };
    let states: Vec<f64> = (0..2 * steps).map(f64::from).collect();
    let written = (|| {
        let mut writer = ChunkWriter::create(leased, spec, ImageCodec::Auto, vec![fixed::schema()])?;
        writer.add_episode::<ChunkError>(0, info, &states, &states, numbers, &mut |_, step, pixels| {
            pixels.clear();
            pixels.resize(12, step as u8);
            Ok(form)
        })?;
        writer.finish()
    })();
    written.map_err(|source| BufferError::Chunk { chunk, source })
}

/// The samples that a lease carries, by number.
pub(super) fn carried(lease: &Lease) -> Result<Vec<u32>> {
    if lease.carried().is_empty() {
        return Ok(Vec::new());
    }
    let chunk = lease.former()?.ok_or("no former chunk")?;
    lease.carried().iter().map(|slot| Ok(chunk.sample(slot.get())?.step())).collect()
}

/// Refills one chunk, if one is ready, with what it carries and new numbers; returns these.
pub(super) fn refill(writer: &Arc<LiveWriter>, refill_at: f64, next: &mut u32) -> Result<Option<Vec<u32>>> {
    let Some(lease) = writer.lease(true, refill_at) else { return Ok(None) };
    let mut numbers = carried(&lease)?;
    let new: Vec<u32> = (*next..).take(CHUNK_SIZE as usize - numbers.len()).collect();
    numbers.extend(&new);
    let (leased, summary) = write(lease, &numbers)?;
    leased.publish(&summary)?;
    *next += new.len() as u32;
    Ok(Some(new))
}

/// Consumes everything, refills every chunk, consumes that: nothing is left but the bits of what is
/// published, and at most one generation more of each chunk.
pub(super) fn assert_settles(dir: &Path, chunks: u32, next: &mut u32) -> Result {
    let writer = start(dir, Arc::new(Disk), chunks)?;
    for is_refilled in [false, true] {
        let mut follower = follower(dir)?;
        while let Some(sample) = follower.claim()? {
            sample.deliver();
        }
        drop(follower);
        writer.settle()?;
        if !is_refilled {
            for _ in 0..chunks {
                refill(&writer, 1.0, next)?.ok_or("no chunk to refill")?;
            }
        }
    }
    let bits = std::fs::read_dir(dir.join(layout::BITS))?.count();
    assert!(bits <= 2 * chunks as usize, "{bits} bits files of {chunks} chunks");
    let totals = totals(dir)?;
    assert_eq!((totals.unread, totals.in_flight), (0, 0), "{totals:?}");
    Ok(())
}
