//! The flags of inputs that were encoded before: `--precomp-lang-embed`, `--precomp-img-embed`.

use std::path::{Path, PathBuf};

use rdt_cli::exit::Usage;
use rdt_data::{Images, SourceSpec};
use rdt_model::encoder::EncoderFolders;
use rdt_schema::Config;

use crate::train::EncoderFlags;

/// Which inputs are taken from stored embeddings.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct PrecomputedFlags {
    /// Take instructions from the embeddings that `rdt-consume embed` stored in the buffer, without T5
    #[arg(long)]
    pub precomp_lang_embed: bool,
    /// Take images from the embeddings that `rdt-consume embed --images` stored in the buffer, without
    /// decoding them and without SigLIP; not with --image-aug
    #[arg(long)]
    pub precomp_img_embed: bool,
}

impl PrecomputedFlags {
    /// In which form an evaluation takes images.
    pub(crate) fn images(&self, config: &Config) -> Images {
        match self.precomp_img_embed {
            true => Images::Embeddings,
            false => Images::Pixel(config.model.vision.image_size as usize),
        }
    }

    /// Where the encoders are, live or stored. Without a buffer, the embeddings of instructions are those
    /// that a `checkpoint` carries.
    ///
    /// # Errors
    /// Wrong usage: stored embeddings without a buffer.
    pub(crate) fn encoders(
        &self,
        live: &EncoderFlags,
        source: &SourceSpec,
        checkpoint: Option<&Path>,
    ) -> anyhow::Result<EncoderFolders> {
        let mut encoders = EncoderFolders::from(live);
        if self.precomp_lang_embed {
            let dir = buffer_dir("--precomp-lang-embed", source);
            encoders.stored_language = match checkpoint {
                Some(checkpoint) if dir.is_err() => Some(checkpoint.to_owned()),
                _ => Some(dir?),
            };
        }
        if self.precomp_img_embed {
            encoders.stored_images = Some(buffer_dir("--precomp-img-embed", source)?);
        }
        Ok(encoders)
    }
}

fn buffer_dir(flag: &str, source: &SourceSpec) -> anyhow::Result<PathBuf> {
    source.buffer().map(Path::to_owned).ok_or_else(|| {
        Usage::new(format!(
            "{flag} is given with --load-from-hdf5, expected --buffer: embeddings are stored in a buffer"
        ))
    })
}
