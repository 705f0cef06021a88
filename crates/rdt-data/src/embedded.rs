//! Inputs that were encoded before and are stored in the buffer: whether they cover it.

use rdt_buffer::embedding::{ImageEmbeddings, LanguageEmbeddings, shown};
use rdt_buffer::{Buffer, BufferError, Instructions, over_chunks};
use rdt_consumer::{ConsumerError, Delivery, Disturbance};
use rdt_schema::Setting;

use crate::error::DataError;
use crate::source::Source;

/// Whether each instruction of the buffer has a stored embedding. That there are none at all is said
/// where they are opened.
///
/// # Errors
/// One has none, and is named; the embeddings or the buffer cannot be read.
pub fn check_instructions(source: &Source) -> Result<(), DataError> {
    let Some(buffer) = &source.buffer else { return Ok(()) };
    let Some(stored) = LanguageEmbeddings::open(buffer.dir())? else { return Ok(()) };
    let texts = Instructions::of(buffer)?.texts;
    match texts.into_iter().find(|text| !stored.contains(text)) {
        Some(text) => {
            Err(DataError::NotEmbedded(BufferError::NoEmbedding { dir: buffer.dir().to_owned(), text }))
        }
        None => Ok(()),
    }
}

/// Refuses images that are altered and taken from stored embeddings, which are those of the images as
/// they are.
pub(crate) fn check_unaltered(disturbance: &Disturbance) -> Result<(), DataError> {
    let altered = [
        (Setting::IMAGE_AUG, disturbance.augment_images),
        (Setting::AUTO_ADJUST_IMAGE_BRIGHTNESS, disturbance.brighten_dark_images),
    ];
    match altered.into_iter().find(|(_, is_on)| *is_on) {
        Some((setting, _)) => Err(DataError::setting(
            setting,
            format!("given with {}", Setting::PRECOMP_IMG_EMBED),
            "one of the two: stored embeddings are those of the images as they are",
        )),
        None => Ok(()),
    }
}

/// In which form the stored embeddings of all images of `source` are delivered. Of a live buffer, not
/// all need be there: chunks without are left for later.
pub(crate) fn delivery(source: &Source) -> Result<Delivery, DataError> {
    let Some(buffer) = &source.buffer else { return Err(ConsumerError::NoImageEmbeddings.into()) };
    let Some(stored) = ImageEmbeddings::open(buffer.dir())? else {
        let dir = buffer.dir();
        return Err(DataError::setting(
            Setting::PRECOMP_IMG_EMBED,
            format!("given and {} holds no embeddings of images", dir.display()),
            format!("those that rdt-consume embed --images --buffer {} makes", dir.display()),
        ));
    };
    if !source.is_live() {
        check_images(source, buffer, &stored)?;
    }
    let header = stored.header();
    Ok(Delivery::Embeddings { tokens: stored.tokens(), width: header.width, element: header.element })
}

/// Whether each frame that is shown has an embedding: one that is missing is better said now than in the
/// middle of an epoch.
fn check_images(source: &Source, buffer: &Buffer, stored: &ImageEmbeddings) -> Result<(), DataError> {
    let missing = over_chunks(&buffer.published_chunks()?, None, |id| {
        // Samples of a chunk that cannot be read are bad samples, and met and named as such.
        let chunk = buffer.map(id).ok()?;
        let shown = shown(&source.config, &chunk).ok()?;
        let check = || {
            let file = stored.of_chunk(chunk.header())?;
            shown.iter().try_for_each(|shown| file.check_frame(shown.frame))
        };
        check().err()
    });
    missing.into_iter().flatten().next().map_or(Ok(()), |error| Err(DataError::NotEmbedded(error)))
}
