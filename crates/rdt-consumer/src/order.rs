//! The order of an epoch: a keyed bijection between positions and samples.
//!
//! Nothing is stored but a few keys, so half a billion samples cost what ten do, and any
//! position can be asked for directly: that is what makes resuming, any number of ranks and
//! read-ahead simple. The order is uniform over the whole buffer.
//!
//! The bijection is a Feistel network on the smallest domain of an even number of bits that
//! holds the samples. A value that falls outside the samples is put through again until it
//! falls inside (*cycle walking*): the domain is less than four times the samples, so that
//! takes fewer than four rounds through the network on average, and it keeps the map one to
//! one.
//!
//! The numbers are part of what a resumed run depends on: changing a constant here changes
//! the order of every run, and a test holds some of its values.

use std::sync::Arc;

use rdt_buffer::SampleId;

use crate::draw::{self, Purpose};
use crate::error::ConsumerError;
use crate::holdout::Selection;

/// Passes through the network. Six make a random-looking permutation of large domains; the
/// smallest ones (a handful of samples) need more to reach all permutations about equally.
const ROUNDS: usize = 16;

/// Most samples that can be permuted: halves stay within 31 bits.
const MOST_SAMPLES: u64 = 1 << 62;

/// The orders of all epochs under one seed.
///
/// ```
/// use rdt_consumer::Order;
/// let order = Order::new(500_000_000, 42)?;
/// let first = order.epoch(3).sample(0);
/// assert_eq!(order.epoch(3).position(first), 0);
/// # Ok::<(), rdt_consumer::ConsumerError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    samples: u64,
    seed: u64,
    /// What the positions' numbers stand for; the samples themselves, if none.
    selection: Option<Arc<Selection>>,
}

impl Order {
    /// Orders of `samples` samples.
    ///
    /// # Errors
    /// No samples, or more than 2^62.
    pub fn new(samples: u64, seed: u64) -> Result<Self, ConsumerError> {
        match samples {
            0 => Err(ConsumerError::NoSamples),
            1..=MOST_SAMPLES => Ok(Self { samples, seed, selection: None }),
            _ => Err(ConsumerError::TooManySamples { samples, most: MOST_SAMPLES }),
        }
    }

    /// Orders of the samples of `selection` alone.
    ///
    /// # Errors
    /// As of [`Order::new`].
    pub fn of(selection: Arc<Selection>, seed: u64) -> Result<Self, ConsumerError> {
        let order = Self::new(selection.samples(), seed)?;
        Ok(Self { selection: Some(selection), ..order })
    }

    /// Samples of an epoch.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The order of one epoch.
    pub fn epoch(&self, epoch: u64) -> EpochOrder {
        // 2^(2 * half_bits) is the smallest such domain that holds the samples.
        let bits = u64::BITS - (self.samples - 1).leading_zeros();
        let half_bits = bits.div_ceil(2).max(1);
        let key = draw::key(self.seed, Purpose::Order, epoch);
        let keys = std::array::from_fn(|round| draw::absorb(key, round as u64));
        let shift = draw::absorb(key, ROUNDS as u64);
        EpochOrder { samples: self.samples, half_bits, shift, keys, selection: self.selection.clone() }
    }

    /// The sample at a position of an epoch; shorthand for `epoch(epoch).sample(position)`.
    pub fn sample(&self, epoch: u64, position: u64) -> SampleId {
        self.epoch(epoch).sample(position)
    }
}

/// The order of one epoch.
#[derive(Debug, Clone)]
pub struct EpochOrder {
    samples: u64,
    half_bits: u32,
    /// Added before the network, modulo the domain. Every round of the network is an even
    /// permutation, an odd shift is an odd one: without it half of all orders could not come up,
    /// which shows in small buffers.
    shift: u64,
    keys: [u64; ROUNDS],
    selection: Option<Arc<Selection>>,
}

impl EpochOrder {
    /// The sample at `position`.
    ///
    /// # Panics
    /// If `position` is not below the number of samples.
    pub fn sample(&self, position: u64) -> SampleId {
        assert!(position < self.samples, "position {position} of {} samples", self.samples);
        let mut value = self.encrypt(position);
        while value >= self.samples {
            value = self.encrypt(value);
        }
        self.selection.as_ref().map_or(SampleId::new(value), |selection| selection.sample(value))
    }

    /// The position at which `sample` is delivered: the inverse of [`EpochOrder::sample`].
    ///
    /// # Panics
    /// If there is no such sample, or it was not selected.
    pub fn position(&self, sample: SampleId) -> u64 {
        let number = match &self.selection {
            Some(selection) => selection.number(sample).unwrap_or(u64::MAX),
            None => sample.get(),
        };
        assert!(number < self.samples, "sample {sample} of {} samples", self.samples);
        let mut value = self.decrypt(number);
        while value >= self.samples {
            value = self.decrypt(value);
        }
        value
    }

    fn encrypt(&self, value: u64) -> u64 {
        let value = value.wrapping_add(self.shift) & self.mask(2 * self.half_bits);
        let (mut left, mut right) = (value >> self.half_bits, value & self.mask(self.half_bits));
        for key in &self.keys {
            (left, right) = (right, left ^ self.scramble(right, *key));
        }
        left << self.half_bits | right
    }

    fn decrypt(&self, value: u64) -> u64 {
        let (mut left, mut right) = (value >> self.half_bits, value & self.mask(self.half_bits));
        for key in self.keys.iter().rev() {
            (left, right) = (right ^ self.scramble(left, *key), left);
        }
        (left << self.half_bits | right).wrapping_sub(self.shift) & self.mask(2 * self.half_bits)
    }

    fn scramble(&self, half: u64, key: u64) -> u64 {
        // The upper bits of the product are the better mixed ones.
        draw::mix(half ^ key) >> (u64::BITS - self.half_bits)
    }

    fn mask(&self, bits: u32) -> u64 {
        (1 << bits) - 1
    }
}

#[cfg(test)]
mod tests;
