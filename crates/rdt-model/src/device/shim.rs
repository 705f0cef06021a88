//! What tch has no call for, through `shim/shim.cpp`: AdamW in one pass, copies between host and
//! device that nobody waits for, TF32, and the peak of the device's memory.
//!
//! The only file that calls foreign code besides [`crate::device`]. Invariants: a pointer that
//! the other side hands out has one owner here, and every text that it allocates is freed.

#![expect(unsafe_code, reason = "the interface to the C++ side")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::null_mut;

use tch::kind::Element;
use tch::{Device, Kind, TchError, Tensor};
use torch_sys::C_tensor;

/// The numbers of one step of AdamW.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct AdamW {
    /// Of this step.
    pub learning_rate: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Share of the weights taken away, times the learning rate.
    pub weight_decay: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
}

/// An event of the device's queue; never looked into.
#[repr(C)]
struct Event {
    _opaque: [u8; 0],
}

unsafe extern "C" {
    fn rdt_adamw(
        settings: *const AdamW,
        parameters: *const C_tensor,
        gradient: *const C_tensor,
        first_moment: *const C_tensor,
        second_moment: *const C_tensor,
        step: *const C_tensor,
        scale: *const C_tensor,
        skip: *const C_tensor,
    ) -> *mut c_char;
    fn rdt_upload(
        data: *const c_void,
        bytes: usize,
        kind: c_int,
        sizes: *const i64,
        dimensions: usize,
        index: c_int,
        out: *mut *mut C_tensor,
    ) -> *mut c_char;
    fn rdt_fetch(tensor: *const C_tensor, out: *mut *mut C_tensor, mark: *mut *mut Event) -> *mut c_char;
    fn rdt_await(mark: *mut Event) -> *mut c_char;
    fn rdt_forget(mark: *mut Event);
    fn rdt_allow_tf32(allowed: bool);
    fn rdt_tf32_allowed() -> bool;
    fn rdt_peak_bytes(index: c_int, bytes: *mut i64) -> *mut c_char;
    fn rdt_keep_memory();
    fn rdt_free(text: *mut c_char);
}

/// Takes over the text of an error, if there is one.
fn checked(text: *mut c_char) -> Result<(), TchError> {
    if text.is_null() {
        return Ok(());
    }
    // SAFETY: a text of the shim ends with a zero and is ours; it is not used after it is freed.
    let message = unsafe {
        let message = CStr::from_ptr(text).to_string_lossy().into_owned();
        rdt_free(text);
        message
    };
    Err(TchError::Torch(message))
}

/// Flat buffers of one layout: parameters, their gradient, and its two moments.
pub struct Buffers<'a> {
    /// f32.
    pub parameters: &'a Tensor,
    /// Scaled in place.
    pub gradient: &'a Tensor,
    /// Of the gradient.
    pub first_moment: &'a Tensor,
    /// Of the gradient.
    pub second_moment: &'a Tensor,
}

/// One update, in one pass over `buffers`. `step` (the update's number, from 1), `scale` (what the
/// gradient is divided by) and `skip` (1 where nothing is to be changed, else 0) are f32 tensors
/// of one element on the same device, so that the host need not know them. The gradient is
/// scaled in place.
///
/// # Errors
/// The buffers are not of one length, kind and device.
pub fn adamw(
    numbers: &AdamW,
    buffers: &Buffers<'_>,
    step: &Tensor,
    scale: &Tensor,
    skip: &Tensor,
) -> Result<(), TchError> {
    let parameters = buffers.parameters.detach();
    let lengths = [buffers.gradient, buffers.first_moment, buffers.second_moment].map(Tensor::size);
    if lengths.iter().any(|length| *length != parameters.size()) {
        return Err(TchError::Shape(format!("buffers of {:?} and {lengths:?}", parameters.size())));
    }
    // SAFETY: all pointers are of tensors that live through the call; the other side keeps none.
    checked(unsafe {
        rdt_adamw(
            numbers,
            parameters.as_ptr(),
            buffers.gradient.as_ptr(),
            buffers.first_moment.as_ptr(),
            buffers.second_moment.as_ptr(),
            step.as_ptr(),
            scale.as_ptr(),
            skip.as_ptr(),
        )
    })
}

