//! `rdt-consume sample`: runs the diffusion sampler on a checkpoint and reports how far the
//! sampled actions are from the recorded ones, in RDT's figures.

use std::path::PathBuf;
use std::sync::Arc;

use rdt_cli::consume::source::{self, SourceFlags, Wanted, usage_or_failure};
use rdt_cli::exit::{Outcome, Usage};
use rdt_data::{BatchSpec, check_instructions};
use rdt_model::Actor;
use rdt_model::checkpoint::{self, About};
use rdt_model::device;
use rdt_train::run::evaluate::{Evaluated, evaluate};

use super::export_weights::Weights;
use super::inputs::PrecomputedFlags;
use super::train::{DeviceFlag, EncoderFlags, Precision};

/// How much is sampled.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct SampleFlags {
    /// Batches to sample actions for
    #[arg(long, default_value_t = 2)]
    pub num_sample_batches: u64,
    /// Samples a batch
    #[arg(long, default_value_t = 8)]
    pub sample_batch_size: u32,
}

impl SampleFlags {
    /// Refuses to sample nothing.
    ///
    /// # Errors
    /// Wrong usage.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        match self.num_sample_batches {
            0 => Err(Usage::new("--num-sample-batches is 0; give at least 1")),
            _ => Ok(()),
        }
    }
}

/// Flags of `sample`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
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
pub(crate) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let about = About::read(&args.checkpoint)?;
    if about.is_none() {
        eprintln!("{}", About::note_of_none(&args.checkpoint));
    }
    let config = checkpoint::config(&args.checkpoint)?;
    let source = args.source.spec(Wanted {
        default_buffer: None,
        is_complete: true,
        config: None,
        known_config: Some(config.clone()),
        known_data: about.map(|about| about.data),
    })?;
    args.sample.check()?;
    let encoders = args.precomputed.encoders(&args.encoders, &source, Some(&args.checkpoint))?;
    device::set_cpu_threads(None).map_err(Usage::from_error)?;
    let (device, why) = device::choose(args.device.into()).map_err(Usage::from_error)?;
    eprintln!("device: {} ({why})", if device.is_cuda() { "cuda" } else { "cpu" });
    let kind = rdt_train::run::settings::MixedPrecision::from(args.mixed_precision).kind();
    let share = match args.holdout {
        Some(share) => share,
        None => rdt_train::run::checkpoint::settings(&args.checkpoint)?.holdout,
    };
    let images = args.precomputed.images(&config);
    let spec = BatchSpec::evaluation(images, args.seed, args.sample.sample_batch_size, share);
    spec.check(&source).map_err(usage_or_failure)?;
    let source = source::open(&source, Arc::default())?;
    let batches = spec.prepare(&source).map_err(usage_or_failure)?;
    batches.holdout().iter().for_each(|holdout| eprintln!("{}; sampling these", holdout.describe()));
    if args.precomputed.precomp_lang_embed {
        check_instructions(&source).map_err(usage_or_failure)?;
    }
    let actor = Actor::open(&args.checkpoint, args.weights.into(), &encoders, device, kind)
        .map_err(super::train::usage_of_settings)?;
    actor.policy().describe().iter().for_each(|line| eprintln!("{line}"));
    let mut loader = batches.loader(Default::default(), None).map_err(usage_or_failure)?;
    let names = loader.dataset_names().to_vec();
    let Evaluated { figures, bad_samples } =
        evaluate(actor.policy(), actor.weights(), &mut loader, args.sample.num_sample_batches, &names)?;
    bad_samples.iter().for_each(|bad| eprintln!("{bad}"));
    if args.json {
        println!("{}", serde_json::to_string(&figures)?);
    } else {
        figures.rounded.iter().for_each(|(name, value)| println!("{name} {value:.4}"));
    }
    let is_whole = bad_samples.is_empty() && source.skipped() == 0;
    Ok(if is_whole { Outcome::Done } else { Outcome::Incomplete })
}
