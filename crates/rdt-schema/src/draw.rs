//! Seeded draws: numbers that are functions of what they are drawn for, instead of a generator's
//! state, so that nothing needs to be saved for a resumed run to draw the same.
//!
//! All are built on the finaliser of SplitMix64 (Steele, Lea and Flood: Fast Splittable Pseudorandom
//! Number Generators, 2014). Their values are promises: orders, wordings, weights and streams of
//! runs and buffers follow from them. What a number is drawn for is its user's matter.

/// 2^64 divided by the golden ratio: the increment of SplitMix64.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// SplitMix64's finaliser (variant 13 of Stafford): each input bit changes each output bit with a
/// probability near one half; 0 stays 0.
#[inline(always)]
pub fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// What SplitMix64 gives in the state `state`.
#[inline(always)]
pub fn next(state: u64) -> u64 {
    mix(state.wrapping_add(GOLDEN))
}

/// Number `place` of the sequence of SplitMix64 that begins in the state `key`.
#[inline(always)]
pub fn stream(key: u64, place: u64) -> u64 {
    mix(key.wrapping_add(place.wrapping_add(1).wrapping_mul(GOLDEN)))
}

/// The number at `position` of the stream `stream` of `seed`.
pub fn bits(seed: u64, stream: u64, position: u64) -> u64 {
    next(next(next(seed) ^ stream) ^ position)
}

/// A further number of the sequence that `key` starts. Each value is mixed in before the next, so no
/// two lists of values meet by adding up alike.
pub fn absorb(key: u64, value: u64) -> u64 {
    mix(key.wrapping_add(GOLDEN) ^ next(value))
}

/// A number in [0, 1) from 53 of the bits.
pub fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// A number below `bound`, uniform up to 2^-64 x bound; 0 if that is 0.
pub fn below(bits: u64, bound: u64) -> u64 {
    ((u128::from(bits) * u128::from(bound)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by another program.
    #[test]
    fn values_stay_as_they_are() {
        assert_eq!(mix(1), 0x5692_161d_100b_05e5);
        assert_eq!(next(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(stream(5, 2), 0x3b92_d3f0_106b_c147);
        assert_eq!(bits(1, 2, 3), 0xd073_4750_fde3_62b3);
        assert_eq!(absorb(7, 9), 0x149f_53ff_ae9c_b5f8);
        assert_eq!(unit(absorb(7, 9)), 0.08055615417707673);
        assert_eq!(below(bits(1, 2, 3), 1000), 814);
    }
}
