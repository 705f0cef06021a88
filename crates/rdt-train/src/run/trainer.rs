//! Everything a step changes, and the step itself.

use std::path::{Path, PathBuf};

use rdt_model::batch::{DeviceBatch, HostBatch};
use rdt_model::device;
use rdt_model::device::late::{self, Late};
use rdt_model::diffusion::{self, Draw};
use rdt_model::encoder::EncoderFolders;
use rdt_model::policy::Policy;
use rdt_model::random::{self, Stream};
use rdt_model::weights::pretrained;
use rdt_schema::Config;
use rdt_schema::Setting;
use tch::{Device, Kind, TchError, Tensor};

use crate::batch::Batches;
use crate::error::TrainError;
use crate::parameters::FlatParameters;
use crate::parameters::ema::Ema;
use crate::parameters::optimizer::{self, AdamW};
use crate::parameters::recompute::{self, GradientSum};
use crate::run::evaluate::{Evaluated, evaluate};
use crate::run::memory_plan::Plan;
use crate::run::settings::{TrainSettings, check_ema};

/// Network, optimiser, moving average and encoders of a run.
pub struct Trainer {
    settings: TrainSettings,
    policy: Policy,
    parameters: FlatParameters,
    optimizer: AdamW,
    ema: Ema,
    gradient: GradientSum,
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
        device::allow_tf32(device, settings.allow_tf32);
        let (seed, kind) = (settings.seed, settings.mixed_precision.kind());
        let (policy, layout) = Policy::new(config, encoders, seed, device, kind)?;
        let parameters = FlatParameters::initial(layout, settings.seed, device)?;
        let optimizer = AdamW::new(parameters.layout(), settings.adam, device)?;
        let ema = Ema::new(config.model.ema.clone(), parameters.flat())?;
        Ok(Self { settings, policy, parameters, optimizer, ema, gradient: GradientSum::default() })
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
        let layout = self.parameters.layout();
        let plan = Plan::new(
            self.policy.shape(),
            layout.length(),
            self.settings.train_batch_size.into(),
            self.policy.kind(),
            self.settings.gradient_checkpointing,
        );
        let tensors = layout.parameters().len();
        let mut lines = vec![format!("network: {} parameters in {tensors} tensors", layout.elements())];
        lines.push(plan.to_string());
        if self.settings.allow_tf32 {
            let is_cuda = self.parameters.flat().device().is_cuda();
            let what = if is_cuda { "f32 matrix products round to TF32" } else { "no effect on the CPU" };
            lines.push(format!("{}: {what}", Setting::ALLOW_TF32));
        }
        lines.extend(self.policy.describe());
        lines.extend(self.settings.learning_rate.warning());
        lines
    }

    /// Loss of a batch, whose gradient, over the number of micro-steps, is added to that of the
    /// coming update. Noise and timesteps are functions of the seed and `micro_step`.
    ///
    /// # Errors
    /// The batch is not of the configured shape, or the memory is not there.
    pub fn accumulate(&mut self, batch: &HostBatch<'_>, micro_step: u64) -> Result<Tensor, TrainError> {
        self.accumulate_encoded(&self.policy.encode(batch)?, micro_step)
    }

    /// As [`Trainer::accumulate`], of a batch whose images and instructions are encoded.
    ///
    /// # Errors
    /// As there.
    pub fn accumulate_encoded(&mut self, batch: &DeviceBatch, micro_step: u64) -> Result<Tensor, TrainError> {
        let share = 1.0 / self.settings.gradient_accumulation_steps as f64;
        let (network, schedule) = (self.policy.network(), self.policy.noise_schedule());
        let (seed, device, kind) = (self.policy.seed(), self.policy.device(), self.policy.kind());
        let (samples, _, _) = batch.actions.size3()?;
        // Noise first, then timesteps, as RDT draws them.
        let noise = random::normal(seed, Stream::Noise, micro_step, &batch.actions.size())?;
        let timesteps = random::integers(seed, Stream::Timesteps, micro_step, schedule.steps(), &[samples])?;
        let draw = Draw {
            conditions: &batch.conditions,
            actions: &batch.actions,
            noise: &late::send(&noise, device)?,
            timesteps: &late::send(&timesteps, device)?,
        };
        let (parameters, sum) = (&self.parameters, &mut self.gradient);
        if self.settings.gradient_checkpointing {
            return Ok(recompute::accumulate(network, parameters, kind, schedule, &draw, share, sum)?);
        }
        let weights = parameters.weights(kind)?;
        let loss = diffusion::loss(network, &weights, schedule, &draw)?;
        sum.add(parameters.gradient(&loss.f_mul_scalar(share)?)?)?;
        Ok(loss.f_detach()?)
    }

    /// Forgets what was accumulated.
    pub fn drop_gradient(&mut self) {
        drop(self.gradient.take());
    }

    /// Samples actions with the present weights: [`evaluate()`].
    ///
    /// # Errors
    /// As of [`evaluate()`].
    pub fn evaluate(
        &self,
        batches: &mut impl Batches,
        count: u64,
        dataset_names: &[String],
    ) -> Result<Evaluated, TrainError> {
        let weights = self.policy.weights(self.parameters.layout(), self.parameters.flat())?;
        evaluate(&self.policy, &weights, batches, count, dataset_names)
    }

    /// Clips the accumulated gradient, takes an optimiser step at `learning_rate` and moves the
    /// average. Where the mean of `losses` or the gradient's norm is not finite, weights, moments
    /// and average stay as they are: the device decides that, so nobody waits for it here.
    ///
    /// # Errors
    /// Nothing was accumulated, or the memory is not there.
    pub fn update(&mut self, losses: &[Tensor], learning_rate: f64) -> Result<StepFigures, TrainError> {
        let Some(gradient) = self.gradient.take() else {
            return Err(TchError::Shape("no gradient was accumulated".into()).into());
        };
        tch::no_grad(|| {
            let norm = optimizer::gradient_norm(&gradient)?;
            let loss = Tensor::f_stack(losses, 0)?.f_to_kind(Kind::Double)?.f_mean(None::<Kind>)?;
            let figures = Tensor::f_stack(&[loss, norm.shallow_clone()], 0)?;
            let skip =
                figures.f_isfinite()?.f_all()?.f_logical_not()?.f_to_kind(Kind::Float)?.f_reshape([1])?;
            let scale = optimizer::clip_scale(&norm, self.settings.max_grad_norm)?;
            // RDT moves the average at each micro-step. The weights stay as they are until the
            // last one, so the moves before are one.
            let before = self.settings.gradient_accumulation_steps - 1;
            if before > 0 {
                self.ema.update(self.parameters.flat(), before, &skip)?;
            }
            self.optimizer.step(self.parameters.flat(), &gradient, learning_rate, &scale, &skip)?;
            self.ema.update(self.parameters.flat(), 1, &skip)?;
            Ok(StepFigures(Late::ask(&figures)?))
        })
    }
}

/// Loss and gradient norm of a step, which the device may still be computing.
#[derive(Debug)]
pub struct StepFigures(Late);

impl StepFigures {
    /// Of a device that has them at `ready` only.
    #[cfg(test)]
    pub(crate) fn at(ready: std::time::Instant) -> Self {
        Self(Late::at(Tensor::from_slice(&[1.0, 1.0]), ready))
    }

    /// Waits for the step, and for nothing after it: mean loss and gradient norm before clipping.
    ///
    /// # Errors
    /// The device failed.
    pub fn wait(self) -> Result<(f64, f64), TrainError> {
        match self.0.wait()?.as_slice() {
            &[loss, norm] => Ok((loss, norm)),
            other => Err(TchError::Shape(format!("{} numbers of a step", other.len())).into()),
        }
    }
}
