//! Writing a chunk: frames stream out as they come, tables and rows are kept until the
//! end, the header is written last.
//!
//! Until [`ChunkWriter::finish`] the output starts with zeros, so an unfinished file is
//! no chunk. Memory is that of the tables, the rows and a frame or two.

use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;

use rdt_schema::{ActionSource, CameraSlot, DatasetSchema, EpisodeInfo, FrameForm};

use crate::checksum::Checksum;
use crate::encode::FrameEncoder;
use crate::error::ChunkError;
use crate::frame_storage::FrameStorage;
use crate::frame_table::{FrameRecord, MAX_SAMPLE_PIXELS, NO_REFERENCE};
use crate::header::{HEADER_LENGTH, Header};
use crate::layout::{Layout, camera_count};
use crate::metadata::{ChunkEpisode, MAX_METADATA_BYTES, Metadata, check_dataset, check_episode};
use crate::rows::VALUE;
use crate::sample_table::{SAMPLE_RECORD_LENGTH, SampleRecord};
use crate::spans::MergedSpans;

/// Where a writer takes frames from: puts the bytes of frame `u32` of the camera into the
/// vector, which is empty, and returns their form.
pub type FrameSource<'a, E> = dyn FnMut(CameraSlot, u32, &mut Vec<u8>) -> Result<FrameForm, E> + 'a;

/// What a chunk is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSpec {
    /// The chunk's number in its buffer.
    pub chunk: u32,
    /// Which filling of this chunk it is.
    pub generation: u64,
    /// Most samples; at least 1.
    pub capacity: u32,
    /// Digest of the plan that the chunk is made by; the caller's matter.
    pub plan_digest: [u8; 16],
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSummary {
    /// The header as written.
    pub header: Header,
    /// Length of the file in bytes.
    pub file_bytes: u64,
}

/// Writes one chunk.
///
/// See the [crate] for an example.
pub struct ChunkWriter<W> {
    out: W,
    spec: ChunkSpec,
    encoder: FrameEncoder,
    metadata: Metadata,
    /// First byte after the frames written so far.
    end: u64,
    frame_table: Vec<u8>,
    frames: u32,
    sample_table: Vec<u8>,
    rows: Vec<u8>,
    /// A frame as the source gave it.
    source: Vec<u8>,
    /// An episode failed half way: its frames are there, its samples are not.
    broken: bool,
}

impl<W> std::fmt::Debug for ChunkWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChunkWriter")
            .field("spec", &self.spec)
            .field("frames", &self.frames)
            .finish_non_exhaustive()
    }
}

impl<W: Write + Seek> ChunkWriter<W> {
    /// Starts a chunk in `out`, an empty file; `datasets` are those of the whole buffer.
    ///
    /// # Errors
    /// The capacity is 0, frames are to have a size that the format has not, a data set's windows or columns are out of range, or `out`
    /// refuses bytes.
    pub fn create(
        mut out: W,
        spec: ChunkSpec,
        storage: impl Into<FrameStorage>,
        datasets: Vec<DatasetSchema>,
    ) -> Result<Self, ChunkError> {
        if spec.capacity == 0 {
            return Err(ChunkError::refused("the capacity of a chunk", 0, "at least 1"));
        }
        if datasets.len() > usize::from(u16::MAX) {
            let expected = format!("at most {}", u16::MAX);
            return Err(ChunkError::refused("the number of data sets", datasets.len(), expected));
        }
        for dataset in &datasets {
            check_dataset(dataset).map_err(|fault| fault.of(format_args!("data set {}", dataset.name)))?;
        }
        let encoder = FrameEncoder::new(storage.into())?;
        out.seek(SeekFrom::Start(0))
            .and_then(|_| out.write_all(&[0; HEADER_LENGTH]))
            .map_err(write_error(spec.chunk, "room for the header"))?;
        Ok(Self {
            out,
            spec,
            encoder,
            metadata: Metadata { datasets, episodes: Vec::new() },
            end: HEADER_LENGTH as u64,
            frame_table: Vec::new(),
            frames: 0,
            sample_table: Vec::new(),
            rows: Vec::new(),
            source: Vec::new(),
            broken: false,
        })
    }

