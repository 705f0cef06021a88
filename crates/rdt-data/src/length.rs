//! How long a run over samples is: all arithmetic of samples, batches, steps and epochs.

use rdt_consumer::BatchPosition;

/// Samples, and how many of them a batch and a step take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    samples: u64,
    batch: u32,
    batches_a_step: u64,
}

/// What whole epochs come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochLength {
    /// Batches of all of them.
    pub batches: u64,
    /// Whole optimiser steps in them; epochs too short for a single step still make one, which reads on
    /// into the next epoch.
    pub steps: u64,
    /// Batches that are left over behind the last whole step.
    pub left: u64,
}

impl Length {
    /// Of `samples` an epoch, `batch` a global batch, `batches_a_step` global batches an optimiser step.
    pub fn new(samples: u64, batch: u32, batches_a_step: u64) -> Self {
        Self { samples, batch: batch.max(1), batches_a_step: batches_a_step.max(1) }
    }

    /// Global batches of an epoch, an incomplete one included.
    pub fn batches_per_epoch(&self) -> u64 {
        self.samples.div_ceil(self.batch.into())
    }

    /// What `epochs` come to.
    ///
    /// ```
    /// use rdt_data::Length;
    /// // 11 batches an epoch are 2 steps of 4, and three are left.
    /// let epoch = Length::new(21, 2, 4).of_epochs(1);
    /// assert_eq!((epoch.batches, epoch.steps, epoch.left), (11, 2, 3));
    /// ```
    pub fn of_epochs(&self, epochs: u64) -> EpochLength {
        let batches = epochs.saturating_mul(self.batches_per_epoch());
        if batches > 0 && batches < self.batches_a_step {
            return EpochLength { batches, steps: 1, left: 0 };
        }
        EpochLength { batches, steps: batches / self.batches_a_step, left: batches % self.batches_a_step }
    }

    /// The position so many batches after `start`.
    pub fn after(&self, start: BatchPosition, batches: u64) -> BatchPosition {
        let an_epoch = self.batches_per_epoch().max(1);
        let last = start.batch.saturating_add(batches);
        BatchPosition { epoch: start.epoch + last / an_epoch, batch: last % an_epoch }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_end_with_the_last_whole_step() {
        let of = |samples, epochs| {
            let EpochLength { batches, steps, left } = Length::new(samples, 2, 4).of_epochs(epochs);
            (batches, steps, left)
        };
        assert_eq!(of(21, 3), (33, 8, 1));
        assert_eq!(of(24, 1), (12, 3, 0));
        assert_eq!(of(3, 1), (2, 1, 0));
        assert_eq!(of(0, 1), (0, 0, 0));
        assert_eq!(of(21, 0), (0, 0, 0));
    }

    #[test]
    fn positions_go_over_the_ends_of_epochs() {
        let length = Length::new(21, 2, 4);
        let at = |epoch, batch| BatchPosition { epoch, batch };
        assert_eq!(length.after(at(0, 10), 1), at(1, 0));
        assert_eq!(length.after(at(2, 3), 25), at(4, 6));
        assert_eq!(length.after(at(2, 3), 0), at(2, 3));
    }
}
