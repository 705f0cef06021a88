//! Images to tokens by the embeddings that are stored in a buffer: no encoder is loaded.
//!
//! The loader delivers the tokens themselves; what is left here is what they are.

use std::path::Path;

use rdt_buffer::embedding::{Element, EncoderDigest, ImageEmbeddings};
use rdt_buffer::layout;
use rdt_schema::Setting;
use tch::Tensor;

use super::image::ImageEncoder;
use super::stored::refuse_another;
use crate::error::ModelError;

const SETTING: Setting = Setting::PRECOMP_IMG_EMBED;

/// The stored embeddings of a buffer's frames.
#[derive(Debug)]
pub struct StoredImages {
    tokens: i64,
    width: i64,
    element: Element,
    encoder: EncoderDigest,
}

impl StoredImages {
    /// Those of the buffer at `dir`, of (tokens, width) an image. `encoder` is the one that they must
    /// be of, if that is known.
    ///
    /// # Errors
    /// There are none, they are damaged, of another size or of another encoder.
    pub fn open(
        dir: &Path,
        (tokens, width): (i64, i64),
        encoder: Option<EncoderDigest>,
    ) -> Result<Self, ModelError> {
        let embeddings = find(dir, (tokens, width))?;
        let header = embeddings.header();
        let folder = layout::image_embeddings(dir);
        refuse_another(&SETTING.to_string(), &folder, header, encoder, None)?;
        Ok(Self { tokens, width, element: header.element, encoder: header.encoder })
    }
}

/// The embeddings of images in the buffer at `dir`, of (tokens, width) an image.
///
/// # Errors
/// There are none, they are damaged, or of another size.
pub(super) fn find(dir: &Path, (tokens, width): (i64, i64)) -> Result<ImageEmbeddings, ModelError> {
    let embeddings = ImageEmbeddings::open(dir)?.ok_or_else(|| ModelError::Setting {
        what: SETTING.to_string(),
        found: format!("a buffer without embeddings of images, {}", dir.display()),
        expected: format!("those that `rdt-consume embed --images --buffer {}` makes", dir.display()),
    })?;
    let header = embeddings.header();
    let found = (i64::from(embeddings.tokens()), i64::from(header.width));
    if found != (tokens, width) {
        return Err(ModelError::Setting {
            what: "model.vision and model.img_token_dim".into(),
            found: format!("{tokens} tokens of {width} an image"),
            expected: format!("{} of {}, as the embeddings in {} have", found.0, found.1, dir.display()),
        });
    }
    Ok(embeddings)
}

impl ImageEncoder for StoredImages {
    fn width(&self) -> i64 {
        self.width
    }

    fn tokens(&self) -> i64 {
        self.tokens
    }

    fn encode(&self, _images: &Tensor) -> Result<Tensor, ModelError> {
        Err(ModelError::Setting {
            what: SETTING.to_string(),
            found: "a batch of pixels".into(),
            expected: "one of stored embeddings".into(),
        })
    }

    fn describe(&self) -> String {
        let Self { tokens, width, element, encoder } = self;
        format!("stored embeddings of encoder {encoder}, {tokens} tokens of {width}, {}", element.name())
    }
}
