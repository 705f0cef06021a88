//! Which encoders a run uses: what the configuration names, from the folders that were given.
//!
//! Invariant: an encoder that is handed out makes tokens of the width and number that the
//! configured network takes.

use std::path::{Path, PathBuf};

use rdt_buffer::embedding::{EncoderDigest, ImageEmbeddings, LanguageEmbeddings};
use rdt_schema::Config;
use rdt_schema::Setting;
use rdt_schema::config::{LanguageEncoder as LanguageKind, VisionEncoder as VisionKind};
use tch::{Device, Kind};

use super::hugging_face::ModelFolder;
use super::identity::Identity;
use super::image::{ImageEncoder, RandomPatch};
use super::language::{HashedWords, LanguageEncoder};
use super::siglip::{SiglipConfig, SiglipVisionTower};
use super::stored_images::{self, StoredImages};
use super::stored_language::{self, StoredLanguage};
use super::t5::T5Config;
use super::t5_instructions::T5Instructions;
use super::tokenizer::InstructionTokenizer;
use crate::error::ModelError;

/// Hugging Face folders of the encoders that have trained weights.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncoderFolders {
    /// SigLIP.
    pub vision: Option<PathBuf>,
    /// T5 and its tokenizer.
    pub language: Option<PathBuf>,
    /// A buffer whose stored embeddings stand for the language encoder.
    pub stored_language: Option<PathBuf>,
    /// A buffer whose stored embeddings stand for the image encoder.
    pub stored_images: Option<PathBuf>,
}

impl EncoderFolders {
    /// The configured image encoder, on `device`, in `kind` where it has trained weights.
    ///
    /// # Errors
    /// It needs a folder that was not given, the folder does not hold it, or it makes other
    /// tokens than the network takes.
    pub fn image_encoder(
        &self,
        config: &Config,
        seed: u64,
        device: Device,
        kind: Kind,
    ) -> Result<Box<dyn ImageEncoder>, ModelError> {
        let (vision, width) = (&config.model.vision, config.model.img_token_dim);
        if let Some(buffer) = &self.stored_images {
            let encoder = self.image_digest(config, seed)?;
            let size = (vision.tokens_per_image(), width);
            return Ok(Box::new(StoredImages::open(buffer, size, encoder)?));
        }
        if vision.encoder == VisionKind::RandomPatch {
            return Ok(Box::new(RandomPatch::new(vision, width, seed, device)?));
        }
        let folder = self.siglip(config)?;
        Ok(Box::new(SiglipVisionTower::open(folder, device, kind)?))
    }

    /// The configured language encoder, on `device`, in `kind` where it has trained weights.
    ///
    /// # Errors
    /// As of [`EncoderFolders::image_encoder`].
    pub fn language_encoder(
        &self,
        config: &Config,
        seed: u64,
        device: Device,
        kind: Kind,
    ) -> Result<Box<dyn LanguageEncoder>, ModelError> {
        let (width, most) = (config.model.lang_token_dim, config.dataset.tokenizer_max_length);
        if let Some(buffer) = &self.stored_language {
            let encoder = self.language_digest(config, seed)?;
            return Ok(Box::new(StoredLanguage::open(buffer, width, encoder, device, kind)?));
        }
        if config.model.language.encoder == LanguageKind::HashedWords {
            return Ok(Box::new(HashedWords::new(width, most, seed, device)));
        }
        let folder = self.t5(config)?;
        Ok(Box::new(T5Instructions::open(folder, device, kind, most as usize)?))
    }

    /// Whether the encoders that `config` asks for can be opened, without reading their weights.
    ///
    /// # Errors
    /// As of [`EncoderFolders::image_encoder`] and [`EncoderFolders::language_encoder`].
    pub fn check(&self, config: &Config) -> Result<(), ModelError> {
        let (vision, model) = (&config.model.vision, &config.model);
        if let Some(buffer) = &self.stored_images {
            stored_images::find(buffer, (vision.tokens_per_image(), model.img_token_dim))?;
        } else if vision.encoder == VisionKind::Siglip {
            ModelFolder::open(self.siglip(config)?)?;
        }
        if let Some(buffer) = &self.stored_language {
            stored_language::find(buffer, model.lang_token_dim)?;
        } else if model.language.encoder == LanguageKind::T5 {
            let folder = self.t5(config)?;
            InstructionTokenizer::open(folder, config.dataset.tokenizer_max_length as usize)?;
            ModelFolder::open(folder)?;
        }
        Ok(())
    }

    /// The folder of SigLIP, whose sizes are the configured ones.
    fn siglip(&self, config: &Config) -> Result<&Path, ModelError> {
        let (vision, width) = (&config.model.vision, config.model.img_token_dim);
        let folder = given(
            self.vision.as_deref(),
            Setting::PRETRAINED_VISION_ENCODER,
            "the folder of SigLIP (google/siglip-so400m-patch14-384)",
            "model.vision.encoder",
            "random_patch",
        )?;
        let tower = SiglipConfig::read(folder)?;
        same("model.img_token_dim", width, folder, "hidden_size", tower.hidden_size)?;
        let side = i64::from(vision.image_size);
        same("model.vision.image_size", side, folder, "image_size", tower.image_size)?;
        let patch = i64::from(vision.patch_size);
        same("model.vision.patch_size", patch, folder, "patch_size", tower.patch_size)?;
        Ok(folder)
    }

