//! Time and memory of training steps on random inputs: the trainer's half of
//! `benches/compare_step`, and of the memory table in `docs/training.md`.
//!
//! Builds the network of a configuration file, optionally with another width, depth and number of
//! heads, and takes steps on one made-up batch: loss, gradient, clipping, AdamW, moving average.
//! Encoders and data are left out, as they are in the other half. Each line on standard input is a
//! number of steps; each is answered by a line with the seconds that each of them took, `wall/cpu`:
//! on a busy machine, CPU time over all threads varies less. At the end of the input it prints
//! the peak of memory.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Instant;

use rdt_model::batch::DeviceBatch;
use rdt_model::device::memory;
use rdt_model::device::{self, DeviceChoice};
use rdt_model::encoder::EncoderFolders;
use rdt_model::network::Conditions;
use rdt_schema::Config;
use rdt_schema::config::{LanguageEncoder, VisionEncoder};
use rdt_train::parameters::optimizer::AdamWSettings;
use rdt_train::run::schedule::{LearningRate, ScheduleKind};
use rdt_train::run::settings::{MixedPrecision, TrainSettings};
use rdt_train::run::trainer::Trainer;
use tch::{Kind, Tensor};

/// What is measured, from arguments such as `--hidden 256`.
struct Options {
    config: PathBuf,
    hidden: Option<i64>,
    depth: Option<i64>,
    heads: Option<i64>,
    batch: i64,
    language_tokens: i64,
    threads: Option<i32>,
    device: DeviceChoice,
    mixed_precision: MixedPrecision,
    gradient_checkpointing: bool,
}

impl Options {
    fn parse() -> Result<Self, Box<dyn Error>> {
        let mut options = Self {
            config: PathBuf::from("configs/base.yaml"),
            hidden: None,
            depth: None,
            heads: None,
            batch: 4,
            language_tokens: 32,
            threads: None,
            device: DeviceChoice::Cpu,
            mixed_precision: MixedPrecision::No,
            gradient_checkpointing: false,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--config" => options.config = value()?.into(),
                "--hidden" => options.hidden = Some(value()?.parse()?),
                "--depth" => options.depth = Some(value()?.parse()?),
                "--heads" => options.heads = Some(value()?.parse()?),
                "--batch" => options.batch = value()?.parse()?,
                "--language-tokens" => options.language_tokens = value()?.parse()?,
                "--threads" => options.threads = Some(value()?.parse()?),
                "--cuda" => options.device = DeviceChoice::Cuda,
                "--bf16" => options.mixed_precision = MixedPrecision::Bf16,
                "--gradient-checkpointing" => options.gradient_checkpointing = true,
                other => return Err(format!("{other} is not known").into()),
            }
        }
        Ok(options)
    }

    fn settings(&self) -> TrainSettings {
        TrainSettings {
            seed: 0,
            train_batch_size: self.batch as u32,
            gradient_accumulation_steps: 1,
            max_train_steps: 1_000_000,
            learning_rate: LearningRate {
                kind: ScheduleKind::Constant,
                base: 1e-4,
                warmup_steps: 0,
                total_steps: 1_000_000,
                cycles: 1,
                power: 1.0,
            },
            adam: AdamWSettings::default(),
            max_grad_norm: 1.0,
            mixed_precision: self.mixed_precision,
            gradient_checkpointing: self.gradient_checkpointing,
            allow_tf32: false,
            checkpointing_period: 1000,
            checkpoints_total_limit: None,
            holdout: 0.0,
        }
    }
}

/// CPU time of the process so far.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse()?;
    let mut config = Config::from_file(&options.config)?;
    let rdt = &mut config.model.rdt;
    rdt.hidden_size = options.hidden.unwrap_or(rdt.hidden_size);
    rdt.depth = options.depth.unwrap_or(rdt.depth);
    rdt.num_heads = options.heads.unwrap_or(rdt.num_heads);
    // Not run: inputs are encoded already.
    config.model.vision.encoder = VisionEncoder::RandomPatch;
    config.model.language.encoder = LanguageEncoder::HashedWords;
    device::set_cpu_threads(options.threads)?;
    let (device, _) = device::choose(options.device)?;
    let mut trainer = Trainer::new(&config, options.settings(), device, &EncoderFolders::default())?;
    trainer.describe().iter().for_each(|line| eprintln!("{line}"));

    let (batch, width) = (options.batch, config.model.state_token_dim);
    let images = i64::from(config.common.img_history_size)
        * i64::from(config.common.num_cameras)
        * config.model.vision.tokens_per_image();
    let random = |shape: &[i64]| Tensor::randn(shape, (Kind::Float, device));
    let made_up = DeviceBatch {
        conditions: Conditions {
            language: random(&[batch, options.language_tokens, config.model.lang_token_dim]),
            language_usable: Some(Tensor::ones([batch, options.language_tokens], (Kind::Bool, device))),
            images: random(&[batch, images, config.model.img_token_dim]),
            control_freq: Tensor::full([batch], 20.0, (Kind::Float, device)),
            state: random(&[batch, 1, width]),
            mask: Tensor::ones([batch, 1, width], (Kind::Float, device)),
        },
        actions: random(&[batch, i64::from(config.common.action_chunk_size), width]),
    };
    let mut micro_step = 0;
    for line in std::io::stdin().lock().lines() {
        let mut seconds = Vec::new();
        for _ in 0..line?.trim().parse()? {
            let (started, cpu) = (Instant::now(), cpu_seconds());
            let loss = trainer.accumulate_encoded(&made_up, micro_step)?;
            let (loss, _) = trainer.update(&[loss], 1e-4)?.wait()?;
            assert!(loss.is_finite(), "step {micro_step}: loss {loss}");
            seconds.push(format!("{}/{}", started.elapsed().as_secs_f64(), cpu_seconds() - cpu));
            micro_step += 1;
        }
        println!("{}", seconds.join(" "));
        std::io::stdout().flush()?;
    }
    if let Some(peak) = memory::peak(device) {
        eprintln!("peak memory: {peak}");
    }
    Ok(())
}
