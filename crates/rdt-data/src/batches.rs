//! How the samples of a source become batches: of training, of its evaluation, of one rank.

use std::num::NonZeroU32;
use std::sync::Arc;

use rdt_buffer::{Buffer, Samples};
use rdt_consumer::{
    BatchPosition, BatchShape, ConsumerError, Delivery, Disturbance, Holdout, LastBatch, Layout, LiveOptions,
    Loader, LoaderOptions, OnBadSample, OrderKind, OrderedOptions, Ranks, Workers,
};
use rdt_schema::{Config, Setting};

use crate::embedded;
use crate::error::DataError;
use crate::length::Length;
use crate::source::{Place, Source, SourceSpec};

/// Added to a run's seed for the order of its evaluation: other samples first than in training.
const EVALUATION_ORDER: u64 = 0x5a3b_1e00;

/// How samples become batches.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchSpec {
    /// Seed of the order, of the wordings drawn and of what is disturbed.
    pub seed: u64,
    /// Samples of a batch over all ranks.
    pub global_batch: u32,
    /// Whose piece of each batch.
    pub ranks: Ranks,
    /// How an epoch goes through the samples.
    pub order: OrderChoice,
    /// Share of the episodes that is held out, as [`Holdout`] chooses them; 0: none.
    pub holdout: f64,
    /// Which side of the holdout.
    pub side: Side,
    /// In which form images are delivered.
    pub images: Images,
    /// What is masked and disturbed.
    pub disturbance: Disturbance,
    /// Who fills batches.
    pub workers: Workers,
    /// What happens to a sample that cannot be read.
    pub on_bad_sample: OnBadSample,
    /// How the buffer is followed, if its samples are consumed: each is delivered once.
    pub live: Option<Live>,
}

/// How an epoch goes through the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OrderChoice {
    /// Any sample may follow any other.
    #[default]
    Uniform,
    /// So many chunks of a buffer are open at a time.
    Windowed(NonZeroU32),
}

/// A side of a holdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// What is trained on.
    Training,
    /// What is held out of it; all samples where nothing is.
    HeldOut,
}

/// In which form images are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Images {
    /// Padded and resized on the CPU to squares of so many pixels.
    Pixel(usize),
    /// Decoded, of their own size.
    Frames,
    /// As their embeddings, which are stored in the buffer.
    Embeddings,
}

/// How a live buffer is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Live {
    /// Whether to wait on where everything is consumed and no producer works on the buffer.
    pub wait: bool,
    /// Chunks that a batch is mixed from.
    pub window: usize,
}

/// The batches of a source.
#[derive(Debug)]
pub struct Batches {
    spec: BatchSpec,
    samples: Arc<dyn Samples>,
    buffer: Option<Arc<Buffer>>,
    /// How a checkpoint names the source.
    source: String,
    order: OrderKind,
    holdout: Option<Holdout>,
    options: LoaderOptions,
}

impl OrderChoice {
    /// The order of chunks of so many samples, where there are chunks.
    ///
    /// # Errors
    /// Windows over samples that are in no chunks.
    pub fn kind(self, chunk_size: Option<u32>) -> Result<OrderKind, DataError> {
        match (self, chunk_size) {
            (Self::Uniform, _) => Ok(OrderKind::Uniform),
            (Self::Windowed(window), Some(chunk_size)) => Ok(OrderKind::Windowed { window, chunk_size }),
            (Self::Windowed(_), None) => Err(DataError::setting(
                Setting::ORDER,
                format!("windowed with {}, which has no chunks", Setting::LOAD_FROM_HDF5),
                format!("a {}", Setting::BUFFER),
            )),
        }
    }

    /// What a checkpoint says of the order beside the data, so that a run goes on in the same one only;
    /// nothing of the usual one.
    fn note(self) -> String {
        match self {
            Self::Uniform => String::new(),
            Self::Windowed(window) => format!(", windowed order of {window} chunks"),
        }
    }
}

impl BatchSpec {
    /// What RDT trains on, under a configuration: batches of `batch` samples.
    pub fn training(config: &Config, seed: u64, batch: u32) -> Self {
        Self {
            seed,
            global_batch: batch,
            ranks: Ranks::ONE,
            order: OrderChoice::Uniform,
            holdout: 0.0,
            side: Side::Training,
            images: Images::Pixel(config.model.vision.image_size as usize),
            disturbance: Disturbance { mask_probability: 0.1, ..Disturbance::default() },
            workers: Workers { threads: 1, batches_ahead: 2 },
            on_bad_sample: OnBadSample::Skip,
            live: None,
        }
    }

    /// What an evaluation takes: undisturbed, the same batches each time, of what `holdout` leaves out
    /// of training, or of everything.
    pub fn evaluation(images: Images, seed: u64, batch: u32, holdout: f64) -> Self {
        Self {
            seed: seed ^ EVALUATION_ORDER,
            global_batch: batch,
            ranks: Ranks::ONE,
            order: OrderChoice::Uniform,
            holdout,
            side: Side::HeldOut,
            images,
            disturbance: Disturbance::default(),
            workers: Workers { threads: 1, batches_ahead: 1 },
            on_bad_sample: OnBadSample::Skip,
            live: None,
        }
    }

