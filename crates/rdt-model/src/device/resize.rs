//! RDT's preparation of frames on the device, in batch: pad to a square, resize, normalise.
//!
//! A resize is two matrix products, with Pillow's weights and its rounding to bytes after
//! each. The products sum in f32 and in an order of their own, where Pillow sums in fixed point: a sum
//! within about 1e-4 of half a level may round the other way. Padding is never made: a
//! row or column of it adds a constant.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use rdt_image::{BACKGROUND, Coefficients, ImageError, MOST_SIDE, PRECISION_BITS};
use tch::{Device, Kind, TchError, Tensor};

use crate::device::late;
use crate::device::shim;
use crate::error::ModelError;
use crate::images::normalised;

/// Prepares frames for one image size on one device; keeps the weights of the sizes it has met.
#[derive(Debug)]
pub struct DeviceResizer {
    side: i64,
    device: Device,
    /// By rows (or columns) of the frame and side of the square that it is padded to.
    axes: RefCell<HashMap<(i64, i64), Rc<Axis>>>,
    /// Images of the last batch on the CPU: their memory serves the next. Fresh memory of that size
    /// is cleared by the system a page at a time, which took six times as long as filling it.
    last: RefCell<Option<Tensor>>,
}

/// A resize along one axis.
#[derive(Debug)]
struct Axis {
    /// `(target, source)`: weights of the frame's own rows.
    weights: Tensor,
    /// `(target)`: what the padding adds, and half a level, so that rounding down rounds.
    constant: Tensor,
}

impl DeviceResizer {
    /// To images of `side` pixels.
    pub fn new(side: i64, device: Device) -> Self {
        Self { side, device, axes: RefCell::default(), last: RefCell::default() }
    }

    /// To images of `side` pixels, on the CPU.
    pub fn on_cpu(side: i64) -> Self {
        Self::new(side, Device::Cpu)
    }

    /// Side of the images.
    pub fn side(&self) -> i64 {
        self.side
    }

    /// Where it computes.
    pub fn device(&self) -> Device {
        self.device
    }

    /// f32 on the CPU of that shape, of any content; the same memory at each call for one shape.
    pub(crate) fn room(&self, shape: [i64; 4]) -> Result<Tensor, TchError> {
        let mut last = self.last.borrow_mut();
        let room = match last.take() {
            Some(room) if room.size() == shape => room,
            _ => Tensor::f_empty(shape, (Kind::Float, Device::Cpu))?,
        };
        Ok(last.insert(room).shallow_clone())
    }

    /// `(n, height, width, 3)` bytes on the device to `(n, 3, side, side)`, f32, as RDT normalises.
    ///
    /// # Errors
    /// A side of 0 or over 16,384 pixels, or the memory is not there.
    pub fn prepare(&self, frames: &Tensor) -> Result<Tensor, ModelError> {
        let (_, height, width, _) = frames.size4()?;
        for side in [height, width, self.side] {
            if !(1..=MOST_SIDE as i64).contains(&side) {
                return Err(ImageError::ImageSide { side: side.max(0) as usize, most: MOST_SIDE }.into());
            }
        }
        let square = height.max(width);
        // Bytes are moved while they are bytes.
        let planes = frames.f_permute([0, 3, 1, 2])?.f_contiguous()?.f_to_kind(Kind::Float)?;
        let _exact = WithoutTf32::new();
        let rows = match self.axis(width, square)? {
            None => planes,
            Some(axis) => rounded(planes.f_matmul(&axis.weights.f_transpose(0, 1)?)?, &axis.constant)?,
        };
        let levels = match self.axis(height, square)? {
            None => rows,
            Some(axis) => rounded(axis.weights.f_matmul(&rows)?, &axis.constant.f_unsqueeze(1)?)?,
        };
        Ok(normalised(&levels)?)
    }

    /// What to do along an axis of `length`, padded to `square`; nothing where that is the target.
    fn axis(&self, length: i64, square: i64) -> Result<Option<Rc<Axis>>, TchError> {
        if length == self.side && square == self.side {
            return Ok(None);
        }
        if let Some(axis) = self.axes.borrow().get(&(length, square)) {
            return Ok(Some(Rc::clone(axis)));
        }
        let axis = Rc::new(Axis::new(length as usize, square as usize, self.side as usize, self.device)?);
        self.axes.borrow_mut().insert((length, square), Rc::clone(&axis));
        Ok(Some(axis))
    }
}

impl Axis {
    fn new(length: usize, square: usize, target: usize, device: Device) -> Result<Self, TchError> {
        let coefficients = Coefficients::new(square, target);
        let before = (square - length) / 2;
        let own = before..before + length;
        let unit = f64::from(1u32 << PRECISION_BITS);
        let mut weights = vec![0f32; target * length];
        let mut constant = vec![0f32; target];
        for ((row, constant), (pixels, taps)) in
            weights.chunks_exact_mut(length).zip(&mut constant).zip(coefficients.weights())
        {
            let mut padding = 0.0;
            for (pixel, &weight) in pixels.zip(taps) {
                // At most 24 bits, so f32 holds it exactly.
                let weight = f64::from(weight) / unit;
                if own.contains(&pixel) {
                    row[pixel - before] = weight as f32;
                } else {
                    padding += weight;
                }
            }
            *constant = (padding * f64::from(BACKGROUND) + 0.5) as f32;
        }
        Ok(Self {
            weights: late::upload(&weights, &[target as i64, length as i64], device)?,
            constant: late::upload(&constant, &[target as i64], device)?,
        })
    }
}

/// Keeps products in f32 where the run lets them round to TF32: ten bits of a weight are too few here.
struct WithoutTf32 {
    was_allowed: bool,
}

impl WithoutTf32 {
    fn new() -> Self {
        let was_allowed = shim::tf32_allowed();
        if was_allowed {
            shim::allow_tf32(false);
        }
        Self { was_allowed }
    }
}

impl Drop for WithoutTf32 {
    fn drop(&mut self) {
        if self.was_allowed {
            shim::allow_tf32(true);
        }
    }
}

/// Sums to levels, as Pillow cuts them: half a level is in the constant already.
fn rounded(mut sums: Tensor, constant: &Tensor) -> Result<Tensor, TchError> {
    sums.f_add_(constant)?.f_floor_()?.f_clamp_(0.0, 255.0)
}

#[cfg(test)]
mod tests;
