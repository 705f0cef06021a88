//! `rdt-consume sample`: runs the diffusion sampler on a checkpoint and reports how far the
//! sampled actions are from the recorded ones, in RDT's figures.

use std::path::PathBuf;
use std::sync::Arc;

use rdt_consumer::{
    BatchShape, Conditioning, Delivery, LastBatch, Loader, LoaderOptions, OnBadSample, SampleSource,
    Selection,
};
use rdt_schema::Config;
use rdt_train::TrainError;
use rdt_train::checkpoint;
use rdt_train::device;
use rdt_train::export::Which;
use rdt_train::policy::Policy;
use rdt_train::settings::TrainSettings;
use rdt_train::tensor_file::TensorFile;

use super::export_weights::Weights;
use super::inputs::PrecomputedFlags;
use super::train::{DeviceFlag, EncoderFlags, Precision};
use rdt_cli::consume::holdout;
use rdt_cli::consume::source::{ConfigChoice, HowToOpen, SourceFlags};
use rdt_cli::exit::{Outcome, Usage};

/// Added to a run's seed for the order of its evaluation: other samples first than in training.
const ORDER: u64 = 0x5a3b_1e00;

/// How much is sampled.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct SampleFlags {
    /// Batches to sample actions for
    #[arg(long, default_value_t = 2)]
    pub num_sample_batches: u64,
    /// Samples a batch
    #[arg(long, default_value_t = 8)]
    pub sample_batch_size: u32,
}

/// Flags of `sample`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A checkpoint-N folder
    #[arg(long, value_name = "DIR")]
    pub checkpoint: PathBuf,
    /// Where the samples come from
    #[command(flatten)]
    pub source: SourceFlags,
    /// Which weights
    #[arg(long, value_enum, default_value_t = Weights::Model)]
    pub weights: Weights,
    /// How much
    #[command(flatten)]
    pub sample: SampleFlags,
    /// Where the encoders are
    #[command(flatten)]
    pub encoders: EncoderFlags,
    /// What is taken from stored embeddings
    #[command(flatten)]
    pub precomputed: PrecomputedFlags,
    /// Share of the episodes that is held out, of which the samples are taken; 0: of all
    /// [default: the share of the checkpoint's run]
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub holdout: Option<f64>,
    /// Seed of which samples and of the noise
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceFlag::Auto)]
    pub device: DeviceFlag,
    /// What the network computes in
    #[arg(long, value_enum, default_value_t = Precision::No)]
    pub mixed_precision: Precision,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Samples and prints the figures.
///
/// # Errors
/// The checkpoint or the buffer cannot be used, or the memory is not there.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let config = checkpoint::config(&args.checkpoint)?;
    let source = args.source.open(HowToOpen {
        default_buffer: None,
        complete: true,
        config: ConfigChoice::Given(Box::new(config.clone())),
        stop: Arc::default(),
    })?;
    device::set_cpu_threads(None).map_err(Usage::from_error)?;
    let (device, why) = device::choose(args.device.into()).map_err(Usage::from_error)?;
    eprintln!("device: {} ({why})", if device.is_cuda() { "cuda" } else { "cpu" });
    let kind = rdt_train::settings::MixedPrecision::from(args.mixed_precision).kind();
    // The untrained encoders are functions of the seed that the run had.
    let TrainSettings { seed: run_seed, holdout: run_share, .. } = checkpoint::settings(&args.checkpoint)?;
    let holdout = holdout::divide(&source.samples, args.holdout.unwrap_or(run_share))?;
    holdout.iter().for_each(|holdout| eprintln!("{}; sampling these", holdout.describe()));
    let encoders = args.precomputed.encoders(&args.encoders, &source)?;
    args.precomputed.check_instructions(&source)?;
    let (policy, layout) =
        Policy::new(&config, &encoders, run_seed, device, kind).map_err(super::train::usage_of_settings)?;
    policy.describe().iter().for_each(|line| eprintln!("{line}"));
    let flat = layout.zeros(device).map_err(TrainError::from)?;
    TensorFile::open(&Which::from(args.weights).file(&args.checkpoint))?.load(&layout, "", &flat)?;
    let weights = policy.weights(&layout, &flat)?;
    let delivery = args.precomputed.delivery(&config, &Conditioning::default(), &source)?;
    let evaluated = holdout::evaluated(holdout.as_ref());
    let mut loader = loader(&source.samples, &config, delivery, args.sample, args.seed, evaluated)?;
    let names = loader.dataset_names().to_vec();
    let figures = policy.evaluate(&weights, &mut loader, args.sample.num_sample_batches, &names)?;
    let lost = loader.bad_samples().inspect(|bad| eprintln!("{bad}")).count();
    if args.json {
        println!("{}", serde_json::to_string(&figures)?);
    } else {
        figures.rounded.iter().for_each(|(name, value)| println!("{name} {value:.4}"));
    }
    Ok(if lost == 0 && source.skipped == 0 { Outcome::Done } else { Outcome::Incomplete })
}

/// The batches of an evaluation: unmasked, the same ones each time.
pub(super) fn loader(
    samples: &SampleSource,
    config: &Config,
    delivery: Delivery,
    flags: SampleFlags,
    seed: u64,
    selection: Option<Arc<Selection>>,
) -> anyhow::Result<Loader> {
    if flags.num_sample_batches == 0 {
        return Err(Usage::new("--num-sample-batches is 0; give at least 1"));
    }
    let options = LoaderOptions {
        seed: seed ^ ORDER,
        global_batch: flags.sample_batch_size,
        world: 1,
        rank: 0,
        last: LastBatch::Keep,
        order: Default::default(),
        selection,
        start: Default::default(),
        end: None,
        shape: BatchShape::of(&config.common),
        delivery,
        conditioning: Default::default(),
        workers: 1,
        batches_ahead: 1,
        on_bad_sample: OnBadSample::Skip,
    };
    Ok(Loader::new(samples.clone(), options)?)
}
