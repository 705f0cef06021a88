//! The edge between plain memory and tensors: each array of a batch is copied once.

use tch::{Device, Tensor};

use crate::device::late;
use crate::device::resize::DeviceResizer;
use crate::encoder::image::ImageEncoder;
use crate::encoder::language::LanguageEncoder;
use crate::error::ModelError;
use crate::images::HostImages;
use crate::network::Conditions;

/// A batch as plain memory, row-major; (B, ...) as in `rdt_consumer::Batch`.
#[derive(Debug, Clone)]
pub struct HostBatch<'a> {
    /// (B, 128).
    pub state: &'a [f32],
    /// (B, 128).
    pub state_mask: &'a [f32],
    /// (B, action rows, 128).
    pub actions: &'a [f32],
    /// (B, images, ...).
    pub images: HostImages<'a>,
    /// (B,) steps a second.
    pub control_freq: Vec<f32>,
    /// (B,).
    pub instructions: Vec<&'a str>,
    /// (B, 128): root mean square of each state entry over its episode.
    pub state_norm: &'a [f32],
    /// (B,) ids, for reports.
    pub samples: Vec<u64>,
    /// (B,) which data set, as the loader counts them.
    pub datasets: Vec<usize>,
}

/// A batch on the device, encoded.
#[derive(Debug)]
pub struct DeviceBatch {
    /// What the prediction rests on.
    pub conditions: Conditions,
    /// (B, horizon, 128).
    pub actions: Tensor,
}

impl HostBatch<'_> {
    /// Samples in it.
    pub fn len(&self) -> i64 {
        self.samples.len() as i64
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// The arrays on the device: state and its mask (B, 1, 128), actions (B, horizon, 128), and
    /// `images` images a sample, prepared (B * images, 3, side, side).
    ///
    /// # Errors
    /// The arrays are not of the configured shape, or the memory is not there.
    pub fn tensors(&self, images: i64, resizer: &DeviceResizer) -> Result<[Tensor; 4], ModelError> {
        let count = self.len();
        let [state, mask, actions] = self.arrays(resizer.device())?;
        let pixels = self.images.to_device(count * images, resizer)?;
        Ok([state, mask, actions, pixels])
    }

    fn arrays(&self, device: Device) -> Result<[Tensor; 3], ModelError> {
        let count = self.len();
        let rows = |values: &[f32]| -> Result<Tensor, ModelError> {
            let width = rdt_schema::STATE_DIM as i64;
            let rows = values.len() as i64 / (count * width).max(1);
            Ok(late::upload(values, &[count, rows, width], device)?)
        };
        Ok([rows(self.state)?, rows(self.state_mask)?, rows(self.actions)?])
    }

    /// Copies the arrays to the device and runs the frozen encoders there, but for what was encoded
    /// before.
    ///
    /// `images` says how many images a sample has, and what prepares them.
    ///
    /// # Errors
    /// The arrays are not of the configured shape, or the memory is not there.
    pub fn to_device(
        &self,
        (images, resizer): (i64, &DeviceResizer),
        image_encoder: &dyn ImageEncoder,
        language_encoder: &dyn LanguageEncoder,
    ) -> Result<DeviceBatch, ModelError> {
        let count = self.len();
        let [state, mask, actions] = self.arrays(resizer.device())?;
        let tokens = self.images.tokens(count * images, resizer, image_encoder)?;
        let language = language_encoder.encode(&self.instructions)?;
        let conditions = Conditions {
            language: language.tokens,
            language_usable: Some(language.usable),
            images: tokens.f_view([count, images * image_encoder.tokens(), image_encoder.width()])?,
            control_freq: late::upload(&self.control_freq, &[count], resizer.device())?,
            state,
            mask,
        };
        Ok(DeviceBatch { conditions, actions })
    }
}
