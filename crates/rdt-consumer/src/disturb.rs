//! What training changes about a sample, so that the network learns to do without its inputs.
//!
//! [`Disturbance`] says what may happen; the default is nothing, which is what evaluation takes.
//! Every choice is drawn for itself, as a function of the seed, the epoch, the sample's position
//! in the order and what is chosen: switching one thing on changes no draw of another, and
//! threads, ranks and restarts do not show.
//!
//! What a sample looks like before (rows, frames) is not decided here; how a picture is altered
//! is the business of `augment`.

mod disturber;
mod state_means;

use rdt_schema::Setting;

use crate::error::ConsumerError;

pub(crate) use disturber::Disturber;
pub use state_means::StateMeans;

/// Which inputs are masked, and how states and images are disturbed.
///
/// ```
/// use rdt_consumer::Disturbance;
/// // What RDT trains with.
/// let training = Disturbance { mask_probability: 0.1, ..Disturbance::default() };
/// assert!(Disturbance::default().is_off() && !training.is_off());
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Disturbance {
    /// Probability, each on its own, that the control frequency becomes 0, the state its data
    /// set's mean, the state's mask zeros, an image background, and the instruction empty
    /// (RDT: `cond_mask_prob`, 0.1 in training).
    pub mask_probability: f64,
    /// The same probability for the images of the external camera, if it has its own (RDT:
    /// `cam_ext_mask_prob`).
    pub external_camera_mask_probability: Option<f64>,
    /// Signal-to-noise ratio in decibels of the normal noise added to states: its deviation is
    /// the episode's over `sqrt(10^(snr/10))` (RDT: `state_noise_snr`).
    pub state_noise_snr: Option<f64>,
    /// Whether half of the images get their colours jittered, are corrupted, or both (RDT:
    /// `image_aug`).
    pub augment_images: bool,
    /// Whether dark images are brightened: those whose mean is at most 0.15 of full scale, by
    /// 1.75 (RDT: `auto_adjust_image_brightness`, which none of its commands switch on).
    pub brighten_dark_images: bool,
    /// Whether images are altered even where frames were padded and resized when they were stored:
    /// RDT alters them before that, so blurs reach another distance and the padding is altered too.
    pub alter_prepared_images: bool,
    /// Where masked states come from.
    pub state_means: StateMeans,
}

impl Disturbance {
    /// Refuses numbers out of their ranges.
    ///
    /// # Errors
    /// One is.
    pub fn check(&self) -> Result<(), ConsumerError> {
        for (setting, found) in [
            (Setting::COND_MASK_PROB, Some(self.mask_probability)),
            (Setting::CAM_EXT_MASK_PROB, self.external_camera_mask_probability),
        ] {
            if let Some(found) = found.filter(|found| !(0.0..=1.0).contains(found)) {
                return Err(ConsumerError::Probability { setting, found });
            }
        }
        match self.state_noise_snr.filter(|snr| !snr.is_finite()) {
            Some(found) => Err(ConsumerError::NoiseRatio { found }),
            None => Ok(()),
        }
    }

    /// Whether nothing is changed.
    pub fn is_off(&self) -> bool {
        !self.changes_images()
            && self.mask_probability == 0.0
            && self.external_camera_mask_probability.is_none_or(|p| p == 0.0)
            && self.state_noise_snr.is_none()
    }

    /// Whether pixels of images that are shown may change.
    pub fn changes_images(&self) -> bool {
        self.augment_images || self.brighten_dark_images
    }
}
