//! The flags of a training run, and what they mean to the trainer and its batches.
//!
//! Names and defaults are RDT's where it has them; everything is checked where it is used.

use std::path::PathBuf;
use std::thread::available_parallelism;

use clap::ValueEnum;
use rdt_cli::consume::disturbance::DisturbanceFlags;
use rdt_cli::consume::follow_flags::FollowFlags;
use rdt_cli::consume::holdout::HoldoutFlag;
use rdt_cli::consume::image_delivery::ImageDeliveryFlags;
use rdt_cli::consume::order_flags::OrderFlags;
use rdt_cli::consume::source::SourceFlags;
use rdt_cli::exit::Usage;
use rdt_consumer::{OnBadSample, Workers};
use rdt_data::{BatchSpec, EpochLength, Images, Length, Live};
use rdt_model::device::DeviceChoice;
use rdt_model::encoder::EncoderFolders;
use rdt_schema::Config;
use rdt_train::TrainError;
use rdt_train::parameters::optimizer::AdamWSettings;
use rdt_train::run::schedule::{LearningRate, ScheduleKind};
use rdt_train::run::settings::{MixedPrecision, TrainSettings};

use super::rdt_flags::RdtFlags;
use crate::inputs::PrecomputedFlags;
use crate::recipe::RecipeFlag;
use crate::sample::SampleFlags;

