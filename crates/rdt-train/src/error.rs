//! What can go wrong in training, for a person: place, found, expected, remedy.

use std::path::PathBuf;

use rdt_model::ModelError;
use rdt_schema::Setting;
use tch::TchError;

/// A failure of the trainer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// Of the network, an encoder, a setting or a file.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Loss or gradient became infinite or not a number.
    #[error(
        "step {step}: {what} is {value}; the step was not applied and the samples of its batch are listed in {}; \
         look at them with `rdt-buf show`, or lower {}", list.display(), Setting::LEARNING_RATE
    )]
    NonFinite {
        /// Optimiser step, from 0.
        step: u64,
        /// `loss` or `gradient norm`.
        what: &'static str,
        /// Its value.
        value: f64,
        /// File with the ids of the samples.
        list: PathBuf,
    },
    /// The samples could not be delivered.
    #[error("the data loader stopped")]
    Data {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl From<TchError> for TrainError {
    fn from(error: TchError) -> Self {
        Self::Model(error.into())
    }
}

impl TrainError {
    /// A [`TrainError::Data`], for `map_err`.
    pub fn data(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Data { source: error.into() }
    }

    /// A [`ModelError::Setting`]: the configuration or a setting asks for something that cannot be.
    pub(crate) fn setting(
        what: impl std::fmt::Display,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        ModelError::Setting { what: what.to_string(), found: found.into(), expected: expected.into() }.into()
    }

    /// A [`ModelError::File`] about `path`, for `map_err`.
    pub(crate) fn file(
        path: impl Into<PathBuf>,
        action: &'static str,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let error = ModelError::file(path, action);
        move |source| error(source).into()
    }
}
