//! The flags of inputs that were encoded before: `--precomp-lang-embed`, `--precomp-img-embed`.

use std::path::PathBuf;

use rdt_buffer::BufferError;
use rdt_buffer::embedding::{ImageEmbeddings, LanguageEmbeddings};
use rdt_cli::consume::source::OpenedSource;
use rdt_cli::exit::Usage;
use rdt_cli::inspect::parallel::over_chunks;
use rdt_cli::instructions::Instructions;
use rdt_consumer::{Conditioning, Delivery};
use rdt_schema::Config;
use rdt_train::encoder::EncoderFolders;

use crate::shown::shown;
use crate::train::EncoderFlags;

/// Which inputs are taken from stored embeddings.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct PrecomputedFlags {
    /// Take instructions from the embeddings that `rdt-consume embed` stored in the buffer, without T5
    #[arg(long)]
    pub precomp_lang_embed: bool,
    /// Take images from the embeddings that `rdt-consume embed --images` stored in the buffer, without
    /// decoding them and without SigLIP; not with --image-aug
    #[arg(long)]
    pub precomp_img_embed: bool,
}

impl PrecomputedFlags {
    /// Where the encoders are, live or stored.
    ///
    /// # Errors
    /// Wrong usage: stored embeddings without a buffer.
    pub fn encoders(&self, live: &EncoderFlags, source: &OpenedSource) -> anyhow::Result<EncoderFolders> {
        let mut encoders = EncoderFolders::from(live);
        if self.precomp_lang_embed {
            encoders.stored_language = Some(buffer_dir("--precomp-lang-embed", source)?);
        }
        if self.precomp_img_embed {
            encoders.stored_images = Some(buffer_dir("--precomp-img-embed", source)?);
        }
        Ok(encoders)
    }

    /// Whether each instruction of the buffer has an embedding, where these are used. Not for a live
    /// buffer, which meets new instructions: there each is asked for when it is used.
    ///
    /// # Errors
    /// Wrong usage: one has none, and is named. The embeddings or the buffer cannot be read.
    pub fn check_instructions(&self, source: &OpenedSource) -> anyhow::Result<()> {
        let Some(buffer) = source.buffer.as_deref().filter(|_| self.precomp_lang_embed) else {
            return Ok(());
        };
        // That there are none at all is said where they are opened.
        let Some(stored) = LanguageEmbeddings::open(buffer.dir())? else { return Ok(()) };
        let texts = Instructions::of(buffer)?.texts;
        match texts.into_iter().find(|text| !stored.contains(text)) {
            Some(text) => {
                Err(Usage::from_error(BufferError::NoEmbedding { dir: buffer.dir().to_owned(), text }))
            }
            None => Ok(()),
        }
    }

    /// In which form the loader delivers images.
    ///
    /// # Errors
    /// Wrong usage: images are to be altered, or not all of them are stored.
    pub fn delivery(
        &self,
        config: &Config,
        conditioning: &Conditioning,
        source: &OpenedSource,
    ) -> anyhow::Result<Delivery> {
        if !self.precomp_img_embed {
            return Ok(Delivery::Pixel { size: config.model.vision.image_size as usize });
        }
        let altered = [
            ("--image-aug", conditioning.augment_images),
            ("--auto-adjust-image-brightness", conditioning.brighten_dark_images),
        ];
        if let Some((flag, _)) = altered.iter().find(|(_, is_on)| *is_on) {
            return Err(Usage::new(format!(
                "{flag} is given with --precomp-img-embed: stored embeddings are those of the images as they are; \
                 expected one of the two"
            )));
        }
        let dir = buffer_dir("--precomp-img-embed", source)?;
        let Some(stored) = ImageEmbeddings::open(&dir)? else {
            return Err(Usage::new(format!(
                "--precomp-img-embed is given and {} holds no embeddings of images; make them with \
                 rdt-consume embed --images --buffer {}",
                dir.display(),
                dir.display()
            )));
        };
        if let Some(buffer) = &source.buffer {
            // One that is missing is better said now than in the middle of an epoch.
            let missing = over_chunks(&buffer.published_chunks()?, None, |id| {
                // Samples of a chunk that cannot be read are bad samples, and met and named as such.
                let chunk = buffer.map(id).ok()?;
                let shown = shown(config, &chunk).ok()?;
                let check = || {
                    let file = stored.of_chunk(chunk.header())?;
                    shown.iter().try_for_each(|shown| file.check_frame(shown.frame))
                };
                check().err()
            });
            if let Some(error) = missing.into_iter().flatten().next() {
                return Err(Usage::from_error(error));
            }
        }
        let header = stored.header();
        Ok(Delivery::Tokens { tokens: stored.tokens(), width: header.width, element: header.element })
    }
}

fn buffer_dir(flag: &str, source: &OpenedSource) -> anyhow::Result<PathBuf> {
    match &source.buffer {
        Some(buffer) => Ok(buffer.dir().to_owned()),
        None => Err(Usage::new(format!(
            "{flag} is given with --load-from-hdf5, expected --buffer: embeddings are stored in a buffer"
        ))),
    }
}