/// Flags of a training run; names and defaults are RDT's where it has them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    // No doc comment: it would become the help of the whole program.
    #[command(flatten)]
    pub source: SourceFlags,
    // No doc comment: it would become the help of the whole program.
    #[command(flatten)]
    pub recipe: RecipeFlag,
    /// Checkpoints, metrics.jsonl and loss.png go here
    #[arg(long, value_name = "DIR", default_value = "checkpoints")]
    pub output_dir: PathBuf,
    /// Sizes of windows and network [default: the configuration that the buffer was filled with; with
    /// --load-from-hdf5 the shipped base.yaml]
    #[arg(long, visible_alias = "config-path", value_name = "FILE")]
    pub config: Option<PathBuf>,
    // No doc comment: it would become the help of the whole program.
    #[command(flatten)]
    pub encoders: EncoderFlags,
    // No doc comment: it would become the help of the whole program.
    #[command(flatten)]
    pub precomputed: PrecomputedFlags,
    // No doc comment: it would become the help of the whole program.
    #[command(flatten)]
    pub disturbance: DisturbanceFlags,
    // No doc comment: it would become the help of the whole program.
    #[command(flatten)]
    pub images: ImageDeliveryFlags,
    /// Start from these weights: a folder as RDT publishes it (config.json beside
    /// model.safetensors or pytorch_model.bin), or one of these two files
    #[arg(long, value_name = "DIR|FILE")]
    pub pretrained_model_name_or_path: Option<PathBuf>,
    /// Samples a micro-step
    #[arg(long, default_value_t = 4)]
    pub train_batch_size: u32,
    /// Micro-steps whose gradients make one optimiser step
    #[arg(long, default_value_t = 1)]
    pub gradient_accumulation_steps: u64,
    /// Optimiser steps of the whole run; goes before --num-train-epochs
    #[arg(long)]
    pub max_train_steps: Option<u64>,
    /// Passes over the buffer; ends with the last whole optimiser step in them
    #[arg(long, default_value_t = 1)]
    pub num_train_epochs: u64,
    /// Highest learning rate (RDT's scripts use 1e-4)
    #[arg(long, default_value_t = 5e-6)]
    pub learning_rate: f64,
    /// Multiply the learning rate by --train-batch-size and --gradient-accumulation-steps
    #[arg(long)]
    pub scale_lr: bool,
    /// How it changes over the run
    #[arg(long, value_enum, default_value_t = Schedule::Constant)]
    pub lr_scheduler: Schedule,
    /// Optimiser steps from learning rate 0 to the highest (no effect on `constant`)
    #[arg(long, default_value_t = 500)]
    pub lr_warmup_steps: u64,
    /// Waves of cosine_with_restarts
    #[arg(long, default_value_t = 1)]
    pub lr_num_cycles: u64,
    /// Exponent of polynomial
    #[arg(long, default_value_t = 1.0)]
    pub lr_power: f64,
    /// Compute blocks again in the backward pass instead of keeping what they computed: much less
    /// memory, a third more time, the same numbers
    #[arg(long)]
    pub gradient_checkpointing: bool,
    /// Let f32 matrix products on CUDA round to TF32 (no effect on the CPU)
    #[arg(long)]
    pub allow_tf32: bool,
    /// Optimiser steps between checkpoints
    #[arg(long, default_value_t = 500)]
    pub checkpointing_period: u64,
    /// Checkpoints kept; the oldest go first [default: all]
    #[arg(long)]
    pub checkpoints_total_limit: Option<usize>,
    /// Go on from a checkpoint: a folder, its name in --output-dir, or `latest` there
    #[arg(long, value_name = "PATH|latest")]
    pub resume_from_checkpoint: Option<PathBuf>,
    /// Optimiser steps between samplings of actions, logged as RDT's figures; -1: never
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub sample_period: i64,
    // No doc comment: it would become the help of the whole program.
    #[command(flatten)]
    pub sample: SampleFlags,
    // No doc comment: it would become the help of the whole program.
    #[command(flatten)]
    pub order: OrderFlags,
    // No doc comment: it would become the help of the whole program.
    #[command(flatten)]
    pub follow: FollowFlags,
    // No doc comment: it would become the help of the whole program.
    #[command(flatten)]
    pub holdout: HoldoutFlag,
    /// Decay of AdamW's first moment
    #[arg(long, default_value_t = 0.9)]
    pub adam_beta1: f64,
    /// Decay of AdamW's second moment
    #[arg(long, default_value_t = 0.999)]
    pub adam_beta2: f64,
    /// Decoupled weight decay, on all parameters
    #[arg(long, default_value_t = 1e-2)]
    pub adam_weight_decay: f64,
    /// Added to the root of the second moment
    #[arg(long, default_value_t = 1e-8)]
    pub adam_epsilon: f64,
    /// Gradients are scaled down to this norm; 0 leaves them
    #[arg(long, default_value_t = 1.0)]
    pub max_grad_norm: f64,
    /// Where scalars go beside metrics.jsonl: TensorBoard's event files, or nowhere
    #[arg(long, value_enum, default_value_t = ReportTo::Tensorboard)]
    pub report_to: ReportTo,
    /// Folder of TensorBoard's event files, in OUTPUT_DIR
    #[arg(long, value_name = "DIR", default_value = "logs")]
    pub logging_dir: PathBuf,
    // No doc comment: it would become the help of the whole program.
    #[command(flatten)]
    pub rdt: RdtFlags,
    /// Seed of order, noise and initial weights
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Threads that read and decode; 0 means one a core
    #[arg(long, default_value_t = 0)]
    pub dataloader_num_workers: usize,
    /// Threads that libtorch computes with on the CPU [default: OMP_NUM_THREADS, else all
    /// cores but one, which is left to the loader]
    #[arg(long)]
    pub cpu_threads: Option<i32>,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = DeviceFlag::Auto)]
    pub device: DeviceFlag,
    /// What the network computes in; weights stay f32
    #[arg(long, value_enum, default_value_t = Precision::No)]
    pub mixed_precision: Precision,
    /// A sample that cannot be read: take another one and report it, or stop
    #[arg(long, value_enum, default_value_t = BadSampleFlag::Skip)]
    pub on_bad_sample: BadSampleFlag,
}

