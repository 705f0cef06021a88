//! The work that all benches share: one LIBERO episode of `tests/data`, as an episode and as a
//! buffer of it. Panics where the sample data is not what the repository holds.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rdt_buffer::Buffer;
use rdt_chunk::{ChunkError, ChunkSpec, ChunkWriter, ImageCodec};
use rdt_consumer::{
    BatchPosition, BatchShape, ConsumerError, Delivery, LastBatch, Layout, Loader, LoaderOptions,
    OnBadSample, OrderedOptions, Ranks, Workers,
};
use rdt_episode::{Dataset, Episode, EpisodeError, Verdict};
use rdt_producer::{DatasetSpec, Options, StopFlag, fill};
use rdt_schema::{Config, DatasetCard};

/// Why an episode could not be encoded.
#[derive(Debug)]
pub struct Fault(pub String);

impl From<ChunkError> for Fault {
    fn from(error: ChunkError) -> Self {
        Self(error.to_string())
    }
}

impl From<EpisodeError> for Fault {
    fn from(error: EpisodeError) -> Self {
        Self(error.to_string())
    }
}

fn repository() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn libero() -> PathBuf {
    repository().join("tests/data/libero")
}

/// RDT's configuration, as shipped.
pub fn config() -> Config {
    Config::from_file(&config_path()).expect("configs/base.yaml")
}

/// Where it is.
pub fn config_path() -> PathBuf {
    repository().join("configs/base.yaml")
}

/// The LIBERO sample as a data set.
pub fn dataset() -> Dataset {
    let card = DatasetCard::from_file(&repository().join("configs/datasets/libero.yaml")).expect("the card");
    Dataset::open("libero", card, &libero(), &config()).expect("tests/data/libero")
}

/// Its first episode.
pub fn episode(dataset: &Dataset) -> Episode {
    let file = dataset.open_file(&dataset.files()[0]).expect("a file");
    match file.episode(&file.keys()[0]).expect("an episode") {
        Verdict::Accepted(episode) => *episode,
        Verdict::Filtered(reason) => panic!("the episode is filtered: {reason}"),
    }
}

/// Encodes an episode as a chunk in memory.
pub fn encode(dataset: &Dataset, episode: &Episode, codec: ImageCodec) -> Vec<u8> {
    let schema = dataset.schema();
    let steps: Vec<u32> = episode.sample_steps(schema).collect();
    let spec = ChunkSpec { chunk: 0, generation: 1, capacity: steps.len() as u32, plan_digest: [0; 16] };
    let out = std::io::Cursor::new(Vec::new());
    let mut writer = ChunkWriter::create(out, spec, codec, vec![schema.clone()]).expect("a writer");
    let mut frame = |slot, step, pixels: &mut Vec<u8>| episode.frame(slot, step, pixels).map_err(Fault::from);
    writer
        .add_episode(0, episode.info().clone(), episode.states(), episode.actions(), &steps, &mut frame)
        .expect("an encoded episode");
    writer.finish().expect("a sealed chunk").0.into_inner()
}

/// Fills a buffer at `dir` with the sample.
pub fn write(dir: &Path, codec: ImageCodec) -> Arc<Buffer> {
    let path = config_path();
    let text = std::fs::read_to_string(&path).expect("configs/base.yaml");
    let spec = DatasetSpec::parse(&format!("libero={}", libero().display())).expect("a data set");
    let options = Options { frames: codec.into(), ..Options::new(vec![spec], config(), path, text) };
    fill(&options, dir, &StopFlag::default(), &|_| {}).expect("a filled buffer");
    Arc::new(Buffer::open_complete(dir).expect("a complete buffer"))
}

/// Endless batches of `batch` samples by one thread.
pub fn loader(buffer: &Arc<Buffer>, batch: u32, delivery: Delivery) -> Result<Loader, ConsumerError> {
    let batches = OrderedOptions {
        seed: 1,
        global_batch: batch,
        ranks: Ranks::ONE,
        last: LastBatch::Drop,
        order: Default::default(),
        selection: None,
        start: BatchPosition::default(),
        end: None,
    };
    let options = LoaderOptions {
        layout: Layout { shape: BatchShape::of(&config().common), delivery },
        workers: Workers { threads: 1, batches_ahead: 1 },
        disturbance: Default::default(),
        on_bad_sample: OnBadSample::Fail,
    };
    Loader::ordered(buffer.clone(), batches, options)
}
