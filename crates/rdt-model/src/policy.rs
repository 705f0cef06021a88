//! Network, encoders and diffusion process together, without weights: what turns a batch into sampled
//! actions, and what a training computes its loss with.

use rdt_schema::Config;
use tch::{Device, Kind, Tensor};

use crate::batch::{DeviceBatch, HostBatch};
use crate::device::late;
use crate::device::memory::{self, Bytes};
use crate::device::resize::DeviceResizer;
use crate::diffusion::NoiseSchedule;
use crate::diffusion::sampler::{self, DpmSolver};
use crate::encoder::EncoderFolders;
use crate::encoder::image::ImageEncoder;
use crate::encoder::language::LanguageEncoder;
use crate::error::ModelError;
use crate::metrics::{Comparison, SampleMetrics};
use crate::network::{Conditions, NetworkShape, Rdt};
use crate::parameters::{ParameterLayout, Weights};
use crate::random::{self, Stream};

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
    ) -> Result<(Self, ParameterLayout), ModelError> {
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

    /// The arrays of a batch on the device, images and instructions encoded.
    ///
    /// # Errors
    /// The batch is not of the configured shape, or the memory is not there.
    pub fn encode(&self, batch: &HostBatch<'_>) -> Result<DeviceBatch, ModelError> {
        let shape = self.network.shape();
        let images = (shape.image_grid[0] * shape.image_grid[1], &self.resizer);
        batch.to_device(images, self.image_encoder.as_ref(), self.language_encoder.as_ref())
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
    ) -> Result<(), ModelError> {
        tch::no_grad(|| {
            let on_device = self.encode(host)?;
            let predicted = self.sample(weights, &on_device.conditions, number)?;
            let conditions = &on_device.conditions;
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

    /// Actions (B, horizon, 128) that the sampler makes under `conditions`, zero where the mask is. It
    /// starts from noise that is a function of the seed and `number`.
    ///
    /// # Errors
    /// Shapes do not fit, or the memory is not there.
    pub(crate) fn sample(
        &self,
        weights: &Weights,
        conditions: &Conditions,
        number: u64,
    ) -> Result<Tensor, ModelError> {
        let shape = self.network.shape();
        let size = [conditions.state.size()[0], shape.horizon, shape.state_dim];
        let start = late::send(&random::normal(self.seed, Stream::Sampler, number, &size)?, self.device)?;
        Ok(sampler::sample(&self.network, weights, &self.solver, conditions, &start)?)
    }

    /// A copy of parameters as the network takes them for sampling.
    ///
    /// # Errors
    /// The buffer is not of this layout, or the memory is not there.
    pub fn weights(&self, layout: &ParameterLayout, flat: &Tensor) -> Result<Weights, ModelError> {
        Ok(tch::no_grad(|| Weights::split(layout, flat, self.kind))?)
    }

    /// The network.
    pub fn network(&self) -> &Rdt {
        &self.network
    }

    /// The diffusion process.
    pub fn noise_schedule(&self) -> &NoiseSchedule {
        &self.noise_schedule
    }

    /// Decides all draws.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Where it computes.
    pub fn device(&self) -> Device {
        self.device
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