    /// Samples written so far: the slot of the next one.
    pub fn samples(&self) -> u32 {
        (self.sample_table.len() / SAMPLE_RECORD_LENGTH) as u32
    }

    /// Adds samples of one episode: one slot for each of `steps`, in their order. Steps
    /// may repeat and be in any order. An episode is added once a chunk: its rows and
    /// frames are stored once for all its samples.
    ///
    /// `states` and `actions` are row-major and hold the whole episode, as wide as the
    /// data set's columns; in next-state form `actions` are the states again. `frame` is
    /// asked once for each frame that a sample shows: by index, and at each index for
    /// each camera present in slot order.
    ///
    /// # Errors
    /// The chunk has not enough free slots, numbers do not fit each other, a value is not
    /// finite as f32, a frame is not of the stated form or differs in size from its
    /// camera's others, `frame` fails, or the output refuses bytes. An error that comes
    /// after the first frame leaves the chunk incomplete: it cannot be finished.
    pub fn add_episode<E: From<ChunkError>>(
        &mut self,
        dataset: u16,
        info: EpisodeInfo,
        states: &[f64],
        actions: &[f64],
        steps: &[u32],
        frame: &mut FrameSource<'_, E>,
    ) -> Result<(), E> {
        self.check_episode(dataset, &info, states, actions, steps)?;
        let schema = &self.metadata.datasets[usize::from(dataset)];
        let layouts: Vec<Layout> = steps.iter().map(|&step| Layout::of(schema, &info, step)).collect();
        let is_next_state = schema.window.action_source == ActionSource::NextState;
        let (state_width, action_width) = (schema.state_columns.len(), schema.action_columns.len());

        let state_spans = layouts.iter().map(|l| l.states.rows.clone());
        let action_spans = layouts.iter().map(|l| l.actions.rows.clone());
        let whose = info.origin.to_string();
        self.broken = true;
        let (state_rows, action_rows);
        if is_next_state {
            state_rows =
                self.add_rows(&whose, states, state_width, state_spans.chain(action_spans).collect())?;
            action_rows = state_rows.clone();
        } else {
            state_rows = self.add_rows(&whose, states, state_width, state_spans.collect())?;
            action_rows = self.add_rows(&whose, actions, action_width, action_spans.collect())?;
        }
        let frames = MergedSpans::of(layouts.iter().map(|l| l.frames.rows.clone()).collect());
        let first_frame = self.frames;
        self.add_frames(dataset, &info, &frames, frame)?;

        let episode = self.metadata.episodes.len() as u32;
        let cameras = camera_count(&info);
        for (layout, &step) in layouts.iter().zip(steps) {
            let record = SampleRecord {
                episode,
                step,
                first_state: state_rows.first_value(layout.states.rows.start),
                first_action: action_rows.first_value(layout.actions.rows.start),
                first_frame: first_frame + position(&frames, layout.frames.rows.start) as u32 * cameras,
            };
            self.sample_table.extend_from_slice(&record.to_bytes());
        }
        self.metadata.episodes.push(ChunkEpisode { dataset, info });
        self.broken = false;
        Ok(())
    }