/// Copies values to CUDA device `index` as a tensor of `shape`, without waiting for the device.
///
/// # Errors
/// The values are not as many as the shape says, or the memory is not there.
pub(crate) fn upload<T: Element>(values: &[T], shape: &[i64], index: usize) -> Result<Tensor, TchError> {
    // libtorch's numbers of the kinds that batches are made of.
    let kind = match T::KIND {
        Kind::Uint8 => 0,
        Kind::Int64 => 4,
        Kind::Float => 6,
        Kind::Bool => 11,
        Kind::BFloat16 => 15,
        kind => return Err(TchError::Kind(format!("{kind:?} is not uploaded"))),
    };
    let mut out = null_mut();
    // SAFETY: `data` is of `bytes` initialised bytes and `sizes` of `dimensions` numbers, both only
    // read, during the call; `T` is of the size of its kind, as `Element` promises, and the other
    // side holds the bytes against shape and kind.
    checked(unsafe {
        rdt_upload(
            values.as_ptr().cast(),
            size_of_val(values),
            kind,
            shape.as_ptr(),
            shape.len(),
            index as c_int,
            &mut out,
        )
    })?;
    // SAFETY: a new tensor that nobody else owns.
    Ok(unsafe { Tensor::from_ptr(out) })
}

/// A copy on its way from the device to the host.
#[derive(Debug)]
pub(crate) struct Fetch {
    copy: Tensor,
    mark: *mut Event,
}

impl Fetch {
    /// Queues the copy of a CUDA tensor, and waits for nothing.
    ///
    /// # Errors
    /// The tensor is not on a CUDA device, or the memory is not there.
    pub(crate) fn start(tensor: &Tensor) -> Result<Self, TchError> {
        if !tensor.device().is_cuda() {
            return Err(TchError::Torch("only what is on a CUDA device is fetched".into()));
        }
        let (mut copy, mut mark) = (null_mut(), null_mut());
        // SAFETY: the tensor lives through the call; both results are new and ours.
        checked(unsafe { rdt_fetch(tensor.as_ptr(), &mut copy, &mut mark) })?;
        // SAFETY: as above.
        Ok(Self { copy: unsafe { Tensor::from_ptr(copy) }, mark })
    }

    /// Waits until the device has made the copy, and for nothing after it.
    ///
    /// # Errors
    /// The device failed at something before.
    pub(crate) fn wait(mut self) -> Result<Tensor, TchError> {
        let mark = std::mem::replace(&mut self.mark, null_mut());
        // SAFETY: the mark is ours, and given away here: `Drop` finds a null.
        checked(unsafe { rdt_await(mark) })?;
        Ok(self.copy.shallow_clone())
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        // SAFETY: the mark is ours, or null, which is let be.
        unsafe { rdt_forget(self.mark) }
    }
}

/// Lets matrix products on CUDA round f32 to TF32.
pub fn allow_tf32(allowed: bool) {
    // SAFETY: sets a number of libtorch's context; no pointers.
    unsafe { rdt_allow_tf32(allowed) }
}

/// Whether they may.
pub fn tf32_allowed() -> bool {
    // SAFETY: reads a number of libtorch's context; no pointers.
    unsafe { rdt_tf32_allowed() }
}

/// Keeps freed memory for the next allocation instead of giving it back to the system.
pub(crate) fn keep_memory() {
    // SAFETY: sets two numbers of the allocator, which does that under its own lock; no pointers.
    unsafe { rdt_keep_memory() }
}

/// Most bytes that tensors took at once on a CUDA device; none on the CPU, or where the allocator
/// does not count.
pub(crate) fn peak_bytes(device: Device) -> Option<u64> {
    let Device::Cuda(index) = device else { return None };
    let mut bytes = 0;
    // SAFETY: one number is written.
    checked(unsafe { rdt_peak_bytes(index as c_int, &mut bytes) }).ok()?;
    u64::try_from(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_other_side_come_back_as_text() {
        // No CUDA in tests: pinned memory cannot be had.
        if !tch::Cuda::is_available() {
            assert!(upload(&[1.0f32], &[1], 0).is_err());
        }
        assert!(upload(&[1.0f64], &[1], 0).is_err());
        assert_eq!(peak_bytes(Device::Cpu), None);
        let zeros = |n: i64| Tensor::zeros([n], (Kind::Float, Device::Cpu));
        let (a, b, one) = (zeros(4), zeros(5), zeros(1));
        let buffers = Buffers { parameters: &a, gradient: &b, first_moment: &a, second_moment: &a };
        let numbers =
            AdamW { learning_rate: 0.1, beta1: 0.9, beta2: 0.999, weight_decay: 1e-2, epsilon: 1e-8 };
        assert!(adamw(&numbers, &buffers, &one, &one, &one).is_err());
        let double = a.to_kind(Kind::Double);
        let buffers = Buffers { parameters: &a, gradient: &double, first_moment: &a, second_moment: &a };
        let error = adamw(&numbers, &buffers, &one, &one, &one).err();
        assert!(error.is_some_and(|error| !error.to_string().is_empty()));
    }

    #[test]
    fn tf32_is_switched() {
        let before = tf32_allowed();
        allow_tf32(!before);
        assert_eq!(tf32_allowed(), !before);
        allow_tf32(before);
    }
}
