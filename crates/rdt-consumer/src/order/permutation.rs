//! A keyed bijection of `0..count`: what shuffles, whatever is shuffled.
//!
//! A Feistel network on the smallest domain of an even number of bits that holds the values. A
//! value that falls outside of them is put through again until it falls inside (*cycle walking*):
//! the domain is less than four times the values, so that takes fewer than four passes on average,
//! and it keeps the map one to one.

use crate::draw;

/// Passes through the network. Six make a random-looking permutation of large domains; the
/// smallest ones (a handful of samples) need more to reach all permutations about equally.
const ROUNDS: usize = 16;

/// One of the permutations of `count` values.
#[derive(Debug, Clone)]
pub(super) struct Permutation {
    count: u64,
    half_bits: u32,
    /// Added before the network, modulo the domain. Every round of the network is an even
    /// permutation, an odd shift is an odd one: without it half of all orders could not come up,
    /// which shows in small buffers.
    shift: u64,
    keys: [u64; ROUNDS],
}

impl Permutation {
    /// The permutation of `count` values, at least one and at most 2^62, that `key` names.
    pub(super) fn new(count: u64, key: u64) -> Self {
        // 2^(2 * half_bits) is the smallest such domain that holds the values.
        let bits = u64::BITS - count.saturating_sub(1).leading_zeros();
        let half_bits = bits.div_ceil(2).max(1);
        let keys = std::array::from_fn(|round| draw::absorb(key, round as u64));
        let shift = draw::absorb(key, ROUNDS as u64);
        Self { count, half_bits, shift, keys }
    }

    /// The value at `place`, which is below the count.
    pub(super) fn value(&self, place: u64) -> u64 {
        let mut value = self.encrypt(place);
        while value >= self.count {
            value = self.encrypt(value);
        }
        value
    }

    /// Where `value`, which is below the count, is: the inverse of [`Permutation::value`].
    pub(super) fn place(&self, value: u64) -> u64 {
        let mut place = self.decrypt(value);
        while place >= self.count {
            place = self.decrypt(place);
        }
        place
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