    /// Checks all that can be checked before anything is kept.
    fn check_episode(
        &self,
        dataset: u16,
        info: &EpisodeInfo,
        states: &[f64],
        actions: &[f64],
        steps: &[u32],
    ) -> Result<(), ChunkError> {
        let whose = format_args!("episode {}", info.origin);
        let refused = |what: &str, found: &dyn ToString, expected: &dyn ToString| {
            let what = format!("{whose}: {what}");
            Err(ChunkError::refused(what, found.to_string(), expected.to_string()))
        };
        if self.broken {
            return Err(ChunkError::Incomplete { chunk: self.spec.chunk });
        }
        let Some(schema) = self.metadata.datasets.get(usize::from(dataset)) else {
            let expected = format!("less than {}", self.metadata.datasets.len());
            return refused("the data set", &dataset, &expected);
        };
        check_episode(schema, info).map_err(|fault| fault.of(whose))?;
        let free = self.spec.capacity - self.samples();
        if steps.len() > free as usize {
            return refused("the samples", &steps.len(), &format!("at most {free}, the free slots"));
        }
        for (what, values, rows, columns) in [
            ("the state values", states, info.states, &schema.state_columns),
            ("the action values", actions, info.actions, &schema.action_columns),
        ] {
            if values.len() as u64 != u64::from(rows) * columns.len() as u64 {
                return refused(what, &values.len(), &format!("{rows} rows of {}", columns.len()));
            }
        }
        if let Some(step) = steps.iter().find(|&step| !(info.first_step..info.steps).contains(step)) {
            return refused("a step", step, &format!("{} to {}", info.first_step, info.steps - 1));
        }
        let known = |known: &ChunkEpisode| known.dataset == dataset && known.info.origin == info.origin;
        if self.metadata.episodes.iter().any(known) {
            return refused("its place in the chunk", &"a second one", &"one: pass all its steps at once");
        }
        Ok(())
    }

    /// Keeps the rows of `spans` as f32.
    fn add_rows(
        &mut self,
        whose: &str,
        values: &[f64],
        width: usize,
        spans: Vec<Range<u32>>,
    ) -> Result<StoredRows, ChunkError> {
        let spans = MergedSpans::of(spans);
        let first = (self.rows.len() / VALUE) as u64;
        if first + spans.len() * width as u64 > u64::from(u32::MAX) {
            let expected = format!("at most {} in a chunk", u32::MAX);
            return Err(ChunkError::refused(format!("episode {whose}: the row values"), "more", expected));
        }
        self.rows.reserve(spans.len() as usize * width * VALUE);
        for row in spans.indices() {
            let start = row as usize * width;
            for &value in &values[start..start + width] {
                let stored = value as f32;
                if !stored.is_finite() {
                    let what = format!("episode {whose}: a value of row {row}");
                    return Err(ChunkError::refused(what, value, "a finite 32-bit number"));
                }
                self.rows.extend_from_slice(&stored.to_le_bytes());
            }
        }
        Ok(StoredRows { spans, first, width })
    }

    /// Encodes and writes the frames of `spans`, camera by camera at each index.
    fn add_frames<E: From<ChunkError>>(
        &mut self,
        dataset: u16,
        info: &EpisodeInfo,
        spans: &MergedSpans,
        frame: &mut FrameSource<'_, E>,
    ) -> Result<(), E> {
        self.encoder.start_episode();
        let mut sizes = [None; CameraSlot::COUNT];
        let mut stored = [0; CameraSlot::COUNT];
        for index in spans.indices() {
            for camera in CameraSlot::ALL.into_iter().filter(|camera| info.cameras[camera.index()]) {
                self.source.clear();
                let form = frame(camera, index, &mut self.source)?;
                let size = *sizes[camera.index()].get_or_insert((form.height, form.width));
                if size != (form.height, form.width) {
                    let what =
                        format!("episode {}: the size of {} frame {index}", info.origin, camera.name());
                    let found = format!("{} x {}", form.height, form.width);
                    let expected = format!("{} x {}, as the frames before it", size.0, size.1);
                    return Err(ChunkError::refused(what, found, expected).into());
                }
                let history = u64::from(self.metadata.datasets[usize::from(dataset)].window.image_history);
                let (height, width) = self.encoder.stored_size(&form);
                stored[camera.index()] = u64::from(height) * u64::from(width);
                let sample_pixels = stored.iter().sum::<u64>() * history;
                if sample_pixels > MAX_SAMPLE_PIXELS {
                    let what = format!("episode {}: the pixels of a sample", info.origin);
                    let expected = format!("at most {MAX_SAMPLE_PIXELS} over all cameras and frames");
                    return Err(ChunkError::refused(what, sample_pixels, expected).into());
                }
                self.add_frame(camera, &form).map_err(|error| match error {
                    ChunkError::Write { .. } => error,
                    fault => ChunkError::SourceFrame {
                        origin: info.origin.to_string(),
                        camera: camera.name(),
                        index,
                        source: Box::new(fault),
                    },
                })?;
            }
        }
        Ok(())
    }

