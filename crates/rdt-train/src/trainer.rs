//! Everything a step changes, and the step itself.

use std::path::{Path, PathBuf};

use rdt_schema::Config;
use tch::{Device, Tensor};

use crate::batch::HostBatch;
use crate::diffusion::{self, NoiseSchedule};
use crate::ema::Ema;
use crate::encoder::EncoderFolders;
use crate::encoder::image::ImageEncoder;
use crate::encoder::language::LanguageEncoder;
use crate::error::TrainError;
use crate::flat_parameters::FlatParameters;
use crate::network::{NetworkShape, Rdt};
use crate::optimizer::{self, AdamW};
use crate::pretrained;
use crate::random::{self, Stream};
use crate::settings::TrainSettings;

/// Network, optimiser, moving average and encoders of a run.
pub struct Trainer {
    settings: TrainSettings,
    device: Device,
    image_side: i64,
    network: Rdt,
    parameters: FlatParameters,
    optimizer: AdamW,
    ema: Ema,
    noise_schedule: NoiseSchedule,
    image_encoder: Box<dyn ImageEncoder>,
    language_encoder: Box<dyn LanguageEncoder>,
}

impl std::fmt::Debug for Trainer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trainer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Trainer {
    /// A fresh run: a function of the configuration and the seed.
    ///
    /// # Errors
    /// Settings out of range, encoders that cannot be opened, or the memory is not there.
    pub fn new(
        config: &Config,
        settings: TrainSettings,
        device: Device,
        encoders: &EncoderFolders,
    ) -> Result<Self, TrainError> {
        settings.check()?;
        let (seed, kind) = (settings.seed, settings.mixed_precision.kind());
        let image_encoder = encoders.image_encoder(config, seed, device, kind)?;
        let language_encoder = encoders.language_encoder(config, seed, device, kind)?;
        let (network, layout) = Rdt::new(NetworkShape::from_config(config))?;
        let parameters = FlatParameters::initial(layout, settings.seed, device)?;
        let optimizer = AdamW::new(parameters.layout(), settings.adam, device)?;
        let ema = Ema::new(config.model.ema.clone(), parameters.flat())?;
        let noise_schedule = NoiseSchedule::new(config.model.noise_scheduler.num_train_timesteps, device)?;
        let image_side = config.model.vision.image_size.into();
        Ok(Self {
            settings,
            device,
            image_side,
            network,
            parameters,
            optimizer,
            ema,
            noise_schedule,
            image_encoder,
            language_encoder,
        })
    }

    /// The run's knobs.
    pub fn settings(&self) -> &TrainSettings {
        &self.settings
    }

    /// The parameters.
    pub fn parameters(&self) -> &FlatParameters {
        &self.parameters
    }

    /// The moments.
    pub fn optimizer(&self) -> &AdamW {
        &self.optimizer
    }

    /// The moving average.
    pub fn ema(&self) -> &Ema {
        &self.ema
    }

    /// Starts from published weights, the moving average too, and returns their file.
    ///
    /// # Errors
    /// As of [`pretrained::load`].
    pub fn start_from(&mut self, path: &Path, config: &Config) -> Result<PathBuf, TrainError> {
        let file = pretrained::load(path, config, self.parameters.layout(), self.parameters.flat())?;
        tch::no_grad(|| self.ema.average().detach().f_copy_(self.parameters.flat()))?;
        Ok(file)
    }

    /// Takes up the counts of a checkpoint whose buffers were read in.
    pub fn resume_at(&mut self, optimizer_updates: u64, ema_updates: u64) {
        self.optimizer.resume_at(optimizer_updates);
        self.ema.resume_at(ema_updates);
    }

    /// What the log says of the run before it starts.
    pub fn describe(&self) -> Vec<String> {
        let elements = self.parameters.layout().elements();
        let mib = |buffers: i64| (buffers * self.parameters.layout().length() * 4) as f64 / (1 << 20) as f64;
        vec![
            format!(
                "network: {elements} parameters in {} tensors; f32 weights {:.1} MiB, moments {:.1} MiB, \
                 gradient {:.1} MiB, moving average {:.1} MiB",
                self.parameters.layout().parameters().len(),
                mib(1),
                mib(2),
                mib(1),
                mib(1)
            ),
            format!("image encoder: {}", self.image_encoder.describe()),
            format!("language encoder: {}", self.language_encoder.describe()),
        ]
    }

    /// Loss of a batch; noise and timesteps are functions of the seed and `micro_step`.
    ///
    /// # Errors
    /// The batch is not of the configured shape, or the memory is not there.
    pub fn loss(&self, batch: &HostBatch<'_>, micro_step: u64) -> Result<Tensor, TrainError> {
        let shape = self.network.shape();
        let images = (shape.image_grid[0] * shape.image_grid[1], self.image_side);
        let on_device = batch.to_device(
            images,
            self.image_encoder.as_ref(),
            self.language_encoder.as_ref(),
            self.device,
        )?;
        let seed = self.settings.seed;
        // Noise first, then timesteps, as RDT draws them.
        let noise = random::normal(seed, Stream::Noise, micro_step, &on_device.actions.size())?;
        let steps = self.noise_schedule.steps();
        let timesteps = random::integers(seed, Stream::Timesteps, micro_step, steps, &[batch.len()])?;
        let weights = self.parameters.weights(self.settings.mixed_precision.kind())?;
        Ok(diffusion::loss(
            &self.network,
            &weights,
            &self.noise_schedule,
            &on_device.conditions,
            &on_device.actions,
            &noise.f_to_device(self.device)?,
            &timesteps.f_to_device(self.device)?,
        )?)
    }

    /// Gradient of a loss, one flat buffer.
    ///
    /// # Errors
    /// The memory is not there.
    pub fn gradient(&self, loss: &Tensor) -> Result<Tensor, TrainError> {
        Ok(self.parameters.gradient(loss)?)
    }

    /// Clips and takes an optimiser step at `learning_rate`. `norm` is the gradient's norm.
    ///
    /// # Errors
    /// The memory is not there.
    pub fn update(
        &mut self,
        mut gradient: Tensor,
        norm: &Tensor,
        learning_rate: f64,
    ) -> Result<(), TrainError> {
        if self.settings.max_grad_norm > 0.0 {
            optimizer::clip(&mut gradient, norm, self.settings.max_grad_norm)?;
        }
        self.optimizer.step(self.parameters.flat(), gradient, learning_rate)?;
        Ok(())
    }

    /// Moves the moving average: once a micro-step, as RDT does.
    ///
    /// # Errors
    /// The memory is not there.
    pub fn update_ema(&mut self) -> Result<(), TrainError> {
        Ok(self.ema.update(self.parameters.flat())?)
    }
}
