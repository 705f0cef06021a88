//! Random numbers that are a function of seed and position, so that any chunk can be drawn alone.

/// The 64-bit value at `position` of the stream `stream` of `seed` (SplitMix64's mixing).
pub(crate) fn bits(seed: u64, stream: u64, position: u64) -> u64 {
    mix(mix(mix(seed) ^ stream) ^ position)
}

/// A number below `bound`, uniform up to 2^-64 x bound.
pub(crate) fn below(bits: u64, bound: u64) -> u64 {
    ((u128::from(bits) * u128::from(bound)) >> 64) as u64
}

fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
