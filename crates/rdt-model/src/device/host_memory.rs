//! A CPU tensor's elements as a slice, so that other code writes into it without a copy.
#![expect(unsafe_code, reason = "libtorch gives its memory out as a pointer")]

use tch::{Device, Kind, TchError, Tensor};

/// Elements that a tensor can hold as Rust does.
pub(crate) trait Element: Copy {
    /// The tensor's kind.
    const KIND: Kind;
}

impl Element for f32 {
    const KIND: Kind = Kind::Float;
}

impl Element for u8 {
    const KIND: Kind = Kind::Uint8;
}

/// Lets `write` fill a contiguous tensor on the CPU; all of its elements are handed over, row by row.
///
/// # Errors
/// The tensor is elsewhere, of another kind, or not contiguous.
pub(crate) fn write<T: Element>(tensor: &mut Tensor, write: impl FnOnce(&mut [T])) -> Result<(), TchError> {
    let is_ours = tensor.device() == Device::Cpu && tensor.kind() == T::KIND && tensor.is_contiguous();
    if !is_ours {
        let found = format!("{:?} {:?}", tensor.device(), tensor.kind());
        return Err(TchError::Kind(format!(
            "a {found} tensor, expected {:?} in one piece on the CPU",
            T::KIND
        )));
    }
    let length = tensor.numel();
    if length > 0 {
        // SAFETY: the tensor is contiguous CPU memory of `length` elements of kind `T`, for which any
        // bits are a value; the exclusive borrow of the tensor keeps it alive and keeps this handle from
        // being used while the slice is. Other handles of the same storage give no references to Rust,
        // and would have to be used by another thread at the same time: tensors that are handed in here
        // stay in one (`DeviceResizer`, which keeps them, is not `Sync`).
        let elements = unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast::<T>(), length) };
        write(elements);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_written_in_place() -> Result<(), TchError> {
        let mut tensor = Tensor::f_zeros([2, 3], (Kind::Float, Device::Cpu))?;
        write(&mut tensor, |elements: &mut [f32]| elements.copy_from_slice(&[0., 1., 2., 3., 4., 5.]))?;
        assert_eq!(tensor.double_value(&[1, 0]), 3.0);
        write(&mut Tensor::f_zeros([0], (Kind::Uint8, Device::Cpu))?, |elements: &mut [u8]| {
            assert!(elements.is_empty());
        })
    }

    #[test]
    fn other_tensors_are_refused() -> Result<(), TchError> {
        let mut other_kind = Tensor::f_zeros([2], (Kind::Double, Device::Cpu))?;
        assert!(write(&mut other_kind, |_: &mut [f32]| ()).is_err());
        let mut turned = Tensor::f_zeros([2, 3], (Kind::Float, Device::Cpu))?.f_transpose(0, 1)?;
        assert!(write(&mut turned, |_: &mut [f32]| ()).is_err());
        Ok(())
    }
}