    /// Refuses what cannot go together, before anything is opened.
    ///
    /// # Errors
    /// It cannot, or a number is out of its range.
    pub fn check(&self, source: &SourceSpec) -> Result<(), DataError> {
        if self.global_batch == 0 {
            return Err(ConsumerError::EmptyBatch.into());
        }
        if self.holdout != 0.0 && !(self.holdout > 0.0 && self.holdout < 1.0) {
            return Err(ConsumerError::HoldoutShare { share: self.holdout }.into());
        }
        self.disturbance.check()?;
        if self.images == Images::Embeddings {
            embedded::check_unaltered(&self.disturbance)?;
        }
        match &source.place {
            Place::Buffer(_) if self.live.is_some() && self.order != OrderChoice::Uniform => {
                Err(DataError::setting(
                    Setting::ORDER,
                    format!("windowed with {}", Setting::FOLLOW),
                    format!(
                        "one of the two: a live buffer has no order; {} says how many of its chunks are mixed",
                        Setting::FOLLOW_WINDOW
                    ),
                ))
            }
            Place::Buffer(_) => Ok(()),
            #[cfg(feature = "hdf5")]
            Place::Episodes(_) => self.check_episodes(),
        }
    }

    /// What files of episodes cannot do.
    #[cfg(feature = "hdf5")]
    fn check_episodes(&self) -> Result<(), DataError> {
        let files = Setting::LOAD_FROM_HDF5;
        if self.live.is_some() {
            return Err(DataError::setting(
                Setting::FOLLOW,
                format!("given with {files}"),
                "a buffer: episodes are not consumed",
            ));
        }
        if self.images == Images::Embeddings {
            return Err(DataError::setting(
                Setting::PRECOMP_IMG_EMBED,
                format!("given with {files}"),
                format!("{}: embeddings are stored in a buffer", Setting::BUFFER),
            ));
        }
        self.order.kind(None).map(drop)
    }

    /// The batches of `source`, checked as far as that can be without loading one. Looks at each
    /// sample's episode where some are held out.
    ///
    /// # Errors
    /// The samples cannot become such batches; the buffer cannot be read.
    pub fn prepare(self, source: &Source) -> Result<Batches, DataError> {
        // A live buffer changes while it is trained on: each sample is looked at when it is claimed.
        let divides = self.holdout != 0.0 && self.live.is_none();
        let holdout = divides.then(|| Holdout::new(source.samples.as_ref(), self.holdout)).transpose()?;
        self.prepare_divided(source, holdout)
    }

    /// [`BatchSpec::prepare`] for samples that are divided already.
    pub(crate) fn prepare_divided(
        self,
        source: &Source,
        holdout: Option<Holdout>,
    ) -> Result<Batches, DataError> {
        let delivery = match self.images {
            Images::Pixel(size) => Delivery::Pixel { size },
            Images::Frames => Delivery::Frames,
            Images::Embeddings => embedded::delivery(source)?,
        };
        let options = LoaderOptions {
            layout: Layout { shape: BatchShape::of(&source.config.common), delivery },
            workers: self.workers,
            disturbance: self.disturbance.clone(),
            on_bad_sample: self.on_bad_sample,
        };
        options.check(source.samples.as_ref())?;
        Ok(Batches {
            order: self.order.kind(source.chunk_size())?,
            holdout,
            options,
            samples: Arc::clone(&source.samples),
            buffer: source.buffer.clone(),
            source: source.name.clone(),
            spec: self,
        })
    }
}

impl Batches {
    /// How they were asked for.
    pub fn spec(&self) -> &BatchSpec {
        &self.spec
    }

    /// In which form images are delivered.
    pub fn delivery(&self) -> Delivery {
        self.options.layout.delivery
    }

    /// Samples an epoch has; of a live buffer, those that are there now.
    pub fn samples(&self) -> u64 {
        match (&self.holdout, self.spec.side) {
            (None, _) => self.samples.sample_count(),
            (Some(holdout), Side::Training) => holdout.training.samples(),
            (Some(holdout), Side::HeldOut) => holdout.held_out.samples(),
        }
    }

    /// What is held out.
    pub fn holdout(&self) -> Option<&Holdout> {
        self.holdout.as_ref()
    }

    /// Names what is loaded, for checkpoints: equal for equal samples in an equal order.
    pub fn name(&self) -> String {
        if self.spec.live.is_some() {
            // What a live buffer holds changes while it is trained on.
            let names: Vec<_> =
                self.samples.datasets().into_iter().map(|dataset| dataset.name.clone()).collect();
            let names = names.join(", ");
            return format!(
                "a live buffer of {names}: a resumed run sees other samples than an unbroken one"
            );
        }
        let sides = self.holdout.as_ref().map(Holdout::note).unwrap_or_default();
        format!("{}{}{sides}", self.source, self.spec.order.note())
    }

    /// A loader of them, from the batch at `start`, which ends after so many global batches, if it ends.
    ///
    /// # Errors
    /// A start beyond the end of its epoch; the buffer cannot be consumed; threads that cannot be
    /// started.
    pub fn loader(&self, start: BatchPosition, batches: Option<u64>) -> Result<Loader, DataError> {
        let (spec, options) = (&self.spec, self.options.clone());
        if let (Some(live), Some(buffer)) = (spec.live, &self.buffer) {
            let live = LiveOptions {
                seed: spec.seed,
                batch: spec.global_batch,
                first_batch: start.batch,
                samples: batches.map(|batches| batches.saturating_mul(spec.global_batch.into())),
                wait: live.wait,
                window: live.window,
                holdout: spec.holdout,
            };
            return Ok(Loader::live(buffer.dir(), live, options)?);
        }
        let length = Length::new(self.samples(), spec.global_batch, 1);
        let ordered = OrderedOptions {
            seed: spec.seed,
            global_batch: spec.global_batch,
            ranks: spec.ranks,
            last: LastBatch::Keep,
            order: self.order,
            selection: self.holdout.as_ref().map(|holdout| match spec.side {
                Side::Training => Arc::clone(&holdout.training),
                Side::HeldOut => Arc::clone(&holdout.held_out),
            }),
            start,
            end: batches.map(|batches| length.after(start, batches)),
        };
        Ok(Loader::ordered(Arc::clone(&self.samples), ordered, options)?)
    }
}
