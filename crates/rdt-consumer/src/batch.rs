//! A batch: what one training step takes, as plain arrays.
//!
//! Arrays are row-major, one row a sample, and come from a pool: dropping a batch gives them
//! back to the loader that made it. Nothing here is a tensor; a trainer copies or wraps the
//! slices at its own edge. Time masks of states and actions are not delivered, since RDT's loss
//! does not use them.

use crossbeam_channel::Sender;
use rdt_buffer::SampleId;
use rdt_buffer::embedding::Element;
use rdt_schema::STATE_DIM;
use rdt_schema::config::CommonConfig;

use crate::batch_order::BatchPosition;
use crate::loader::Layout;
use crate::receipt::Receipt;
use crate::rows::{Row, Rows};

/// Sizes that all samples of a loader share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchShape {
    /// Rows of the action window (RDT: 64).
    pub action_rows: usize,
    /// Frames a camera contributes (RDT: 2).
    pub history: usize,
    /// Cameras that the network sees: the first ones of the four slots (RDT: 3).
    pub cameras: usize,
}

impl BatchShape {
    /// The shape that a configuration asks for.
    pub fn of(common: &CommonConfig) -> Self {
        Self {
            action_rows: common.action_chunk_size.into(),
            history: common.img_history_size.into(),
            cameras: common.num_cameras.into(),
        }
    }

    /// Images of a sample.
    pub fn images(&self) -> usize {
        self.history * self.cameras
    }
}

/// In which form images are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// Padded and resized on the CPU to squares of `size` pixels, equal to RDT's own up to its
    /// normalisation ([`rdt_image::normalise`]): that makes four bytes of one, so it comes last.
    Pixel {
        /// Side in pixels (RDT: 384).
        size: usize,
    },
    /// Decoded, upright RGB frames of their own size, for preprocessing elsewhere.
    Frames,
    /// The stored bytes of frames, their checksums compared, not decoded: for measuring how fast a
    /// buffer can be read at all.
    Stored,
    /// What the image encoder made of them, as it is stored in the buffer: nothing is decoded.
    Embeddings {
        /// Tokens of an image.
        tokens: u32,
        /// Numbers of a token.
        width: u32,
        /// What a number is.
        element: Element,
    },
}

impl Delivery {
    /// Bytes of an image in [`Batch::images`].
    pub fn image_bytes(self) -> usize {
        match self {
            Self::Pixel { size } => 3 * size * size,
            Self::Frames | Self::Stored => 0,
            Self::Embeddings { tokens, width, element } => tokens as usize * width as usize * element.bytes(),
        }
    }
}

/// A decoded frame; of no size where the image is invalid.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FrameImage {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `(height, width, 3)`, RGB; of [`Delivery::Stored`] the stored bytes.
    pub pixels: Vec<u8>,
}

/// What is not an array: one sample's names and numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleRecord {
    /// The sample; after a replacement the one that took the place.
    pub sample: SampleId,
    /// Its data set: a position in [`Loader::dataset_names`](crate::Loader::dataset_names).
    pub dataset: usize,
    /// Original step in the episode.
    pub step: u32,
    /// Steps a second; 0 where unknown.
    pub ctrl_freq: f32,
    /// The wording drawn for this visit of the sample.
    pub instruction: String,
    /// Its position among the episode's wordings.
    pub instruction_index: usize,
    /// For each image, in the order of [`Batch::images`], whether it shows a frame; the others
    /// are background.
    pub image_valid: Vec<bool>,
    /// For [`Delivery::Frames`] and [`Delivery::Stored`]: the images, in the order of [`Batch::images`]; else empty.
    pub frames: Vec<FrameImage>,
}

impl Default for SampleRecord {
    /// A record that no sample has been written to.
    fn default() -> Self {
        Self {
            sample: SampleId::new(0),
            dataset: 0,
            step: 0,
            ctrl_freq: 0.0,
            instruction: String::new(),
            instruction_index: 0,
            image_valid: Vec::new(),
            frames: Vec::new(),
        }
    }
}

/// One batch of one rank.
///
/// An incomplete last batch has fewer samples; a rank's piece of it may have none. Samples of a live
/// buffer belong to it until its [`Receipt`] is delivered; dropped with it, they are given back.
#[derive(Debug)]
pub struct Batch {
    position: BatchPosition,
    next: BatchPosition,
    layout: Layout,
    len: usize,
    store: Store,
    receipt: Receipt,
    pool: Sender<Store>,
}

impl Batch {
    pub(crate) fn assemble(
        (position, next): (BatchPosition, BatchPosition),
        layout: Layout,
        mut store: Store,
        slots: Vec<Slot>,
        receipt: Receipt,
        pool: Sender<Store>,
    ) -> Self {
        let len = slots.len();
        store.rejoin(slots);
        Self { position, next, layout, len, store, receipt, pool }
    }

    /// What is to be said of its samples once they were used.
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// Gives its memory back and keeps the receipt.
    pub fn into_receipt(mut self) -> Receipt {
        std::mem::take(&mut self.receipt)
    }

    /// Which batch this is.
    pub fn position(&self) -> BatchPosition {
        self.position
    }

    /// Where to start for the batch after this one: what a checkpoint saves.
    pub fn next_position(&self) -> BatchPosition {
        self.next
    }

