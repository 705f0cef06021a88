//! Random numbers as functions of where they are used, instead of a generator's state.
//!
//! Nothing needs to be saved for a resumed run to draw the same, and no thread draws before
//! or after another.

pub(crate) use rdt_schema::draw::{absorb, mix, stream, unit};

/// What a number is drawn for. Draws of different purposes are unrelated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Purpose {
    /// The keys of the order of samples.
    Order = 1,
    /// The wording of an instruction.
    Instruction = 2,
    /// Whether the control frequency is masked.
    MaskFrequency = 3,
    /// Whether the state is masked.
    MaskState = 4,
    /// Whether the state's mask is.
    MaskStateMask = 5,
    /// Whether an image is.
    MaskImage = 6,
    /// Whether the instruction is.
    MaskInstruction = 7,
    /// Noise on states.
    StateNoise = 8,
    /// How an image is altered.
    Augment = 9,
    /// The keys of the windowed order of samples.
    WindowedOrder = 10,
}

/// One visit of a sample: what every draw about it depends on. Which sample it is does not
/// matter, so a replacement is treated as the sample would have been.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Visit {
    pub(crate) seed: u64,
    pub(crate) epoch: u64,
    /// Position in the epoch's order.
    pub(crate) at: u64,
}

impl Visit {
    /// The key of one thing to draw.
    pub(crate) fn key(self, purpose: Purpose) -> u64 {
        absorb(key(self.seed, purpose, self.epoch), self.at)
    }

    /// The key of the thing to draw for image `index`.
    pub(crate) fn key_of(self, purpose: Purpose, index: usize) -> u64 {
        absorb(self.key(purpose), index as u64)
    }

    /// A number in [0, 1).
    pub(crate) fn unit(self, purpose: Purpose) -> f64 {
        unit(self.key(purpose))
    }

    /// A number in [0, 1) for image `index`.
    pub(crate) fn unit_of(self, purpose: Purpose, index: usize) -> f64 {
        unit(self.key_of(purpose, index))
    }
}

/// Numbers one after another, where how many are needed depends on what they are.
#[derive(Debug)]
pub(crate) struct Sequence {
    key: u64,
    drawn: u64,
}

impl Sequence {
    pub(crate) fn new(key: u64) -> Self {
        Self { key, drawn: 0 }
    }

    /// A key for further draws.
    pub(crate) fn key(&mut self) -> u64 {
        self.drawn += 1;
        absorb(self.key, self.drawn - 1)
    }

    /// A number in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        unit(self.key())
    }

    /// A number in [low, high).
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A whole number from `first` to `last`, both included.
    pub(crate) fn whole(&mut self, first: usize, last: usize) -> usize {
        first + (self.unit() * (last + 1 - first) as f64) as usize
    }

    /// True with probability one half.
    pub(crate) fn coin(&mut self) -> bool {
        self.key() >> 63 == 1
    }
}

/// A number for the given purpose in the given epoch.
pub(crate) fn key(seed: u64, purpose: Purpose, epoch: u64) -> u64 {
    // Each argument is mixed in before the next, so no two triples meet by adding up alike.
    absorb(absorb(absorb(0, seed), purpose as u64), epoch)
}

/// A number of the standard normal distribution, by Box and Muller. The functions are not the
/// system's, so that every machine draws the same.
pub(crate) fn normal(key: u64) -> f64 {
    let (radius, angle) = (unit(absorb(key, 0)), unit(absorb(key, 1)));
    // 1 - radius is in (0, 1]: its logarithm is finite.
    libm::sqrt(-2.0 * libm::log(1.0 - radius)) * libm::cos(std::f64::consts::TAU * angle)
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
