//! Frames that were padded and resized when they were stored: what they cannot be trained with.
//!
//! Without augmentation they are exact: RDT's preparation of a square of the encoder's size is that
//! square. RDT augments before it resizes, so what is altered here would be altered after.

use crate::disturb::Disturbance;
use crate::error::ConsumerError;

/// Checks that frames stored as squares of `frame_size` will do for images of `side` pixels (any, if
/// not known) that are treated so.
///
/// # Errors
/// Images of another size, or images that are altered although
/// [`Disturbance::alter_prepared_images`] does not allow it.
pub(crate) fn check(
    frame_size: Option<u32>,
    side: Option<usize>,
    disturbance: &Disturbance,
) -> Result<(), ConsumerError> {
    let Some(stored) = frame_size else { return Ok(()) };
    if let Some(asked) = side.filter(|&side| side != stored as usize) {
        return Err(ConsumerError::PreparedSize { stored, asked });
    }
    if disturbance.changes_images() && !disturbance.alter_prepared_images {
        return Err(ConsumerError::PreparedAltered { stored });
    }
    Ok(())
}