    /// Encodes and writes the frame that is in `self.source`.
    fn add_frame(&mut self, camera: CameraSlot, form: &FrameForm) -> Result<(), ChunkError> {
        if self.frames == NO_REFERENCE {
            return Err(ChunkError::refused("the frames of a chunk", "more", NO_REFERENCE));
        }
        let encoded = self.encoder.encode(camera, self.frames, form, &self.source)?;
        let Ok(length) = u32::try_from(encoded.bytes.len()) else {
            let found = encoded.bytes.len();
            return Err(ChunkError::refused("the bytes of a frame", found, format!("at most {}", u32::MAX)));
        };
        let record = FrameRecord {
            offset: self.end,
            length,
            checksum: Checksum::of(encoded.bytes),
            reference: encoded.reference,
            codec: encoded.codec,
            form: encoded.form,
        };
        self.out.write_all(encoded.bytes).map_err(write_error(self.spec.chunk, "a frame"))?;
        self.end += u64::from(length);
        self.frames += 1;
        self.frame_table.extend_from_slice(&record.to_bytes());
        Ok(())
    }

    /// Writes tables, rows, metadata and header, and gives the output back, flushed.
    /// Syncing and publishing it is the caller's matter.
    ///
    /// # Errors
    /// An episode failed half way, the metadata is too large, or the output refuses bytes.
    pub fn finish(mut self) -> Result<(W, ChunkSummary), ChunkError> {
        if self.broken {
            return Err(ChunkError::Incomplete { chunk: self.spec.chunk });
        }
        let metadata = self.metadata.to_bytes()?;
        if metadata.len() > MAX_METADATA_BYTES {
            let expected = format!("at most {MAX_METADATA_BYTES}; make the chunks smaller");
            return Err(ChunkError::refused("the bytes of the metadata", metadata.len(), expected));
        }
        let sections = [&self.frame_table, &self.sample_table, &self.rows, &metadata];
        let mut section_lengths = [self.end - HEADER_LENGTH as u64, 0, 0, 0, 0];
        for (length, section) in section_lengths.iter_mut().skip(1).zip(sections) {
            *length = section.len() as u64;
        }
        let header = Header {
            chunk: self.spec.chunk,
            capacity: self.spec.capacity,
            generation: self.spec.generation,
            samples: self.samples(),
            frames: self.frames,
            plan_digest: self.spec.plan_digest,
            section_lengths,
            section_checksums: sections.map(|section| Checksum::of(section)),
        };
        for section in sections {
            self.out.write_all(section).map_err(write_error(self.spec.chunk, "the tables"))?;
        }
        self.out
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.out.write_all(&header.to_bytes()))
            .and_then(|()| self.out.flush())
            .map_err(write_error(self.spec.chunk, "the header"))?;
        Ok((self.out, ChunkSummary { header, file_bytes: header.file_bytes() }))
    }
}

/// Rows of an episode that were kept, and where.
#[derive(Debug, Clone)]
struct StoredRows {
    spans: MergedSpans,
    first: u64,
    width: usize,
}

impl StoredRows {
    /// Number of the first value of a kept row; below 2^32, as all values are.
    fn first_value(&self, row: u32) -> u32 {
        (self.first + position(&self.spans, row) * self.width as u64) as u32
    }
}

/// Position of an index that was kept.
fn position(spans: &MergedSpans, index: u32) -> u64 {
    spans.position(index).unwrap_or_else(|| unreachable!("the spans of all windows were merged"))
}

fn write_error(chunk: u32, what: &'static str) -> impl Fn(std::io::Error) -> ChunkError {
    move |source| ChunkError::Write { chunk, what, source }
}
