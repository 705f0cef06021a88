//! How a run's batches are made, as its checkpoints record it, so that a resume with other inputs
//! is not silent.
//!
//! What the data is has a name of its own ([`Data::name`]). Here are the settings of
//! disturbance and delivery, which are the program's and only compared, and the two encoders.

use rdt_buffer::embedding::EncoderDigest;
use rdt_schema::Setting;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::error::TrainError;
use crate::run::train::{Data, Run};

/// The input side of a run. Empty in checkpoints from before it was recorded.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Inputs {
    /// Settings by name: where one changes, the log says so.
    pub settings: Map<String, Value>,
    /// Digest of the image encoder, live or stored, if it is known.
    pub image_encoder: Option<String>,
    /// Digest of the language encoder, live or stored, if it is known.
    pub language_encoder: Option<String>,
}

impl Inputs {
    /// Those of `run`.
    ///
    /// # Errors
    /// An encoder's folder or stored embeddings cannot be read.
    pub(crate) fn of(run: &Run<'_>, data: &Data<'_>) -> Result<Self, TrainError> {
        let (encoders, seed) = (run.encoders, run.settings.seed);
        let text = |digest: Option<EncoderDigest>| digest.map(|digest| digest.to_string());
        Ok(Self {
            settings: data.inputs.clone(),
            image_encoder: text(encoders.image_identity(run.config, seed)?),
            language_encoder: text(encoders.language_identity(run.config, seed)?),
        })
    }

    /// Refuses other encoders than those of the run that `saved` is of, each where both are known.
    ///
    /// # Errors
    /// One is another; `run` names the run in the message.
    pub(crate) fn check_encoders(&self, saved: &Self, run: &str) -> Result<(), TrainError> {
        for (what, saved, given) in [
            ("image", &saved.image_encoder, &self.image_encoder),
            ("language", &saved.language_encoder, &self.language_encoder),
        ] {
            if let (Some(saved), Some(given)) = (saved, given)
                && saved != given
            {
                return Err(TrainError::setting(
                    format!("the {what} encoder"),
                    given.clone(),
                    format!(
                        "{saved} as in the run of {run}, whose weights are trained on its tokens; give that encoder, \
                         or start a new run in another {}",
                        Setting::OUTPUT_DIR
                    ),
                ));
            }
        }
        Ok(())
    }
}
