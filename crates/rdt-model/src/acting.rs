//! A policy with its weights, out of a checkpoint: what a robot sees goes in, actions come out.

use std::path::Path;

use rdt_image::{BACKGROUND, Picture, Preprocessor};
use rdt_schema::card::RobotAction;
use rdt_schema::{Config, STATE_DIM};
use tch::{Device, Kind};

use crate::batch::HostBatch;
use crate::checkpoint::{self, About, Which};
use crate::encoder::EncoderFolders;
use crate::error::ModelError;
use crate::images::{HostFrame, HostImages};
use crate::parameters::Weights;
use crate::policy::Policy;
use crate::weights::tensor_file::TensorFile;

/// One moment of a robot.
#[derive(Debug, Clone)]
pub struct Observation<'a> {
    /// State in the unified vector (128): [`CardConversion::state_to_unified`](
    /// rdt_schema::card::CardConversion::state_to_unified) makes it of a robot's columns.
    pub state: &'a [f32; STATE_DIM],
    /// 1 where the state fills an entry (128).
    pub state_mask: &'a [f32; STATE_DIM],
    /// Steps a second; 0 where unknown.
    pub control_freq: f32,
    /// What to do.
    pub instruction: &'a str,
    /// Upright RGB frames, `history * cameras` of them, the oldest of all cameras first (external, right
    /// wrist, left wrist); none where there is no such camera or no such frame yet.
    pub frames: Vec<Option<HostFrame<'a>>>,
}

/// A policy that can act.
#[derive(Debug)]
pub struct Actor {
    policy: Policy,
    weights: Weights,
    config: Config,
    about: Option<About>,
}

impl Actor {
    /// Out of a checkpoint, to compute on `device` in `kind`. Instructions are embedded by the encoder
    /// that is given, else by those that the checkpoint carries.
    ///
    /// # Errors
    /// It is no whole checkpoint, encoders are missing or do not fit, or the memory is not there.
    pub fn open(
        checkpoint: &Path,
        which: Which,
        encoders: &EncoderFolders,
        device: Device,
        kind: Kind,
    ) -> Result<Self, ModelError> {
        let about = About::read(checkpoint)?;
        let (config, seed) = checkpoint::config_and_seed(checkpoint, about.as_ref())?;
        let encoders = checkpoint::with_carried_instructions(checkpoint, encoders);
        let (policy, layout) = Policy::new(&config, &encoders, seed, device, kind)?;
        let flat = layout.zeros(device)?;
        TensorFile::open(&which.file(checkpoint))?.load(&layout, "", &flat)?;
        let weights = policy.weights(&layout, &flat)?;
        Ok(Self { policy, weights, config, about })
    }

    /// Network, encoders and sampler.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What the checkpoint says of itself; none of one from before it did.
    pub fn about(&self) -> Option<&About> {
        self.about.as_ref()
    }

    /// Actions for each observation, sampled together: rows of the unified vector (128), one a step,
    /// zero where the mask is. The sampler's noise is a function of the run's seed and `draw`.
    ///
    /// # Errors
    /// A frame that cannot be prepared, another number of frames, or the memory is not there.
    pub fn act(
        &self,
        observations: &[Observation<'_>],
        draw: u64,
    ) -> Result<Vec<Vec<[f32; STATE_DIM]>>, ModelError> {
        if observations.is_empty() {
            return Ok(Vec::new());
        }
        let pixels = self.prepared(observations)?;
        let rows = |row: &dyn Fn(&Observation<'_>) -> [f32; STATE_DIM]| -> Vec<f32> {
            observations.iter().flat_map(row).collect()
        };
        let (state, mask) = (rows(&|seen| *seen.state), rows(&|seen| *seen.state_mask));
        let host = HostBatch {
            state: &state,
            state_mask: &mask,
            actions: &[],
            images: HostImages::Pixel(&pixels),
            control_freq: observations.iter().map(|seen| seen.control_freq).collect(),
            instructions: observations.iter().map(|seen| seen.instruction).collect(),
            state_norm: &mask,
            samples: vec![0; observations.len()],
            datasets: vec![0; observations.len()],
        };
        let sampled = tch::no_grad(|| {
            let conditions = self.policy.encode(&host)?.conditions;
            self.policy.sample(&self.weights, &conditions, draw)
        })?;
        let horizon = self.policy.shape().horizon as usize;
        let flat = Vec::<f32>::try_from(sampled.f_to_device(Device::Cpu)?.f_contiguous()?.f_view([-1])?)?;
        let mut rows = flat.chunks_exact(STATE_DIM).map(|row| {
            let mut vector = [0.0; STATE_DIM];
            vector.copy_from_slice(row);
            vector
        });
        Ok(observations.iter().map(|_| rows.by_ref().take(horizon).collect()).collect())
    }

    /// What rows of actions mean for the robot that data set `name` was recorded with.
    ///
    /// # Errors
    /// The checkpoint does not say, or was not trained on such a data set.
    pub fn robot_actions(
        &self,
        name: &str,
        rows: &[[f32; STATE_DIM]],
    ) -> Result<Vec<Vec<RobotAction>>, ModelError> {
        let known = self.about.as_ref().map(|about| &about.data);
        let dataset = known.and_then(|data| data.dataset(name)).ok_or_else(|| ModelError::Setting {
            what: "the data set".into(),
            found: name.into(),
            expected: match known {
                None => "a checkpoint with about.json".into(),
                Some(data) => {
                    let names: Vec<_> = data.datasets.iter().map(|of| of.schema.name.as_str()).collect();
                    format!("one that the checkpoint was trained on: {}", names.join(", "))
                }
            },
        })?;
        let conversion = dataset.conversion()?;
        Ok(rows.iter().map(|row| conversion.action_from_unified(row)).collect())
    }

    /// The frames of all observations as the image encoder takes them, in RDT's preparation.
    fn prepared(&self, observations: &[Observation<'_>]) -> Result<Vec<u8>, ModelError> {
        let side = self.config.model.vision.image_size as usize;
        let grid = self.policy.shape().image_grid;
        let expected = (grid[0] * grid[1]) as usize;
        let mut preprocessor = Preprocessor::new(side)?;
        let mut pixels = Vec::new();
        for seen in observations {
            if seen.frames.len() != expected {
                return Err(ModelError::Setting {
                    what: "the number of frames of an observation".into(),
                    found: seen.frames.len().to_string(),
                    expected: format!("{expected}: those of all cameras, {} times", grid[0]),
                });
            }
            for frame in &seen.frames {
                let at = pixels.len();
                pixels.resize(at + 3 * side * side, BACKGROUND);
                if let Some(HostFrame { height, width, pixels: frame }) = frame {
                    preprocessor.square(Picture::new(*height, *width, frame)?, &mut pixels[at..]);
                }
            }
        }
        Ok(pixels)
    }
}
