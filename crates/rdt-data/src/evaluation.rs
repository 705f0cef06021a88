//! What is evaluated on: held-out samples, or all, the same ones each time.

use rdt_consumer::{ConsumerError, Loader};

use crate::batches::{BatchSpec, Batches};
use crate::error::DataError;
use crate::source::Source;

/// The batches of evaluations.
#[derive(Debug)]
pub struct Evaluation {
    spec: BatchSpec,
    source: Source,
    /// None of a live buffer, which has other samples each time.
    batches: Option<Batches>,
}

impl Evaluation {
    /// Batches of `source` as `spec` asks for them.
    ///
    /// # Errors
    /// As of [`BatchSpec::prepare`].
    pub fn of(source: &Source, spec: BatchSpec) -> Result<Self, DataError> {
        let batches = (!source.is_live()).then(|| spec.clone().prepare(source)).transpose()?;
        Ok(Self { spec, source: source.clone(), batches })
    }

    /// The same beside a training, whose holdout is divided already.
    ///
    /// # Errors
    /// As of [`BatchSpec::prepare`].
    pub fn beside(training: &Batches, source: &Source, spec: BatchSpec) -> Result<Self, DataError> {
        let prepare = || spec.clone().prepare_divided(source, training.holdout().cloned());
        let batches = (!source.is_live()).then(prepare).transpose()?;
        Ok(Self { spec, source: source.clone(), batches })
    }

    /// A loader from the first of them; none where a live buffer has no such samples now.
    ///
    /// # Errors
    /// As of [`BatchSpec::prepare`] and [`Batches::loader`].
    pub fn loader(&self) -> Result<Option<Loader>, DataError> {
        if let Some(batches) = &self.batches {
            return batches.loader(Default::default(), None).map(Some);
        }
        // Without claims: what is evaluated on is read and stays.
        match self.spec.clone().prepare(&self.source.as_it_is_now()?) {
            Ok(batches) => batches.loader(Default::default(), None).map(Some),
            Err(DataError::Batches(ConsumerError::HoldoutSide { .. } | ConsumerError::NoSamples)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
