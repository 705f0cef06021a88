//! One sample of a chunk, undecoded: rows are spread into the caller's vectors, frames
//! are handed to a [`FrameDecoder`].

use std::ops::Range;

use rdt_schema::state_vec::scatter;
use rdt_schema::{CameraSlot, DatasetSchema, EpisodeInfo, Frames, Instruction, STATE_DIM, Sample};

use crate::decode::FrameDecoder;
use crate::error::{ChunkError, Place};
use crate::frame_table::FrameTable;
use crate::frame_view::FrameView;
use crate::header::Header;
use crate::layout::Layout;
use crate::metadata::Metadata;
use crate::rows::Rows;
use crate::sample_table::SampleRecord;

/// One sample of a chunk.
///
/// See the [crate] for an example.
#[derive(Debug, Clone)]
pub struct SampleView<'a> {
    opened: u64,
    header: &'a Header,
    slot: u32,
    record: SampleRecord,
    dataset_index: u16,
    dataset: &'a DatasetSchema,
    episode: &'a EpisodeInfo,
    layout: Layout,
    rows: Rows<'a>,
    frames: FrameTable<'a>,
    bytes: &'a [u8],
}

impl<'a> SampleView<'a> {
    /// Metadata and tables have been checked.
    pub(crate) fn new(
        (opened, header): (u64, &'a Header),
        slot: u32,
        record: SampleRecord,
        metadata: &'a Metadata,
        rows: Rows<'a>,
        frames: FrameTable<'a>,
        bytes: &'a [u8],
    ) -> Result<Self, ChunkError> {
        let found = metadata.episodes.get(record.episode as usize);
        let episode = found.ok_or_else(|| {
            ChunkError::invalid(Place::Sample(slot), "the episode", record.episode, "one of the metadata")
        })?;
        let dataset = &metadata.datasets[usize::from(episode.dataset)];
        let layout = Layout::of(dataset, &episode.info, record.step);
        Ok(Self {
            opened,
            header,
            slot,
            record,
            dataset_index: episode.dataset,
            dataset,
            episode: &episode.info,
            layout,
            rows,
            frames,
            bytes,
        })
    }

    /// What the chunk that holds the sample says about itself.
    pub fn chunk(&self) -> &'a Header {
        self.header
    }

