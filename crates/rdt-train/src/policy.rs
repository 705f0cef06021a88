//! Network, encoders and diffusion process together, without weights: what turns a batch
//! into a loss or into sampled actions. Training and sampling share it.

use rdt_schema::Config;
use tch::{Device, Kind, Tensor};

use crate::batch::{DeviceBatch, HostBatch};
use crate::device_resize::DeviceResizer;
use crate::diffusion::{self, Draw, NoiseSchedule};
use crate::encoder::EncoderFolders;
use crate::encoder::image::ImageEncoder;
use crate::encoder::language::LanguageEncoder;
use crate::error::TrainError;
use crate::flat_parameters::{FlatParameters, ParameterLayout, Weights};
use crate::late;
use crate::memory::{self, Bytes};
use crate::metrics::{Comparison, SampleMetrics};
use crate::network::{NetworkShape, Rdt};
use crate::random::{self, Stream};
use crate::recompute::{self, GradientSum};
use crate::sampler::{self, DpmSolver};

/// Everything but weights.
pub struct Policy {
    seed: u64,
    device: Device,
    kind: Kind,
    resizer: DeviceResizer,
    network: Rdt,
    noise_schedule: NoiseSchedule,
    solver: DpmSolver,
    image_encoder: Box<dyn ImageEncoder>,
    language_encoder: Box<dyn LanguageEncoder>,
    /// Measured while they were opened, where the system tells.
    encoder_bytes: Option<Bytes>,
    recompute: bool,
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy").field("network", self.network.shape()).finish_non_exhaustive()
    }
}

impl Policy {
    /// The configured one, to compute on `device` in `kind`, and the layout of its
    /// parameters. `seed` decides the untrained encoders and all draws.
    ///
    /// # Errors
    /// Encoders that cannot be opened, an unknown adaptor, or the memory is not there.
    pub fn new(
        config: &Config,
        encoders: &EncoderFolders,
        seed: u64,
        device: Device,
        kind: Kind,
    ) -> Result<(Self, ParameterLayout), TrainError> {
        let before = memory::resident(device);
        let image_encoder = encoders.image_encoder(config, seed, device, kind)?;
        let language_encoder = encoders.language_encoder(config, seed, device, kind)?;
        let encoders = before.zip(memory::resident(device)).map(|(a, b)| Bytes(b.0.saturating_sub(a.0)));
        let (network, layout) = Rdt::new(NetworkShape::from_config(config))?;
        let scheduler = &config.model.noise_scheduler;
        let noise_schedule = NoiseSchedule::new(scheduler.num_train_timesteps, device)?;
        let solver = DpmSolver::new(&noise_schedule, scheduler.num_inference_timesteps)?;
        let resizer = DeviceResizer::new(config.model.vision.image_size.into(), device);
        let policy = Self {
            seed,
            device,
            kind,
            resizer,
            network,
            noise_schedule,
            solver,
            image_encoder,
            language_encoder,
            encoder_bytes: encoders,
            recompute: false,
        };
        Ok((policy, layout))
    }

    /// What the log says of the encoders.
    pub fn describe(&self) -> Vec<String> {
        let mut lines = vec![
            format!("image encoder: {}", self.image_encoder.describe()),
            format!("language encoder: {}", self.language_encoder.describe()),
        ];
        lines.extend(self.encoder_bytes.map(|bytes| format!("memory: encoders {bytes} (measured)")));
        lines
    }

    fn encode(&self, batch: &HostBatch<'_>) -> Result<DeviceBatch, TrainError> {
        let shape = self.network.shape();
        let images = (shape.image_grid[0] * shape.image_grid[1], &self.resizer);
        batch.to_device(images, self.image_encoder.as_ref(), self.language_encoder.as_ref())
    }

