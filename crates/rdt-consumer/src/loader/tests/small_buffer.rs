//! A buffer made on the spot: two data sets of different cameras, sizes and instructions,
//! with frames and rows that can be computed from (episode, camera, step).

use std::path::Path;
use std::sync::Arc;

use rdt_buffer::storage::Disk;
use rdt_buffer::{
    Buffer, BufferState, BufferWriter, ChunkId, FillSettings, Manifest, ManifestDataset, ProducerLock,
};
use rdt_chunk::{ChunkError, ChunkSpec, ChunkWriter, ImageCodec};
use rdt_schema::TextFile;
use rdt_schema::statistics::StatisticsSum;
use rdt_schema::{
    CameraSlot, DatasetSchema, EpisodeInfo, FrameEncoding, FrameForm, Instruction, Origin, Window,
};

pub(crate) const CHUNK_SIZE: u32 = 7;
pub(crate) const HISTORY: usize = 2;
pub(crate) const ACTION_ROWS: usize = 8;
/// Steps of each episode; even ones are of data set 0, odd ones of data set 1.
pub(crate) const STEPS: [u32; 4] = [13, 5, 9, 8];

/// Rows and columns of a data set's frames.
pub(crate) fn frame_size(dataset: usize) -> (usize, usize) {
    [(6, 6), (5, 8)][dataset]
}

/// Level of all pixels of a frame.
pub(crate) fn level(episode: usize, camera: CameraSlot, step: u32) -> u8 {
    (episode * 60 + camera.index() * 20) as u8 + step as u8
}

/// All columns of a state row.
pub(crate) fn state(episode: usize, step: u32) -> f64 {
    episode as f64 * 100.0 + f64::from(step)
}

/// Number of samples.
pub(crate) fn samples() -> u64 {
    STEPS.iter().map(|steps| u64::from(*steps)).sum()
}

/// Episode and step of a sample: episodes lie in the buffer one after the other.
pub(crate) fn place(sample: u64) -> (usize, u32) {
    let mut left = sample as u32;
    for (episode, steps) in STEPS.into_iter().enumerate() {
        if left < steps {
            return (episode, left);
        }
        left -= steps;
    }
    panic!("sample {sample} of {}", samples());
}

pub(crate) fn schema(dataset: usize) -> DatasetSchema {
    let columns = [vec![30, 31, 32], vec![0, 1]][dataset].clone();
    DatasetSchema {
        name: ["first", "second"][dataset].into(),
        state_columns: columns.clone(),
        action_columns: columns,
        window: Window::next_state(ACTION_ROWS as u16, HISTORY as u8),
        cameras: [[true, true, false, false], [true, false, false, true]][dataset],
        control_freq: [20.0, 50.0][dataset],
        norm_of_actions: false,
    }
}

pub(crate) fn instructions(episode: usize) -> Vec<Instruction> {
    match episode % 2 {
        0 => Instruction::only(format!("Do {episode}.")),
        _ => ["Left.", "Right."].map(|text| Instruction { weight: 0.5, text: text.into() }).into(),
    }
}

fn info(episode: usize) -> EpisodeInfo {
    let schema = schema(episode % 2);
    let columns = schema.state_columns.len();
    EpisodeInfo {
        origin: Origin { source: "file.hdf5".into(), key: format!("demo_{episode}") },
        states: STEPS[episode],
        actions: STEPS[episode],
        steps: STEPS[episode],
        first_step: 0,
        num_steps: STEPS[episode] - 1,
        cameras: schema.cameras,
        instructions: instructions(episode),
        state_std: vec![0.5; columns],
        state_mean: vec![1.0; columns],
        state_norm: vec![episode as f32 + 2.0; columns],
    }
}

/// Writes the buffer to `dir`, and opens it.
pub(crate) fn write(dir: &Path) -> Arc<Buffer> {
    let lock = ProducerLock::acquire(dir).unwrap();
    let mut writer = BufferWriter::start(lock, Arc::new(Disk), manifest()).unwrap();
    let schemas = || vec![schema(0), schema(1)];
    let mut first = 0;
    for chunk in 0..samples().div_ceil(u64::from(CHUNK_SIZE)) as u32 {
        let spec = ChunkSpec { chunk, generation: 0, capacity: CHUNK_SIZE, plan_digest: [0; 16] };
        let file = writer.begin(ChunkId::new(chunk), 0).unwrap();
        let mut out = ChunkWriter::create(file, spec, ImageCodec::Auto, schemas()).unwrap();
        let held: Vec<_> = (first..samples().min(first + u64::from(CHUNK_SIZE))).map(place).collect();
        first += held.len() as u64;
        for episode in 0..STEPS.len() {
            let steps: Vec<u32> = held.iter().filter(|at| at.0 == episode).map(|at| at.1).collect();
            if !steps.is_empty() {
                add(&mut out, episode, &steps);
            }
        }
        let (file, summary) = out.finish().unwrap();
        writer.publish(file, &summary).unwrap();
    }
    let complete = Manifest { state: BufferState::Complete, ..writer.manifest().clone() };
    writer.write_manifest(complete).unwrap();
    Arc::new(Buffer::open_complete(dir).unwrap())
}

fn add<W: std::io::Write + std::io::Seek>(out: &mut ChunkWriter<W>, episode: usize, steps: &[u32]) {
    let dataset = episode % 2;
    let columns = schema(dataset).state_columns.len();
    let states: Vec<f64> =
        (0..STEPS[episode]).flat_map(|step| std::iter::repeat_n(state(episode, step), columns)).collect();
    let (height, width) = frame_size(dataset);
    let form = FrameForm {
        encoding: FrameEncoding::Raw,
        height: height as u32,
        width: width as u32,
        order: Default::default(),
        flip: Default::default(),
    };
    let mut frame = |camera, step, pixels: &mut Vec<u8>| -> Result<FrameForm, ChunkError> {
        pixels.clear();
        pixels.resize(height * width * 3, level(episode, camera, step));
        Ok(form)
    };
    out.add_episode(dataset as u16, info(episode), &states, &states, steps, &mut frame).unwrap();
}

fn manifest() -> Manifest {
    let text = || TextFile { path: "none".into(), text: String::new() };
    let dataset = |dataset: usize| ManifestDataset {
        schema: schema(dataset),
        root: "/data".into(),
        card_name: "none".into(),
        card: text(),
        weight: 1.0,
        files: 1,
        episodes: 2,
        steps: STEPS.iter().skip(dataset).step_by(2).map(|steps| u64::from(*steps)).sum(),
        samples: STEPS.iter().skip(dataset).step_by(2).map(|steps| u64::from(*steps)).sum(),
        source_digest: String::new(),
        digest: String::new(),
        extremes: Default::default(),
        statistics: StatisticsSum::default().finish("none"),
    };
    Manifest {
        format: rdt_buffer::manifest::FORMAT.into(),
        format_version: rdt_buffer::FORMAT_VERSION,
        state: BufferState::Filling,
        samples: samples(),
        chunk_size: CHUNK_SIZE,
        fill: FillSettings {
            sampling: "all".into(),
            num_chunks: None,
            seed: 0,
            image_codec: "auto".into(),
            frame_size: None,
            check_frames: false,
            spread: None,
        },
        plan_digest: String::new(),
        config: text(),
        lists: Vec::new(),
        datasets: vec![dataset(0), dataset(1)],
        skipped: Vec::new(),
        filtered: Vec::new(),
        found_while_writing: Vec::new(),
        live: None,
        started_unix_ms: 0,
        written_by: "test".into(),
    }
}
