//! Episodes made of a few numbers: every row, value and pixel is told by its place.

use std::io::Cursor;

use rdt_schema::{
    CameraSlot, ChannelOrder, DatasetSchema, EpisodeInfo, Flip, FrameEncoding, FrameForm, Instruction,
    Origin, Window,
};

use crate::codec::jpeg;
use crate::{Chunk, ChunkError, ChunkSpec, ChunkWriter, FrameStorage, ImageCodec};

/// An episode with all that a writer takes.
#[derive(Debug, Clone)]
pub(crate) struct Toy {
    pub(crate) dataset: u16,
    pub(crate) info: EpisodeInfo,
    pub(crate) states: Vec<f64>,
    pub(crate) actions: Vec<f64>,
    pub(crate) form: FrameForm,
    pub(crate) seed: u64,
}

/// A data set of 3 state columns; 2 action columns where actions are recorded.
pub(crate) fn dataset(window: Window, cameras: [bool; 4]) -> DatasetSchema {
    let is_next_state = window.action_source == rdt_schema::ActionSource::NextState;
    DatasetSchema {
        name: "toy".into(),
        state_columns: vec![30, 127, 0],
        action_columns: if is_next_state { vec![30, 127, 0] } else { vec![10, 31] },
        window,
        cameras,
        control_freq: 12.5,
        norm_of_actions: !is_next_state,
    }
}

/// Raw frames of that size, upright RGB.
pub(crate) fn raw(height: u32, width: u32) -> FrameForm {
    let encoding = FrameEncoding::Raw;
    FrameForm { encoding, height, width, order: ChannelOrder::Rgb, flip: Flip::None }
}

impl Toy {
    pub(crate) fn new(schema: &DatasetSchema, steps: u32, actions: u32, form: FrameForm, seed: u64) -> Self {
        let is_next_state = schema.window.action_source == rdt_schema::ActionSource::NextState;
        let (states, actions) = if is_next_state { (steps, steps) } else { (steps, actions) };
        let row = |rows: u32, width: usize, salt: u64| -> Vec<f64> {
            (0..rows as usize * width)
                .map(|i| (mix(seed ^ salt ^ i as u64) % 1000) as f64 / 7.0 - 50.0)
                .collect()
        };
        let state_values = row(states, 3, 1 << 32);
        let action_values = if is_next_state { state_values.clone() } else { row(actions, 2, 2 << 32) };
        let columns = |count: usize, salt: f32| (0..count).map(|i| salt + i as f32).collect();
        Self {
            dataset: 0,
            info: EpisodeInfo {
                origin: Origin { source: "folder/toy.hdf5".into(), key: format!("demo_{seed}") },
                states,
                actions,
                steps,
                first_step: 0,
                num_steps: steps,
                cameras: schema.cameras,
                instructions: vec![
                    Instruction { weight: 0.75, text: "Öffne die Schublade.".into() },
                    Instruction { weight: 0.25, text: "Open the drawer.".into() },
                ],
                state_std: columns(3, 0.5),
                state_mean: columns(3, -1.0),
                state_norm: columns(schema.norm_columns().len(), 2.0),
            },
            states: state_values,
            actions: action_values,
            form,
            seed,
        }
    }

    /// Upright RGB pixels of a frame: smooth with a little noise, as pictures are.
    pub(crate) fn pixels(&self, camera: CameraSlot, index: u32) -> Vec<u8> {
        let (height, width) = (self.form.height as usize, self.form.width as usize);
        let salt = self.seed << 40 | (camera.index() as u64) << 32 | u64::from(index);
        (0..height * width * 3)
            .map(|i| {
                let base = (i / 7 + camera.index() * 40) as u8;
                if i < 16 { mix(salt ^ (i as u64) << 56) as u8 } else { base }
            })
            .collect()
    }

    /// The frame as a source holds it: in this episode's form.
    pub(crate) fn source(&self, camera: CameraSlot, index: u32) -> Vec<u8> {
        let mut pixels = self.pixels(camera, index);
        crate::codec::pixels::turn_upright(&mut pixels, self.form.width, self.form.flip);
        if self.form.order == ChannelOrder::Bgr {
            pixels.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2));
        }
        match self.form.encoding {
            FrameEncoding::Raw => pixels,
            FrameEncoding::Jpeg => {
                let mut file = Vec::new();
                let (height, width) = (self.form.height as usize, self.form.width as usize);
                jpeg::Encoder::new(90).unwrap().encode(&pixels, height, width, &mut file).unwrap();
                file
            }
        }
    }
}

/// A chunk's specification with room for `capacity` samples.
pub(crate) fn spec(capacity: u32) -> ChunkSpec {
    ChunkSpec { chunk: 17, generation: 5, capacity, plan_digest: *b"sixteen bytes ok" }
}

/// Writes episodes with their steps.
pub(crate) fn write(
    storage: impl Into<FrameStorage>,
    capacity: u32,
    datasets: Vec<DatasetSchema>,
    episodes: &[(Toy, Vec<u32>)],
) -> Result<Vec<u8>, ChunkError> {
    let mut writer = ChunkWriter::create(Cursor::new(Vec::new()), spec(capacity), storage, datasets)?;
    for (toy, steps) in episodes {
        add(&mut writer, toy, steps)?;
    }
    let (out, summary) = writer.finish()?;
    let bytes = out.into_inner();
    assert_eq!(summary.file_bytes, bytes.len() as u64);
    Ok(bytes)
}

/// Adds one episode.
pub(crate) fn add(
    writer: &mut ChunkWriter<Cursor<Vec<u8>>>,
    toy: &Toy,
    steps: &[u32],
) -> Result<(), ChunkError> {
    writer.add_episode(
        toy.dataset,
        toy.info.clone(),
        &toy.states,
        &toy.actions,
        steps,
        &mut |camera, index, out| {
            out.extend_from_slice(&toy.source(camera, index));
            Ok::<_, ChunkError>(toy.form)
        },
    )
}

/// A chunk of 3 samples with 2 cameras, about 1.5 KB.
pub(crate) fn small(codec: ImageCodec) -> Vec<u8> {
    let schema = dataset(Window { image_history: 2, ..Window::recorded(3, 2) }, [true, true, false, false]);
    let mut form = raw(8, 8);
    if codec == ImageCodec::Auto {
        form.encoding = FrameEncoding::Jpeg;
    }
    let toy = Toy::new(&schema, 4, 4, form, 3);
    write(codec, 4, vec![schema], &[(toy, vec![1, 2, 0])]).unwrap()
}

/// Opens bytes that must be a chunk.
pub(crate) fn open(bytes: &[u8]) -> Chunk<&[u8]> {
    Chunk::open(bytes).unwrap()
}

/// splitmix64.
pub(crate) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
