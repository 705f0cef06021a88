//! Applies [`Disturbance`] to one sample at a time.

use std::sync::Arc;

use rdt_buffer::Samples;

use crate::augment::{Augmentation, Augmenter};
use crate::batch::Slot;
use crate::disturb::Disturbance;
use crate::draw::{self, Purpose, Visit};
use crate::error::ConsumerError;

/// The settings, checked, with the means of the data sets at hand. One a thread.
#[derive(Debug, Clone)]
pub(crate) struct Disturber {
    settings: Arc<Settings>,
    augmenter: Augmenter,
}

#[derive(Debug)]
struct Settings {
    disturbance: Disturbance,
    /// By data set; none if states are never masked.
    state_means: Vec<Vec<f32>>,
    /// What the deviation of states is multiplied with to get that of the noise.
    noise_scale: Option<f64>,
}

impl Disturber {
    /// What applies `disturbance` to the samples of `source`; none if there is nothing to do.
    ///
    /// # Errors
    /// A number out of its range, or a data set without a mean state where one is needed.
    pub(crate) fn new(
        disturbance: &Disturbance,
        source: &dyn Samples,
    ) -> Result<Option<Self>, ConsumerError> {
        disturbance.check()?;
        if disturbance.is_off() {
            return Ok(None);
        }
        let state_means = match disturbance.mask_probability {
            0.0 => Vec::new(),
            _ => disturbance.state_means.of(source)?,
        };
        let noise_scale = disturbance.state_noise_snr.map(|snr| libm::pow(10.0, -snr / 20.0));
        let settings = Settings { disturbance: disturbance.clone(), state_means, noise_scale };
        Ok(Some(Self { settings: Arc::new(settings), augmenter: Augmenter::new() }))
    }

    /// Masks and disturbs what is not an image.
    pub(crate) fn rows(&self, visit: Visit, slot: &mut Slot) {
        let Settings { disturbance, state_means, noise_scale } = &*self.settings;
        if let Some(scale) = *noise_scale {
            let key = visit.key(Purpose::StateNoise);
            let deviations = slot.state_std.elements();
            for (entry, (value, std)) in slot.state.elements().iter_mut().zip(deviations).enumerate() {
                let noise = draw::normal(draw::absorb(key, entry as u64));
                // As numpy adds 64-bit noise to 32-bit states: rounded once.
                *value = (f64::from(*value) + noise * f64::from(*std) * scale) as f32;
            }
        }
        let masks = |purpose| is_masked(visit.unit(purpose), disturbance.mask_probability);
        if masks(Purpose::MaskFrequency) {
            slot.record.ctrl_freq = 0.0;
        }
        if masks(Purpose::MaskState)
            && let Some(mean) = state_means.get(slot.record.dataset)
        {
            slot.state.elements().copy_from_slice(mean);
        }
        if masks(Purpose::MaskStateMask) {
            slot.state_mask.elements().fill(0.0);
        }
        if masks(Purpose::MaskInstruction) {
            slot.record.instruction.clear();
        }
    }

    /// Whether image `index`, which is of `camera`, is shown.
    pub(crate) fn shows(&self, visit: Visit, index: usize, camera: usize) -> bool {
        let disturbance = &self.settings.disturbance;
        let probability = match (camera, disturbance.external_camera_mask_probability) {
            (0, Some(probability)) => probability,
            _ => disturbance.mask_probability,
        };
        !is_masked(visit.unit_of(Purpose::MaskImage, index), probability)
    }

    /// Alters the picture of image `index`, if it is to be; says whether anything was looked at.
    pub(crate) fn picture(
        &mut self,
        visit: Visit,
        index: usize,
        (height, width): (usize, usize),
        pixels: &mut [u8],
    ) -> bool {
        let disturbance = &self.settings.disturbance;
        if disturbance.brighten_dark_images {
            self.augmenter.brighten_if_dark(pixels);
        }
        if disturbance.augment_images
            && let Some(augmentation) = Augmentation::draw(visit.key_of(Purpose::Augment, index))
        {
            self.augmenter.apply(&augmentation, (height, width), pixels);
        }
        disturbance.changes_images()
    }
}

/// RDT keeps what it draws more than `probability` for, so that 0 must not draw at all: a unit
/// can be 0.
fn is_masked(unit: f64, probability: f64) -> bool {
    probability > 0.0 && unit <= probability
}
