//! Random draws as functions of (seed, stream, counter): nothing of a generator's state
//! needs saving, a resumed run draws what the unbroken one would have drawn.
//!
//! Values come from libtorch's CPU generator, seeded for each draw by a hash, and so are
//! the same on every device. The generator belongs to the process: a lock makes seeding and
//! drawing one step.

use std::sync::{Mutex, PoisonError};

use rdt_schema::draw;
use tch::{Device, Kind, TchError, Tensor};

/// What a draw is for: draws of different streams are independent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Stream {
    /// Initial weights; counter: parameter.
    Weights = 1,
    /// Noise of the diffusion loss; counter: micro-step.
    Noise = 2,
    /// Timesteps of the diffusion loss; counter: micro-step.
    Timesteps = 3,
    /// Which wording of an instruction; counter: micro-step.
    Instruction = 4,
    /// The untrained image encoder; counter: parameter.
    ImageEncoder = 5,
    /// The untrained word vectors; counter: hash of the word.
    Words = 6,
    /// Start of the sampler; counter: batch.
    Sampler = 7,
}

static GENERATOR: Mutex<()> = Mutex::new(());

/// Standard normal f32 values on the CPU.
///
/// # Errors
/// The memory is not there.
pub fn normal(seed: u64, stream: Stream, counter: u64, shape: &[i64]) -> Result<Tensor, TchError> {
    seeded(seed, stream, counter, || Tensor::f_randn(shape, (Kind::Float, Device::Cpu)))
}

/// Uniform f32 values in [0, 1) on the CPU.
///
/// # Errors
/// The memory is not there.
pub fn uniform(seed: u64, stream: Stream, counter: u64, shape: &[i64]) -> Result<Tensor, TchError> {
    seeded(seed, stream, counter, || Tensor::f_rand(shape, (Kind::Float, Device::Cpu)))
}

/// Uniform integers in `[0, high)` on the CPU.
///
/// # Errors
/// The memory is not there.
pub fn integers(
    seed: u64,
    stream: Stream,
    counter: u64,
    high: i64,
    shape: &[i64],
) -> Result<Tensor, TchError> {
    seeded(seed, stream, counter, || Tensor::f_randint(high, shape, (Kind::Int64, Device::Cpu)))
}

fn seeded<T>(seed: u64, stream: Stream, counter: u64, values: impl FnOnce() -> T) -> T {
    // A poisoned lock only means that another thread panicked while drawing.
    let _guard = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    tch::manual_seed(hash(seed, stream, counter).cast_signed());
    values()
}

/// Mixes the three into one well-spread word.
pub fn hash(seed: u64, stream: Stream, counter: u64) -> u64 {
    draw::bits(seed, stream as u64, counter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_nothing_but_its_arguments() -> Result<(), TchError> {
        let first = normal(7, Stream::Noise, 3, &[100])?;
        let _ = normal(7, Stream::Noise, 4, &[33])?;
        assert!(first.equal(&normal(7, Stream::Noise, 3, &[100])?));
        for other in [
            normal(8, Stream::Noise, 3, &[100])?,
            normal(7, Stream::Sampler, 3, &[100])?,
            normal(7, Stream::Noise, 4, &[100])?,
        ] {
            assert!(!first.equal(&other));
        }
        Ok(())
    }
}
