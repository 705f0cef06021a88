//! The images of a batch, from plain memory to what the image encoder takes.
//!
//! Levels travel as bytes; they become floating point as late as possible, since that makes four
//! bytes of one. Values are those of RDT's preprocessing; of frames that are prepared on the
//! device, within a level of them.

use std::collections::BTreeMap;

use rdt_buffer::embedding::Element;
use rdt_image::{BACKGROUND, normalise};
use tch::{Device, Kind, TchError, Tensor};

use crate::device::host_memory;
use crate::device::late;
use crate::device::resize::DeviceResizer;
use crate::encoder::image::ImageEncoder;
use crate::encoder::stored::stored_tensor;
use crate::error::ModelError;

/// The images of a batch in plain memory.
#[derive(Debug, Clone)]
pub enum HostImages<'a> {
    /// `(B, images, side, side, 3)`: RGB, padded and resized for the encoder.
    Pixel(&'a [u8]),
    /// For each image of the batch in order the frame to prepare, none where it shows the background.
    Frames(Vec<Option<HostFrame<'a>>>),
    /// `(B, images, tokens, width)`: what the image encoder made of them, as it was stored.
    Tokens {
        /// The numbers' bytes.
        bytes: &'a [u8],
        /// What a number is.
        element: Element,
    },
}

/// A frame in plain memory.
#[derive(Debug, Clone, Copy)]
pub struct HostFrame<'a> {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `(height, width, 3)`, RGB.
    pub pixels: &'a [u8],
}

impl<'a> HostImages<'a> {
    /// `(count, 3, side, side)`, f32, on the device of `resizer`: each level `(x / 255 - 0.5) / 0.5`,
    /// bit-equal to RDT's where they were prepared on the CPU. There, the next call for as many images
    /// writes over them: they are for encoding at once.
    ///
    /// # Errors
    /// They are not `count` images, or not of that side; or the memory is not there.
    pub fn to_device(&self, count: i64, resizer: &DeviceResizer) -> Result<Tensor, ModelError> {
        let (side, device) = (resizer.side(), resizer.device());
        match self {
            Self::Tokens { .. } => Err(ModelError::Setting {
                what: "a batch of images".into(),
                found: "stored embeddings".into(),
                expected: "pixels, for an encoder".into(),
            }),
            Self::Pixel(levels) => {
                let expected = count * side * side * 3;
                if levels.len() as i64 != expected {
                    let found = levels.len();
                    let message = format!("{found} bytes of images, expected {count} x {side} x {side} x 3");
                    return Err(TchError::Shape(message).into());
                }
                if device == Device::Cpu {
                    Ok(normalised_on_cpu(levels, resizer.room([count, 3, side, side])?)?)
                } else {
                    let levels = late::upload(levels, &[count, side, side, 3], device)?;
                    Ok(normalised(&levels.f_permute([0, 3, 1, 2])?.f_contiguous()?)?)
                }
            }
            Self::Frames(frames) => {
                if frames.len() as i64 != count {
                    let message = format!("{} images, expected {count}", frames.len());
                    return Err(TchError::Shape(message).into());
                }
                prepared_on_device(frames, resizer)
            }
        }
    }
}

impl HostImages<'_> {
    /// `(count, tokens, width)` of the encoder, on the device of `resizer`: encoded now, or before.
    ///
    /// # Errors
    /// They are not `count` images of the size or tokens, or the memory is not there.
    pub fn tokens(
        &self,
        count: i64,
        resizer: &DeviceResizer,
        encoder: &dyn ImageEncoder,
    ) -> Result<Tensor, ModelError> {
        match *self {
            Self::Tokens { bytes, element } => {
                stored_tensor(bytes, &[count, encoder.tokens(), encoder.width()], element, resizer.device())
            }
            _ => encoder.encode(&self.to_device(count, resizer)?),
        }
    }
}

/// Places in the batch, and pixels.
type Frames<'a> = Vec<(i64, &'a [u8])>;