    /// The slot that the sample is in.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// The data set that the sample is of.
    pub fn dataset(&self) -> &'a DatasetSchema {
        self.dataset
    }

    /// Its position among the buffer's data sets.
    pub fn dataset_index(&self) -> u16 {
        self.dataset_index
    }

    /// The episode that the sample is of.
    pub fn episode(&self) -> &'a EpisodeInfo {
        self.episode
    }

    /// Position of the episode in [`crate::Chunk::episodes`].
    pub fn episode_index(&self) -> u32 {
        self.record.episode
    }

    /// Original step.
    pub fn step(&self) -> u32 {
        self.record.step
    }

    /// Wordings of the instruction; never empty.
    pub fn instructions(&self) -> &'a [Instruction] {
        &self.episode.instructions
    }

    /// Writes the state window, `(state_rows, 128)`, and its time mask, `(state_rows,)`.
    ///
    /// # Errors
    /// The room is not of that size.
    pub fn write_state_chunk(&self, out: &mut [f32], mask: &mut [u8]) -> Result<(), ChunkError> {
        let rows = self.dataset.window.state_rows;
        check_room("the state window", out.len(), usize::from(rows) * STATE_DIM)?;
        check_room("the mask of the state window", mask.len(), usize::from(rows))?;
        let (step, first_step) = (self.record.step, self.episode.first_step);
        for ((j, row), valid) in (0..).zip(out.chunks_exact_mut(STATE_DIM)).zip(mask) {
            self.write_state_row(j, row);
            *valid = u8::from(self.dataset.window.state_mask(step, first_step, j));
        }
        Ok(())
    }

    /// Writes the last row of the state window, 128 wide: the state of the step itself.
    ///
    /// # Errors
    /// The room is not of that size.
    pub fn write_state(&self, out: &mut [f32]) -> Result<(), ChunkError> {
        check_room("the state", out.len(), STATE_DIM)?;
        self.write_state_row(u32::from(self.dataset.window.state_rows) - 1, out);
        Ok(())
    }

    fn write_state_row(&self, j: u32, out: &mut [f32]) {
        let columns = &self.dataset.state_columns;
        let index = self.layout.states.row(j) - self.layout.states.rows.start;
        spread(
            columns,
            self.rows.row(row_start(self.record.first_state, index, columns), columns.len()),
            out,
        );
    }

    /// Writes the action window, `(action_rows, 128)`, and its time mask,
    /// `(action_rows,)`; interpolated where the data set's window says so.
    ///
    /// # Errors
    /// The room is not of that size.
    pub fn write_action_chunk(&self, out: &mut [f32], mask: &mut [u8]) -> Result<(), ChunkError> {
        let rows = self.dataset.window.action_rows;
        check_room("the action window", out.len(), usize::from(rows) * STATE_DIM)?;
        check_room("the mask of the action window", mask.len(), usize::from(rows))?;
        for ((j, row), valid) in (0..).zip(out.chunks_exact_mut(STATE_DIM)).zip(mask) {
            self.write_action_row(j, row);
            *valid = u8::from(self.dataset.window.action_mask(self.record.step, self.episode.actions, j));
        }
        Ok(())
    }

    fn write_action_row(&self, j: u32, out: &mut [f32]) {
        let columns = &self.dataset.action_columns;
        let (lower, upper, weight) = self.dataset.window.resample_position(j);
        let source = |position| {
            let index = self.layout.actions.row(position) - self.layout.actions.rows.start;
            self.rows.row(row_start(self.record.first_action, index, columns), columns.len())
        };
        if weight == 0.0 {
            return spread(columns, source(lower), out);
        }
        let between = source(lower).zip(source(upper)).map(|(below, above)| {
            let (below, above) = (f64::from(below), f64::from(above));
            (below + weight * (above - below)) as f32
        });
        spread(columns, between, out);
    }

    /// Writes the mask of the state vector, 128 wide: 1 where the data set fills it.
    ///
    /// # Errors
    /// The room is not of that size.
    pub fn write_mask(&self, out: &mut [f32]) -> Result<(), ChunkError> {
        self.write_vector(&self.dataset.state_columns, None, out)
    }

    /// Writes the standard deviation of the episode's states, 128 wide.
    ///
    /// # Errors
    /// The room is not of that size.
    pub fn write_std(&self, out: &mut [f32]) -> Result<(), ChunkError> {
        self.write_vector(&self.dataset.state_columns, Some(&self.episode.state_std), out)
    }

    /// Writes the mean of the episode's states, 128 wide.
    ///
    /// # Errors
    /// The room is not of that size.
    pub fn write_mean(&self, out: &mut [f32]) -> Result<(), ChunkError> {
        self.write_vector(&self.dataset.state_columns, Some(&self.episode.state_mean), out)
    }

    /// Writes the root mean square of the episode's states (or actions), 128 wide.
    ///
    /// # Errors
    /// The room is not of that size.
    pub fn write_norm(&self, out: &mut [f32]) -> Result<(), ChunkError> {
        self.write_vector(self.dataset.norm_columns(), Some(&self.episode.state_norm), out)
    }

    fn write_vector(
        &self,
        columns: &[u8],
        values: Option<&[f32]>,
        out: &mut [f32],
    ) -> Result<(), ChunkError> {
        check_room("a state vector", out.len(), STATE_DIM)?;
        match values {
            Some(values) => scatter(columns, values, out),
            None => spread(columns, std::iter::repeat_n(1.0, columns.len()), out),
        }
        Ok(())
    }

    /// The frame at position `history` of a camera's window, oldest first. `None` where
    /// the episode lacks the camera, or `history` is past the window.
    pub fn frame(&self, camera: CameraSlot, history: u8) -> Option<FrameView<'a>> {
        if history >= self.dataset.window.image_history {
            return None;
        }
        let history = u32::from(history);
        let number = self.layout.frame(&self.record, self.episode, camera, history)?;
        let valid = self.dataset.window.frame_mask(self.record.step, self.episode.first_step, history);
        // The frame is there: every sample's frames were checked with the tables.
        FrameView::new(self.opened, number, valid, self.frames, self.bytes).ok()
    }

    /// All frames of the sample: by position in the window, and at each position by slot,
    /// as they lie in the file.
    pub fn frames(&self) -> impl Iterator<Item = FrameView<'a>> + '_ {
        let history = 0..self.dataset.window.image_history;
        history.flat_map(move |h| CameraSlot::ALL.into_iter().filter_map(move |camera| self.frame(camera, h)))
    }

    /// Checks the sample whole: all its frames are decoded.
    ///
    /// # Errors
    /// The first frame that is damaged.
    pub fn check(&self, decoder: &mut FrameDecoder) -> Result<(), ChunkError> {
        self.to_sample(decoder).map(drop)
    }

    /// The sample, decoded, under RDT's names. For tools and tests; training writes
    /// straight into batches.
    ///
    /// # Errors
    /// A frame is damaged.
    pub fn to_sample(&self, decoder: &mut FrameDecoder) -> Result<Sample, ChunkError> {
        let window = &self.dataset.window;
        let (state_rows, action_rows) = (usize::from(window.state_rows), usize::from(window.action_rows));
        let vector = || vec![0.0; STATE_DIM];
        let mut sample = Sample {
            dataset_name: self.dataset.name.clone(),
            source: self.episode.origin.source.clone(),
            key: self.episode.origin.key.clone(),
            num_steps: self.episode.num_steps,
            step_id: self.record.step,
            instructions: self.episode.instructions.clone(),
            control_freq: self.dataset.control_freq,
            state_chunk: vec![0.0; state_rows * STATE_DIM],
            state_chunk_time_mask: vec![0; state_rows],
            action_chunk: vec![0.0; action_rows * STATE_DIM],
            action_chunk_time_mask: vec![0; action_rows],
            state_vec_mask: vec![0; STATE_DIM],
            frames: Default::default(),
            state_std: vector(),
            state_mean: vector(),
            state_norm: vector(),
        };
        self.write_state_chunk(&mut sample.state_chunk, &mut sample.state_chunk_time_mask)?;
        self.write_action_chunk(&mut sample.action_chunk, &mut sample.action_chunk_time_mask)?;
        for &column in &self.dataset.state_columns {
            sample.state_vec_mask[usize::from(column)] = 1;
        }
        self.write_std(&mut sample.state_std)?;
        self.write_mean(&mut sample.state_mean)?;
        self.write_norm(&mut sample.state_norm)?;
        for (camera, frames) in CameraSlot::ALL.into_iter().zip(&mut sample.frames) {
            *frames = self.camera_frames(camera, decoder)?;
        }
        Ok(sample)
    }

    /// All frames of a camera. An absent one has no pixels and, as in RDT, a time mask
    /// all the same.
    fn camera_frames(&self, camera: CameraSlot, decoder: &mut FrameDecoder) -> Result<Frames, ChunkError> {
        let window = &self.dataset.window;
        let mut frames = Frames::default();
        let mut pixels = Vec::new();
        for history in 0..window.image_history {
            let mask = window.frame_mask(self.record.step, self.episode.first_step, u32::from(history));
            frames.time_mask.push(u8::from(mask));
            if let Some(frame) = self.frame(camera, history) {
                (frames.height, frames.width) = decoder.decode(&frame, &mut pixels)?;
                frames.pixels.extend_from_slice(&pixels);
            }
        }
        Ok(frames)
    }

    /// Where the bytes of the sample's frames lie in the file, references included,
    /// neighbours merged.
    pub fn byte_ranges(&self) -> Vec<Range<usize>> {
        let frames = self.frames().flat_map(|frame| [frame.reference, Some(frame.stored)]).flatten();
        let mut ranges: Vec<Range<usize>> = frames.map(|frame| frame.range()).collect();
        ranges.sort_unstable_by_key(|range| range.start);
        ranges.dedup_by(|next, last| {
            let touches = next.start <= last.end;
            if touches {
                last.end = last.end.max(next.end);
            }
            touches
        });
        ranges
    }
}

fn row_start(first: u32, index: u32, columns: &[u8]) -> u64 {
    u64::from(first) + u64::from(index) * columns.len() as u64
}

/// Spreads values over one zeroed row of 128.
fn spread(columns: &[u8], values: impl Iterator<Item = f32>, out: &mut [f32]) {
    out.fill(0.0);
    for (&column, value) in columns.iter().zip(values) {
        out[usize::from(column)] = value;
    }
}

fn check_room(what: &'static str, found: usize, expected: usize) -> Result<(), ChunkError> {
    if found == expected { Ok(()) } else { Err(ChunkError::Room { what, found, expected }) }
}
