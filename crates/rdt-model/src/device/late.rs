//! Between host and device without waiting: arrays go up behind the work that the device has, numbers
//! come down when they are there.
//!
//! On CUDA a plain copy makes the host wait for everything that is queued, and the device idle
//! while the host then catches up. On the CPU there is nothing to wait for, and these are
//! plain copies.

use tch::kind::Element;
use tch::{Device, Kind, TchError, Tensor};

use crate::device::shim::{self, Fetch};

/// Copies an array to the device. The slice is free again on return.
///
/// # Errors
/// The values are not as many as `shape` says, or the memory is not there.
pub fn upload<T: Element>(values: &[T], shape: &[i64], device: Device) -> Result<Tensor, TchError> {
    match device {
        Device::Cuda(index) => shim::upload(values, shape, index),
        _ => Tensor::f_from_slice(values)?.f_view(shape)?.f_to_device(device),
    }
}

/// Copies a small tensor of the CPU to the device, as [`upload`] does.
///
/// # Errors
/// The memory is not there, or it is of a kind that is not sent: f32, i64 and bool are.
pub fn send(tensor: &Tensor, device: Device) -> Result<Tensor, TchError> {
    if !device.is_cuda() || tensor.device().is_cuda() {
        return tensor.f_to_device(device);
    }
    let (shape, flat) = (tensor.size(), tensor.f_reshape([-1])?);
    match tensor.kind() {
        Kind::Int64 => upload(&Vec::<i64>::try_from(flat)?, &shape, device),
        Kind::Float => upload(&Vec::<f32>::try_from(flat)?, &shape, device),
        Kind::Bool => upload(&Vec::<bool>::try_from(flat)?, &shape, device),
        kind => Err(TchError::Kind(format!("{kind:?} is not sent"))),
    }
}

/// Numbers that the device may still be computing.
#[derive(Debug)]
pub struct Late(Where);

#[derive(Debug)]
enum Where {
    Here(Tensor),
    Coming(Fetch),
    At(Tensor, std::time::Instant),
}

impl Late {
    /// Asks for the numbers of an f64 tensor.
    ///
    /// # Errors
    /// The memory is not there.
    pub fn ask(numbers: &Tensor) -> Result<Self, TchError> {
        Ok(Self(if numbers.device().is_cuda() {
            Where::Coming(Fetch::start(numbers)?)
        } else {
            Where::Here(numbers.detach())
        }))
    }

    /// Numbers that come down at `ready`, as of a device that is busy until then: for tests of
    /// whoever waits.
    pub fn at(numbers: Tensor, ready: std::time::Instant) -> Self {
        Self(Where::At(numbers, ready))
    }

    /// Waits for them, and for nothing that was queued after they were asked for.
    ///
    /// # Errors
    /// The device failed.
    pub fn wait(self) -> Result<Vec<f64>, TchError> {
        Vec::try_from(match self.0 {
            Where::Here(numbers) => numbers,
            Where::Coming(fetch) => fetch.wait()?,
            Where::At(numbers, ready) => {
                std::thread::sleep(ready.saturating_duration_since(std::time::Instant::now()));
                numbers
            }
        })
    }
}
