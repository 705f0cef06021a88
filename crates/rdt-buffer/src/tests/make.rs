//! Small buffers for tests.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use rdt_chunk::{ChunkError, ChunkSpec, ChunkSummary, ChunkWriter, ImageCodec};
use rdt_schema::statistics::StatisticsSum;
use rdt_schema::{
    DatasetSchema, EpisodeInfo, FrameEncoding, FrameForm, Instruction, Origin, TextFile, Window,
};

use crate::storage::{Disk, Storage};
use crate::*;

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

pub(crate) const CHUNK_SIZE: u32 = 4;

pub(crate) fn schema() -> DatasetSchema {
    DatasetSchema {
        name: "toy".into(),
        state_columns: vec![30, 31],
        action_columns: vec![30, 31],
        window: Window::next_state(4, 2),
        cameras: [true, false, false, false],
        control_freq: 20.0,
        norm_of_actions: false,
    }
}

/// A buffer of `samples` samples in chunks of [`CHUNK_SIZE`].
pub(crate) fn manifest(samples: u64, state: BufferState) -> Manifest {
    let text = |path: &str| TextFile { path: path.into(), text: "a: 1\nb: \"}\"\n".into() };
    let mut sums = StatisticsSum::default();
    sums.add(&[30, 31], &[0.1, 1.0 / 3.0, 1e-300, -7.0]);
    Manifest {
        format: manifest::FORMAT.into(),
        format_version: FORMAT_VERSION,
        state,
        samples,
        chunk_size: CHUNK_SIZE,
        fill: FillSettings {
            sampling: "all".into(),
            num_chunks: None,
            seed: u64::MAX,
            image_codec: "auto".into(),
            frame_size: None,
            check_frames: false,
            spread: None,
        },
        plan_digest: "00".repeat(16),
        config: text("base.yaml"),
        lists: vec![text("finetune_datasets.json")],
        datasets: vec![ManifestDataset {
            schema: schema(),
            root: "/data/toy".into(),
            card_name: "toy".into(),
            card: text("toy.yaml"),
            weight: 0.1,
            files: 1,
            episodes: 1,
            steps: samples,
            samples,
            source_digest: "22".repeat(16),
            digest: "11".repeat(16),
            extremes: None,
            statistics: sums.finish("toy"),
        }],
        skipped: Vec::new(),
        filtered: Vec::new(),
        found_while_writing: Vec::new(),
        live: None,
        started_unix_ms: 1,
        written_by: "test".into(),
    }
}

/// Writes chunk `id` of `samples` samples into `new`.
pub(crate) fn write_chunk<W: std::io::Write + std::io::Seek>(
    new: W,
    spec: ChunkSpec,
    samples: u32,
) -> std::result::Result<(W, ChunkSummary), ChunkError> {
    let info = EpisodeInfo {
        origin: Origin { source: "toy.hdf5".into(), key: "demo_0".into() },
        states: samples,
        actions: samples,
        steps: samples,
        first_step: 0,
        num_steps: samples - 1,
        cameras: schema().cameras,
        instructions: Instruction::only("Wait."),
        state_std: vec![0.5; 2],
        state_mean: vec![1.0; 2],
        state_norm: vec![1.0; 2],
    };
    let (order, flip) = Default::default();
    let form = FrameForm { encoding: FrameEncoding::Raw, height: 2, width: 2, order, flip };
    let mut writer = ChunkWriter::create(new, spec, ImageCodec::Auto, vec![schema()])?;
    let states: Vec<f64> = (0..2 * samples).map(f64::from).collect();
    let steps: Vec<u32> = (0..samples).collect();
    writer.add_episode::<ChunkError>(0, info, &states, &states, &steps, &mut |_, step, pixels| {
        pixels.clear();
        pixels.resize(12, step as u8);
        Ok(form)
    })?;
    writer.finish()
}

pub(crate) fn spec(id: ChunkId) -> ChunkSpec {
    ChunkSpec { chunk: id.get(), generation: 1, capacity: CHUNK_SIZE, plan_digest: [id.get() as u8; 16] }
}

/// Writes and publishes chunk `id`.
pub(crate) fn publish(writer: &BufferWriter, id: u32) -> Result {
    let id = ChunkId::new(id);
    let (new, summary) = write_chunk(writer.begin(id, 1)?, spec(id), writer.manifest().samples_of(id))?;
    Ok(writer.publish(new, &summary)?)
}

pub(crate) fn start(dir: &Path, samples: u64) -> Result<BufferWriter> {
    start_on(Arc::new(Disk), dir, samples)
}

pub(crate) fn start_on(storage: Arc<dyn Storage>, dir: &Path, samples: u64) -> Result<BufferWriter> {
    let manifest = manifest(samples, BufferState::Filling);
    Ok(BufferWriter::start(ProducerLock::acquire(dir)?, storage, manifest)?)
}

/// A whole buffer of two chunks, the last one not full.
pub(crate) fn whole(dir: &Path) -> Result {
    let mut writer = start(dir, 6)?;
    publish(&writer, 0)?;
    publish(&writer, 1)?;
    Ok(writer.write_manifest(manifest(6, BufferState::Complete))?)
}