/// Frames of each size go up in one piece and are prepared together; the others show the background.
fn prepared_on_device(
    frames: &[Option<HostFrame<'_>>],
    resizer: &DeviceResizer,
) -> Result<Tensor, ModelError> {
    let (side, device) = (resizer.side(), resizer.device());
    let mut sizes: BTreeMap<(usize, usize), Frames<'_>> = BTreeMap::new();
    for (place, frame) in (0..).zip(frames) {
        if let Some(HostFrame { height, width, pixels }) = frame {
            if pixels.len() != height * width * 3 {
                let (height, width, found) = (*height, *width, pixels.len());
                let expected = height * width * 3;
                return Err(rdt_image::ImageError::Image { height, width, found, expected }.into());
            }
            sizes.entry((*height, *width)).or_default().push((place, pixels));
        }
    }
    let background = f64::from(rdt_image::normalised(BACKGROUND));
    let shape = [frames.len() as i64, 3, side, side];
    let mut images = Tensor::f_full(shape, background, (Kind::Float, device))?;
    let mut packed = Vec::new();
    for ((height, width), group) in sizes {
        packed.clear();
        group.iter().for_each(|(_, pixels)| packed.extend_from_slice(pixels));
        let places: Vec<i64> = group.iter().map(|&(place, _)| place).collect();
        let shape = [places.len() as i64, height as i64, width as i64, 3];
        let prepared = resizer.prepare(&late::upload(&packed, &shape, device)?)?;
        let places = late::upload(&places, &[places.len() as i64], device)?;
        images = images.f_index_copy_(0, &places, &prepared)?;
    }
    Ok(images)
}

/// One pass, straight into the tensor's memory.
fn normalised_on_cpu(levels: &[u8], mut images: Tensor) -> Result<Tensor, TchError> {
    let (count, ..) = images.size4()?;
    let image = levels.len() / (count as usize).max(1);
    if image == 0 {
        return Ok(images);
    }
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
        let fused = HostImages::Pixel(&levels).to_device(2, &DeviceResizer::new(16, Device::Cpu))?;
        assert_eq!(fused.size(), [2, 3, 16, 16]);
        let stepwise = normalised(&Tensor::from_slice(&levels).view([2, 16, 16, 3]).permute([0, 3, 1, 2]))?;
        assert!(fused.equal(&stepwise));
        let mut expected = vec![0.0; 3 * 16 * 16];
        normalise(&levels[3 * 16 * 16..], &mut expected);
        assert!(fused.get(1).flatten(0, -1).equal(&Tensor::from_slice(&expected)));
        Ok(())
    }

    #[test]
    fn the_memory_of_a_batch_serves_the_next() -> Result<(), Box<dyn std::error::Error>> {
        let resizer = DeviceResizer::new(4, Device::Cpu);
        let images = |count: usize, level: u8| {
            HostImages::Pixel(&vec![level; count * 48]).to_device(count as i64, &resizer)
        };
        let first = images(2, 10)?.data_ptr();
        let second = images(2, 200)?;
        assert_eq!(first, second.data_ptr());
        assert_eq!(second.double_value(&[1, 2, 3, 3]), f64::from(rdt_image::normalised(200)));
        assert_eq!(images(1, 3)?.size(), [1, 3, 4, 4]);
        assert_eq!(images(0, 3)?.size(), [0, 3, 4, 4]);
        Ok(())
    }

    #[test]
    fn bytes_of_another_shape_are_refused() {
        let resizer = DeviceResizer::new(2, Device::Cpu);
        assert!(HostImages::Pixel(&[0; 11]).to_device(1, &resizer).is_err());
        assert!(HostImages::Frames(vec![None]).to_device(2, &resizer).is_err());
    }

    #[test]
    fn frames_of_several_sizes_come_out_in_their_places() -> Result<(), Box<dyn std::error::Error>> {
        let pixels = |length: usize| -> Vec<u8> { (0..length * 3).map(|at| (at * 31 % 255) as u8).collect() };
        let (wide, square, prepared) = (pixels(4 * 9), pixels(6 * 6), pixels(8 * 8));
        let frames = vec![
            Some(HostFrame { height: 4, width: 9, pixels: &wide }),
            None,
            Some(HostFrame { height: 6, width: 6, pixels: &square }),
            Some(HostFrame { height: 8, width: 8, pixels: &prepared }),
            Some(HostFrame { height: 4, width: 9, pixels: &wide }),
        ];
        let resizer = DeviceResizer::new(8, Device::Cpu);
        let images = HostImages::Frames(frames.clone()).to_device(5, &resizer)?;
        let mut preprocessor = rdt_image::Preprocessor::new(8)?;
        for (place, frame) in (0..).zip(&frames) {
            let mut expected = vec![preprocessor.background_value(); 3 * 8 * 8];
            if let Some(HostFrame { height, width, pixels }) = *frame {
                preprocessor.pixel(rdt_image::Picture::new(height, width, pixels)?, &mut expected);
            }
            let expected = Tensor::from_slice(&expected).view([3, 8, 8]);
            let off = (images.get(place) - expected).abs().max().double_value(&[]);
            assert!(off <= 1.01 * 2.0 / 255.0, "image {place} is off by {off}");
        }
        Ok(())
    }
}