/// Values of `--lr-scheduler`.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Schedule {
    /// Always the highest rate
    Constant,
    /// The highest rate after the warm-up
    ConstantWithWarmup,
    /// Down to 0 in a straight line
    Linear,
    /// Down to 0 in half a cosine wave
    Cosine,
    /// Cosine waves one after another
    CosineWithRestarts,
    /// Down to 1e-7 along a power
    Polynomial,
}

/// Values of `--report-to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportTo {
    /// Event files
    Tensorboard,
    /// All there is: event files
    All,
    /// Nothing more
    None,
    /// RDT's: event files are written instead
    #[value(hide = true)]
    Wandb,
    /// RDT's: event files are written instead
    #[value(name = "comet_ml", alias = "comet-ml", hide = true)]
    CometMl,
}

impl ReportTo {
    /// What the log says where it is not what was asked for.
    pub(crate) fn note(self) -> Option<String> {
        let name = self.to_possible_value()?;
        let elsewhere = matches!(self, Self::Wandb | Self::CometMl | Self::All);
        elsewhere.then(|| {
            format!(
                "--report-to {}: nothing is uploaded; TensorBoard's event files and metrics.jsonl are written",
                name.get_name()
            )
        })
    }
}

/// Values of `--device`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum DeviceFlag {
    /// CUDA where it works, else the CPU
    Auto,
    /// The CPU
    Cpu,
    /// CUDA, or an error
    Cuda,
}

/// Values of `--mixed-precision`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Precision {
    /// f32
    No,
    /// bf16
    Bf16,
}

/// Values of `--on-bad-sample`.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum BadSampleFlag {
    /// Take another sample in its place, name it, and end with exit code 3
    Skip,
    /// Stop
    Fail,
}

/// Where the frozen encoders are.
#[derive(Debug, Clone, clap::Args)]
pub struct EncoderFlags {
    /// Folder of SigLIP (google/siglip-so400m-patch14-384), for `model.vision.encoder: siglip`
    #[arg(long, value_name = "DIR")]
    pub pretrained_vision_encoder_name_or_path: Option<PathBuf>,
    /// Folder of T5 with its tokenizer (google/t5-v1_1-xxl), for `model.language.encoder: t5`
    #[arg(long, value_name = "DIR")]
    pub pretrained_text_encoder_name_or_path: Option<PathBuf>,
}

impl From<&EncoderFlags> for EncoderFolders {
    fn from(flags: &EncoderFlags) -> Self {
        Self {
            vision: flags.pretrained_vision_encoder_name_or_path.clone(),
            language: flags.pretrained_text_encoder_name_or_path.clone(),
            stored_language: None,
            stored_images: None,
        }
    }
}

impl Args {
    /// How batches are made under `config`, on a device that is CUDA or the CPU.
    ///
    /// # Errors
    /// Wrong usage: what is masked or disturbed cannot be, or flags exclude each other.
    pub(super) fn batches(&self, config: &Config, on_cuda: bool) -> anyhow::Result<BatchSpec> {
        let size = config.model.vision.image_size as usize;
        let threads = match self.dataloader_num_workers {
            0 => available_parallelism().map_or(1, usize::from),
            given => given,
        };
        let live = Live { wait: self.follow.wait, window: self.follow.follow_window as usize };
        if self.follow.follow && self.max_train_steps.is_none() {
            return Err(Usage::new(
                "--follow is given without --max-train-steps, expected both: a live buffer has no epochs",
            ));
        }
        Ok(BatchSpec {
            order: self.order.order()?,
            holdout: self.holdout.holdout,
            images: match self.precomputed.precomp_img_embed {
                true => Images::Embeddings,
                false => self.images.images(on_cuda, size),
            },
            disturbance: self.disturbance.disturbance()?,
            workers: Workers { threads, batches_ahead: threads.max(2) },
            on_bad_sample: match self.on_bad_sample {
                BadSampleFlag::Skip => OnBadSample::Skip,
                BadSampleFlag::Fail => OnBadSample::Fail,
            },
            live: self.follow.follow.then_some(live),
            ..BatchSpec::training(config, self.seed, self.train_batch_size)
        })
    }

