//! Everything a step changes, and the step itself.

use std::path::{Path, PathBuf};

use rdt_schema::Config;
use tch::{Device, Tensor};

use crate::batch::{HostBatch, TrainingBatch};
use crate::ema::Ema;
use crate::encoder::EncoderFolders;
use crate::error::TrainError;
use crate::flat_parameters::FlatParameters;
use crate::metrics::SampleFigures;
use crate::optimizer::{self, AdamW};
use crate::policy::Policy;
use crate::pretrained;
use crate::settings::{TrainSettings, check_ema};

/// Network, optimiser, moving average and encoders of a run.
pub struct Trainer {
    settings: TrainSettings,
    policy: Policy,
    parameters: FlatParameters,
    optimizer: AdamW,
    ema: Ema,
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
        check_ema(&config.model.ema)?;
        let (seed, kind) = (settings.seed, settings.mixed_precision.kind());
        let (policy, layout) = Policy::new(config, encoders, seed, device, kind)?;
        let parameters = FlatParameters::initial(layout, settings.seed, device)?;
        let optimizer = AdamW::new(parameters.layout(), settings.adam, device)?;
        let ema = Ema::new(config.model.ema.clone(), parameters.flat())?;
        Ok(Self { settings, policy, parameters, optimizer, ema })
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
        let mut lines = vec![format!(
            "network: {elements} parameters in {} tensors; f32 weights {:.1} MiB, moments {:.1} MiB, \
                 gradient {:.1} MiB, moving average {:.1} MiB",
            self.parameters.layout().parameters().len(),
            mib(1),
            mib(2),
            mib(1),
            mib(1)
        )];
        lines.extend(self.policy.describe());
        lines
    }

    /// Loss of a batch; noise and timesteps are functions of the seed and `micro_step`.
    ///
    /// # Errors
    /// The batch is not of the configured shape, or the memory is not there.
    pub fn loss(&self, batch: &HostBatch<'_>, micro_step: u64) -> Result<Tensor, TrainError> {
        let weights = self.parameters.weights(self.policy.kind())?;
        self.policy.loss(&weights, batch, micro_step)
    }

    /// Samples actions with the present weights: [`Policy::evaluate`].
    ///
    /// # Errors
    /// As of [`Policy::evaluate`].
    pub fn evaluate<B: TrainingBatch, E: std::error::Error + Send + Sync + 'static>(
        &self,
        batches: impl Iterator<Item = Result<B, E>>,
        count: u64,
        dataset_names: &[String],
    ) -> Result<SampleFigures, TrainError> {
        let weights = self.policy.weights(self.parameters.layout(), self.parameters.flat())?;
        self.policy.evaluate(&weights, batches, count, dataset_names)
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
