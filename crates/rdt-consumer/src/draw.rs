//! Random numbers as functions of where they are used, instead of a generator's state.
//!
//! Nothing needs to be saved for a resumed run to draw the same, and no thread draws before
//! or after another.

/// 2^64 divided by the golden ratio: the increment of SplitMix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// What a number is drawn for. Draws of different purposes are unrelated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Purpose {
    /// The keys of the order of samples.
    Order = 1,
    /// The wording of an instruction.
    Instruction = 2,
}

/// A number for the given purpose in the given epoch.
pub(crate) fn key(seed: u64, purpose: Purpose, epoch: u64) -> u64 {
    // Each argument is mixed in before the next, so no two triples meet by adding up alike.
    absorb(absorb(absorb(0, seed), purpose as u64), epoch)
}

/// A further number of the sequence that `key` starts.
pub(crate) fn absorb(key: u64, value: u64) -> u64 {
    mix(key.wrapping_add(GOLDEN) ^ mix(value.wrapping_add(GOLDEN)))
}

/// A number in [0, 1) from 53 of the bits of `key`.
pub(crate) fn unit(key: u64) -> f64 {
    (key >> 11) as f64 / (1u64 << 53) as f64
}

/// SplitMix64's finaliser (variant 13 of Stafford): each input bit changes each output bit with
/// a probability near one half.
pub(crate) fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_told_apart() {
        let base = key(1, Purpose::Order, 2);
        assert_ne!(base, key(2, Purpose::Order, 1));
        assert_ne!(base, key(1, Purpose::Instruction, 2));
        assert_ne!(base, key(1, Purpose::Order, 3));
        assert_eq!(base, key(1, Purpose::Order, 2));
    }

    #[test]
    fn units_cover_the_interval_evenly() {
        let mut counts = [0u32; 16];
        for value in 0..160_000 {
            counts[(unit(absorb(7, value)) * 16.0) as usize] += 1;
        }
        // 10,000 expected, standard deviation 97.
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
    }
}