    /// Optimiser steps over so many samples.
    pub(super) fn steps(&self, samples: u64) -> u64 {
        let epochs = || self.length(samples).of_epochs(self.num_train_epochs).steps;
        self.max_train_steps.unwrap_or_else(epochs)
    }

    /// How long the run is over so many samples.
    fn length(&self, samples: u64) -> Length {
        Length::new(samples, self.train_batch_size, self.gradient_accumulation_steps)
    }
}

/// The trainer's knobs for a run of so many steps.
///
/// # Errors
/// One is out of its range.
pub(super) fn settings(args: &Args, total_steps: u64) -> Result<TrainSettings, TrainError> {
    let scale = match args.scale_lr {
        true => args.gradient_accumulation_steps as f64 * f64::from(args.train_batch_size),
        false => 1.0,
    };
    let settings = TrainSettings {
        seed: args.seed,
        train_batch_size: args.train_batch_size,
        gradient_accumulation_steps: args.gradient_accumulation_steps,
        max_train_steps: total_steps,
        learning_rate: LearningRate {
            kind: args.lr_scheduler.into(),
            base: args.learning_rate * scale,
            warmup_steps: args.lr_warmup_steps,
            total_steps,
            cycles: args.lr_num_cycles,
            power: args.lr_power,
        },
        adam: AdamWSettings {
            beta1: args.adam_beta1,
            beta2: args.adam_beta2,
            epsilon: args.adam_epsilon,
            weight_decay: args.adam_weight_decay,
        },
        max_grad_norm: args.max_grad_norm,
        mixed_precision: args.mixed_precision.into(),
        gradient_checkpointing: args.gradient_checkpointing,
        allow_tf32: args.allow_tf32,
        checkpointing_period: args.checkpointing_period,
        checkpoints_total_limit: args.checkpoints_total_limit,
        holdout: args.holdout.holdout,
    };
    settings.check()?;
    Ok(settings)
}

/// What the log says where `--num-train-epochs` does not come out even.
pub(super) fn epochs_note(args: &Args, samples: u64) -> Option<String> {
    let EpochLength { batches: all, steps, left } = args.length(samples).of_epochs(args.num_train_epochs);
    let a_step = args.gradient_accumulation_steps;
    if args.max_train_steps.is_some() || all == 0 {
        None
    } else if all < a_step {
        Some(format!(
            "--num-train-epochs {} is {all} batches, fewer than the {a_step} of one step: that step reads on into \
             the next epoch",
            args.num_train_epochs
        ))
    } else if left > 0 {
        Some(format!(
            "--num-train-epochs {} is {all} batches: {steps} steps of {a_step}; the last {left} are left out",
            args.num_train_epochs
        ))
    } else {
        None
    }
}

impl From<Schedule> for ScheduleKind {
    fn from(flag: Schedule) -> Self {
        match flag {
            Schedule::Constant => Self::Constant,
            Schedule::ConstantWithWarmup => Self::ConstantWithWarmup,
            Schedule::Linear => Self::Linear,
            Schedule::Cosine => Self::Cosine,
            Schedule::CosineWithRestarts => Self::CosineWithRestarts,
            Schedule::Polynomial => Self::Polynomial,
        }
    }
}

impl From<DeviceFlag> for DeviceChoice {
    fn from(flag: DeviceFlag) -> Self {
        match flag {
            DeviceFlag::Auto => Self::Auto,
            DeviceFlag::Cpu => Self::Cpu,
            DeviceFlag::Cuda => Self::Cuda,
        }
    }
}