    /// Loss of a batch, and adds the gradient of `share` times it to `sum`; noise and timesteps are
    /// functions of the seed and `micro_step`.
    ///
    /// # Errors
    /// The batch is not of the configured shape, or the memory is not there.
    pub fn accumulate(
        &self,
        parameters: &FlatParameters,
        batch: &HostBatch<'_>,
        micro_step: u64,
        share: f64,
        sum: &mut GradientSum,
    ) -> Result<Tensor, TrainError> {
        self.accumulate_encoded(parameters, &self.encode(batch)?, micro_step, share, sum)
    }

    /// As [`Policy::accumulate`], of a batch whose images and instructions are encoded.
    ///
    /// # Errors
    /// As there.
    pub fn accumulate_encoded(
        &self,
        parameters: &FlatParameters,
        on_device: &DeviceBatch,
        micro_step: u64,
        share: f64,
        sum: &mut GradientSum,
    ) -> Result<Tensor, TrainError> {
        let (samples, _, _) = on_device.actions.size3()?;
        // Noise first, then timesteps, as RDT draws them.
        let noise = random::normal(self.seed, Stream::Noise, micro_step, &on_device.actions.size())?;
        let steps = self.noise_schedule.steps();
        let timesteps = random::integers(self.seed, Stream::Timesteps, micro_step, steps, &[samples])?;
        let draw = Draw {
            conditions: &on_device.conditions,
            actions: &on_device.actions,
            noise: &late::send(&noise, self.device)?,
            timesteps: &late::send(&timesteps, self.device)?,
        };
        let (network, schedule) = (&self.network, &self.noise_schedule);
        if self.recompute {
            return Ok(recompute::accumulate(network, parameters, self.kind, schedule, &draw, share, sum)?);
        }
        let weights = parameters.weights(self.kind)?;
        let loss = diffusion::loss(network, &weights, schedule, &draw)?;
        sum.add(parameters.gradient(&loss.f_mul_scalar(share)?)?)?;
        Ok(loss.f_detach()?)
    }

    /// Whether blocks are computed again in the backward pass instead of being kept.
    pub fn set_recompute(&mut self, recompute: bool) {
        self.recompute = recompute;
    }

    /// Samples actions for a batch and compares them with the recorded ones. The sampler starts from
    /// noise that is a function of the seed and the batch's `number`, so that figures of different
    /// weights are comparable.
    ///
    /// # Errors
    /// The batch is of another shape, or the memory is not there.
    pub fn compare(
        &self,
        weights: &Weights,
        host: &HostBatch<'_>,
        number: u64,
        dataset_names: &[String],
        metrics: &mut SampleMetrics,
    ) -> Result<(), TrainError> {
        tch::no_grad(|| {
            let on_device = self.encode(host)?;
            let start = random::normal(self.seed, Stream::Sampler, number, &on_device.actions.size())?;
            let start = late::send(&start, self.device)?;
            let conditions = &on_device.conditions;
            let predicted = sampler::sample(&self.network, weights, &self.solver, conditions, &start)?;
            let state_norm = Tensor::f_from_slice(host.state_norm)?.f_to_device(self.device)?;
            let datasets: Vec<&str> = host
                .datasets
                .iter()
                .map(|&index| dataset_names.get(index).map_or("unknown", String::as_str))
                .collect();
            metrics.add(&Comparison {
                predicted: &predicted,
                actions: &on_device.actions,
                mask: &conditions.mask,
                state_norm: &state_norm.f_view_as(&conditions.mask)?,
                datasets: &datasets,
            })?;
            Ok(())
        })
    }

    /// A copy of parameters as the network takes them for sampling.
    ///
    /// # Errors
    /// The buffer is not of this layout, or the memory is not there.
    pub fn weights(&self, layout: &ParameterLayout, flat: &Tensor) -> Result<Weights, TrainError> {
        Ok(tch::no_grad(|| Weights::split(layout, flat, self.kind))?)
    }

    /// Sizes of the network.
    pub fn shape(&self) -> &NetworkShape {
        self.network.shape()
    }

    /// The kind in which the network computes.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}
