//! What stored embeddings of instructions and of images share: tensors as stored bytes, and the
//! question whose embeddings they are.

use std::path::Path;

use rdt_buffer::embedding::{Element, EmbeddingHeader, EncoderDigest};
use rdt_schema::Setting;
use tch::{Device, Kind, Tensor};

use crate::device::late;
use crate::error::ModelError;

/// The kind of tensor that numbers are stored as.
pub fn kind_of(element: Element) -> Kind {
    match element {
        Element::F32 => Kind::Float,
        Element::Bf16 => Kind::BFloat16,
    }
}

/// The numbers of a tensor, in row-major order, as they are stored.
///
/// # Errors
/// One is infinite or not a number, or the memory is not there.
pub fn to_bytes(tensor: &Tensor, element: Element) -> Result<Vec<u8>, ModelError> {
    let tensor = tensor.f_to_kind(kind_of(element))?.f_to_device(Device::Cpu)?.f_contiguous()?;
    if !bool::try_from(tensor.f_isfinite()?.f_all()?)? {
        return Err(ModelError::Setting {
            what: "an embedding".into(),
            found: "with numbers that are not finite".into(),
            expected: format!(
                "finite ones; try another {}, or check the encoder's files",
                Setting::MIXED_PRECISION
            ),
        });
    }
    Ok(Vec::try_from(tensor.f_view([-1])?.f_view_dtype(Kind::Uint8)?)?)
}

/// Stored bytes as a tensor of `shape` and of the stored kind, on the device.
///
/// # Errors
/// The bytes are not as many as the shape says, or the memory is not there.
pub fn stored_tensor(
    bytes: &[u8],
    shape: &[i64],
    element: Element,
    device: Device,
) -> Result<Tensor, ModelError> {
    let bytes = late::upload(bytes, &[bytes.len() as i64], device)?;
    Ok(bytes.f_view_dtype(kind_of(element))?.f_view(shape)?)
}

/// Refuses embeddings in `folder`, of header `stored`, that are not of `encoder` or not stored as
/// `element`, for the flag or command `what`. What is none is not known, and not compared.
///
/// # Errors
/// They are of another one.
pub fn refuse_another(
    what: &str,
    folder: &Path,
    stored: &EmbeddingHeader,
    encoder: Option<EncoderDigest>,
    element: Option<Element>,
) -> Result<(), ModelError> {
    let expected = (encoder.unwrap_or(stored.encoder), element.unwrap_or(stored.element));
    if expected == (stored.encoder, stored.element) {
        return Ok(());
    }
    Err(ModelError::Setting {
        what: what.into(),
        found: format!(
            "embeddings of encoder {} in {}, in {}",
            stored.encoder,
            stored.element.name(),
            folder.display()
        ),
        expected: format!(
            "those of encoder {} in {}, the one given; give the encoder that they were made with (of untrained ones \
             the {} too) and its {}, or remove the folder and run rdt-consume embed again",
            expected.0,
            expected.1.name(),
            Setting::SEED,
            Setting::MIXED_PRECISION
        ),
    })
}