    /// Samples in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether this rank's piece has no samples.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of its arrays and frames.
    pub fn bytes(&self) -> u64 {
        let arrays = [self.state(), self.state_mask(), self.actions(), self.state_std(), self.state_norm()];
        let frames = self.samples().iter().flat_map(|sample| &sample.frames);
        let bytes = arrays.map(size_of_val).iter().sum::<usize>()
            + self.images().len()
            + frames.map(|frame| frame.pixels.len()).sum::<usize>();
        bytes as u64
    }

    /// Sizes of the rows.
    pub fn shape(&self) -> BatchShape {
        self.layout.shape
    }

    /// In which form the images are.
    pub fn delivery(&self) -> Delivery {
        self.layout.delivery
    }

    /// Names and numbers of the samples.
    pub fn samples(&self) -> &[SampleRecord] {
        &self.store.records[..self.len]
    }

    /// `(len, 128)`: the state at the sample's own step, the last row of its window.
    pub fn state(&self) -> &[f32] {
        self.store.state.first(self.len)
    }

    /// `(len, 128)`: 1 where the data set's state fills the entry.
    pub fn state_mask(&self) -> &[f32] {
        self.store.state_mask.first(self.len)
    }

    /// `(len, action_rows, 128)`.
    pub fn actions(&self) -> &[f32] {
        self.store.actions.first(self.len)
    }

    /// `(len, 128)`: the episode's standard deviation of the states.
    pub fn state_std(&self) -> &[f32] {
        self.store.state_std.first(self.len)
    }

    /// `(len, 128)`: the episode's root mean square of the states (or actions).
    pub fn state_norm(&self) -> &[f32] {
        self.store.state_norm.first(self.len)
    }

    /// For [`Delivery::Pixel`]: `(len, history * cameras, size, size, 3)`, RGB, the oldest frame of all
    /// cameras first (external, right wrist, left wrist), invalid images background; else empty.
    /// For [`Delivery::Embeddings`]: `(len, history * cameras, tokens, width)`, as stored, invalid images the
    /// embedding of background.
    pub fn images(&self) -> &[u8] {
        self.store.images.first(self.len)
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // The loader may be gone: then the arrays are freed.
        let _ = self.pool.send(std::mem::take(&mut self.store));
    }
}

/// The recycled arrays of a batch.
#[derive(Debug)]
pub(crate) struct Store {
    state: Rows<f32>,
    state_mask: Rows<f32>,
    actions: Rows<f32>,
    state_std: Rows<f32>,
    state_norm: Rows<f32>,
    images: Rows<u8>,
    records: Vec<SampleRecord>,
    backgrounds: Vec<Vec<bool>>,
}

impl Default for Store {
    fn default() -> Self {
        Self::new(0, &BatchShape { action_rows: 0, history: 0, cameras: 0 }, Delivery::Frames)
    }
}

impl Store {
    /// Arrays for `samples` samples; their pages are touched when they are first written.
    pub(crate) fn new(samples: usize, shape: &BatchShape, delivery: Delivery) -> Self {
        let image_bytes = shape.images() * delivery.image_bytes();
        Self {
            state: Rows::zeroed(samples, STATE_DIM),
            state_mask: Rows::zeroed(samples, STATE_DIM),
            actions: Rows::zeroed(samples, shape.action_rows * STATE_DIM),
            state_std: Rows::zeroed(samples, STATE_DIM),
            state_norm: Rows::zeroed(samples, STATE_DIM),
            images: Rows::zeroed(samples, image_bytes),
            records: vec![SampleRecord::default(); samples],
            backgrounds: vec![vec![false; shape.images()]; samples],
        }
    }

    /// Lends the place of sample `index`, all before it being out.
    pub(crate) fn lend(&mut self, index: usize) -> Slot {
        Slot {
            state: self.state.lend(),
            state_mask: self.state_mask.lend(),
            actions: self.actions.lend(),
            state_std: self.state_std.lend(),
            state_norm: self.state_norm.lend(),
            images: self.images.lend(),
            record: std::mem::take(&mut self.records[index]),
            background: std::mem::take(&mut self.backgrounds[index]),
        }
    }

    fn rejoin(&mut self, slots: Vec<Slot>) {
        let (mut state, mut state_mask, mut actions) = (Vec::new(), Vec::new(), Vec::new());
        let (mut state_std, mut state_norm, mut images) = (Vec::new(), Vec::new(), Vec::new());
        for (index, slot) in slots.into_iter().enumerate() {
            state.push(slot.state);
            state_mask.push(slot.state_mask);
            actions.push(slot.actions);
            state_std.push(slot.state_std);
            state_norm.push(slot.state_norm);
            images.push(slot.images);
            self.records[index] = slot.record;
            self.backgrounds[index] = slot.background;
        }
        self.state.rejoin(state);
        self.state_mask.rejoin(state_mask);
        self.actions.rejoin(actions);
        self.state_std.rejoin(state_std);
        self.state_norm.rejoin(state_norm);
        self.images.rejoin(images);
    }
}

/// The place of one sample in a batch being built, owned by the thread that fills it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) state: Row<f32>,
    pub(crate) state_mask: Row<f32>,
    pub(crate) actions: Row<f32>,
    pub(crate) state_std: Row<f32>,
    pub(crate) state_norm: Row<f32>,
    pub(crate) images: Row<u8>,
    pub(crate) record: SampleRecord,
    /// Per image, whether its pixels already are background from an earlier use: absent
    /// cameras are a third of LIBERO's batch, and need not be written again each time.
    pub(crate) background: Vec<bool>,
}