    /// The folder of T5, whose width is the configured one.
    fn t5(&self, config: &Config) -> Result<&Path, ModelError> {
        let width = config.model.lang_token_dim;
        let folder = given(
            self.language.as_deref(),
            Setting::PRETRAINED_TEXT_ENCODER,
            "the folder of T5 and its tokenizer (google/t5-v1_1-xxl)",
            "model.language.encoder",
            "hashed_words",
        )?;
        same("model.lang_token_dim", width, folder, "d_model", T5Config::read(folder)?.d_model)?;
        Ok(folder)
    }

    /// Which image encoder is configured; none if it has trained weights and no folder of them was
    /// given.
    ///
    /// # Errors
    /// The folder does not hold it.
    pub fn image_digest(&self, config: &Config, seed: u64) -> Result<Option<EncoderDigest>, ModelError> {
        let vision = &config.model.vision;
        if vision.encoder == VisionKind::RandomPatch {
            let mut identity = Identity::new("random_patch 1");
            identity.number(seed).number(config.model.img_token_dim as u64);
            identity.number(vision.image_size.into()).number(vision.patch_size.into());
            return Ok(Some(identity.digest()));
        }
        let Some(folder) = &self.vision else { return Ok(None) };
        let settings = SiglipConfig::read(folder)?;
        let mut identity = Identity::new("siglip 1");
        identity.bytes(format!("{settings:?}").as_bytes());
        identity.weights(folder, &super::siglip::tensor_list(&settings))?;
        Ok(Some(identity.digest()))
    }

    /// Whose tokens images become: as of [`EncoderFolders::image_digest`], else of the stored embeddings.
    ///
    /// # Errors
    /// The folder does not hold the encoder, or stored embeddings are damaged.
    pub fn image_identity(&self, config: &Config, seed: u64) -> Result<Option<EncoderDigest>, ModelError> {
        match (self.image_digest(config, seed)?, &self.stored_images) {
            (None, Some(dir)) => Ok(ImageEmbeddings::open(dir)?.map(|stored| stored.header().encoder)),
            (known, _) => Ok(known),
        }
    }

    /// Whose tokens instructions become: as of [`EncoderFolders::language_digest`], else of the stored
    /// embeddings.
    ///
    /// # Errors
    /// As of [`EncoderFolders::image_identity`].
    pub fn language_identity(&self, config: &Config, seed: u64) -> Result<Option<EncoderDigest>, ModelError> {
        match (self.language_digest(config, seed)?, &self.stored_language) {
            (None, Some(dir)) => Ok(LanguageEmbeddings::open(dir)?.map(|stored| stored.header().encoder)),
            (known, _) => Ok(known),
        }
    }

    /// Which language encoder is configured; none if it has trained weights and no folder of them
    /// was given.
    ///
    /// # Errors
    /// The folder does not hold it.
    pub fn language_digest(&self, config: &Config, seed: u64) -> Result<Option<EncoderDigest>, ModelError> {
        let most = config.dataset.tokenizer_max_length;
        if config.model.language.encoder == LanguageKind::HashedWords {
            let mut identity = Identity::new("hashed_words 1");
            identity.number(seed).number(config.model.lang_token_dim as u64).number(most.into());
            return Ok(Some(identity.digest()));
        }
        let Some(folder) = &self.language else { return Ok(None) };
        let settings = T5Config::read(folder)?;
        let tokenizer = InstructionTokenizer::open(folder, most as usize)?;
        let mut identity = Identity::new("t5 1");
        identity.bytes(format!("{settings:?}").as_bytes()).file(tokenizer.path())?;
        identity.weights(folder, &super::t5::tensor_list(&settings))?;
        Ok(Some(identity.digest()))
    }
}

fn given<'a>(
    folder: Option<&'a Path>,
    setting: Setting,
    what: &str,
    key: &str,
    small: &str,
) -> Result<&'a Path, ModelError> {
    let Some(folder) = folder else {
        return Err(ModelError::Setting {
            what: setting.to_string(),
            found: "missing".into(),
            expected: format!(
                "{what}; or, to try things without it, set {key} to {small}, as configs/tiny.yaml does"
            ),
        });
    };
    if !folder.is_dir() {
        return Err(ModelError::Setting {
            what: setting.to_string(),
            found: format!("{}, which is no folder here", folder.display()),
            expected: format!("{what}; names are not looked up on the net, download the model first"),
        });
    }
    Ok(folder)
}

fn same(key: &str, configured: i64, folder: &Path, name: &str, actual: i64) -> Result<(), ModelError> {
    if configured == actual {
        return Ok(());
    }
    Err(ModelError::Setting {
        what: key.into(),
        found: configured.to_string(),
        expected: format!("{actual}, the {name} of the encoder in {}", folder.display()),
    })
}
