//! The images of a batch, from plain memory to what the image encoder takes.
//!
//! Levels travel as bytes; they become floating point as late as possible, since that makes four
//! bytes of one. Values are those of RDT's preprocessing.

use rdt_image::normalise;
use tch::{Device, Kind, TchError, Tensor};

use crate::error::TrainError;
use crate::host_memory;
use crate::late;

/// The images of a batch in plain memory.
#[derive(Debug, Clone)]
pub enum HostImages<'a> {
    /// `(B, images, side, side, 3)`: RGB, padded and resized for the encoder.
    Pixel(&'a [u8]),
}

impl HostImages<'_> {
    /// `(count, 3, side, side)`, f32, on the device: each level `(x / 255 - 0.5) / 0.5`, bit-equal to
    /// RDT's on the CPU.
    ///
    /// # Errors
    /// The bytes are not `count` images of that side, or the memory is not there.
    pub fn to_device(&self, count: i64, side: i64, device: Device) -> Result<Tensor, TrainError> {
        match self {
            Self::Pixel(levels) => {
                let expected = count * side * side * 3;
                if levels.len() as i64 != expected {
                    let found = levels.len();
                    let message = format!("{found} bytes of images, expected {count} x {side} x {side} x 3");
                    return Err(TchError::Shape(message).into());
                }
                if device == Device::Cpu {
                    Ok(normalised_on_cpu(levels, count, side)?)
                } else {
                    let levels = late::upload(levels, &[count, side, side, 3], device)?;
                    Ok(normalised(&levels.f_permute([0, 3, 1, 2])?)?)
                }
            }
        }
    }
}

/// One pass, straight into the tensor's memory.
fn normalised_on_cpu(levels: &[u8], count: i64, side: i64) -> Result<Tensor, TchError> {
    let mut images = Tensor::f_empty([count, 3, side, side], (Kind::Float, Device::Cpu))?;
    let image = (3 * side * side) as usize;
    host_memory::write(&mut images, |values: &mut [f32]| {
        for (levels, values) in levels.chunks_exact(image).zip(values.chunks_exact_mut(image)) {
            normalise(levels, values);
        }
    })?;
    Ok(images)
}

/// Levels of any kind of number to values, on their device, in one piece.
pub(crate) fn normalised(levels: &Tensor) -> Result<Tensor, TchError> {
    // As in `rdt_image::normalised`: operations of their own, so that each rounds as there.
    let levels = levels.f_to_kind(Kind::Float)?.f_contiguous()?;
    let (upper, lower) = rdt_image::NORMALISE_FACTORS;
    let lower = levels.f_mul_scalar(f64::from(lower))?;
    levels.f_mul_scalar(f64::from(upper))?.f_add_(&lower)?.f_sub_scalar_(0.5)?.f_mul_scalar_(2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_normalise_bit_equally() -> Result<(), Box<dyn std::error::Error>> {
        let levels: Vec<u8> = (0..2 * 3 * 16 * 16).map(|place| (place * 7 % 256) as u8).collect();
        let fused = HostImages::Pixel(&levels).to_device(2, 16, Device::Cpu)?;
        assert_eq!(fused.size(), [2, 3, 16, 16]);
        let stepwise = normalised(&Tensor::from_slice(&levels).view([2, 16, 16, 3]).permute([0, 3, 1, 2]))?;
        assert!(fused.equal(&stepwise));
        let mut expected = vec![0.0; 3 * 16 * 16];
        normalise(&levels[3 * 16 * 16..], &mut expected);
        assert!(fused.get(1).flatten(0, -1).equal(&Tensor::from_slice(&expected)));
        Ok(())
    }

    #[test]
    fn bytes_of_another_shape_are_refused() {
        assert!(HostImages::Pixel(&[0; 11]).to_device(1, 2, Device::Cpu).is_err());
    }
}