impl From<Precision> for MixedPrecision {
    fn from(flag: Precision) -> Self {
        match flag {
            Precision::No => Self::No,
            Precision::Bf16 => Self::Bf16,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn epochs_end_with_the_last_whole_step_and_the_log_says_what_is_left() -> Result<(), TrainError> {
        let at = |samples: u64, more: &[&str]| -> Result<(u64, Option<String>), TrainError> {
            let line =
                ["x", "--buffer", "b", "--train-batch-size", "2", "--gradient-accumulation-steps", "4"];
            let args = Program::parse_from([&line[..], more].concat()).args;
            Ok((settings(&args, args.steps(samples))?.max_train_steps, epochs_note(&args, samples)))
        };
        // 11 batches are 2 steps of 4; three passes of them are 8 steps.
        let (steps, note) = at(21, &[])?;
        assert_eq!(steps, 2);
        assert!(note.is_some_and(|note| note.contains("the last 3 are left out")));
        assert_eq!(at(21, &["--num-train-epochs", "3"])?.0, 8);
        assert_eq!(at(24, &[])?, (3, None));
        let (steps, note) = at(3, &[])?;
        assert_eq!(steps, 1);
        assert!(note.is_some_and(|note| note.contains("into the next epoch")));
        assert_eq!(at(21, &["--max-train-steps", "5"])?, (5, None));
        Ok(())
    }

    /// The flags of RDT's `finetune.sh` and `pretrain.sh` as they are there.
    const RDTS: &str = "--deepspeed=./configs/zero2.json \
        --pretrained_model_name_or_path=robotics-diffusion-transformer/rdt-1b \
        --pretrained_text_encoder_name_or_path=google/t5-v1_1-xxl \
        --pretrained_vision_encoder_name_or_path=google/siglip-so400m-patch14-384 \
        --output_dir=./checkpoints/rdt-finetune-1b --train_batch_size=32 --sample_batch_size=64 \
        --max_train_steps=200000 --checkpointing_period=1000 --sample_period=500 --checkpoints_total_limit=40 \
        --lr_scheduler=constant --learning_rate=1e-4 --mixed_precision=bf16 --dataloader_num_workers=8 \
        --image_aug --dataset_type=finetune --state_noise_snr=40 --load_from_hdf5 --report_to=wandb \
        --resume_from_checkpoint=checkpoint-36000 --precomp_lang_embed";

    #[test]
    fn rdts_own_command_lines_are_understood() {
        for line in [RDTS.to_owned(), RDTS.replace('=', " "), RDTS.replace("finetune ", "pretrain ")] {
            let words = ["x"].into_iter().chain(line.split_whitespace()).map(Into::into);
            let args = Program::parse_from(rdt_cli::args::normalise(words)).args;
            assert!(args.source.load_from_hdf5 && args.precomputed.precomp_lang_embed, "{line}");
            assert_eq!((args.train_batch_size, args.disturbance.state_noise_snr), (32, Some(40.0)));
            assert!(args.report_to.note().is_some_and(|note| note.contains("wandb")));
            assert!(args.source.datasets.dataset_type.is_some());
        }
        for word in ["comet_ml", "comet-ml", "all"] {
            let args = Program::parse_from(["x", "--report-to", word]).args;
            assert!(args.report_to.note().is_some_and(|note| note.contains("event files")), "{word}");
        }
        assert_eq!(Program::parse_from(["x"]).args.report_to.note(), None);
    }

    #[test]
    fn the_learning_rate_scales_with_the_samples_of_a_step_only_if_asked() -> Result<(), TrainError> {
        let line = ["x", "--buffer", "b", "--train-batch-size", "8", "--gradient-accumulation-steps", "4"];
        let rate = |more: &[&str]| -> Result<f64, TrainError> {
            let words = [&line[..], &["--learning-rate", "0.5"], more].concat();
            Ok(settings(&Program::parse_from(words).args, 100)?.learning_rate.base)
        };
        assert_eq!(rate(&[])?, 0.5);
        assert_eq!(rate(&["--scale-lr"])?, 16.0);
        Ok(())
    }
}
