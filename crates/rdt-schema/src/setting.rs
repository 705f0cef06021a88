//! What a user can set, by name, so that a message of a library names it as its reader knows it.
//!
//! A library says `chunk_size`; a program whose settings are flags says `--chunk-size` in the same
//! sentence, since it told [`Setting::spell_with`] how at its start. The names are those of RDT's
//! flags where it has one.

use std::fmt;
use std::sync::OnceLock;

/// A setting, to be named in a message.
///
/// ```
/// use rdt_schema::Setting;
/// assert_eq!(format!("raise {}", Setting::CHUNK_SIZE), "raise chunk_size");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Setting(&'static str);

/// How names are written; as they are, if nobody says.
static SPELLING: OnceLock<fn(&'static str) -> String> = OnceLock::new();

impl Setting {
    /// Writes names so from now on, in the whole process: for a program, before anything else. Only
    /// the first call counts.
    pub fn spell_with(spelling: fn(&'static str) -> String) {
        SPELLING.get_or_init(|| spelling);
    }

    /// The name, in lower case with underscores.
    pub fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match SPELLING.get() {
            Some(spelling) => f.write_str(&spelling(self.0)),
            None => f.write_str(self.0),
        }
    }
}

macro_rules! settings {
    ($($name:ident = $text:literal,)*) => {
        #[expect(missing_docs, reason = "each says its name")]
        impl Setting {
            $(pub const $name: Self = Self($text);)*

            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

settings! {
    ADAM_BETA1 = "adam_beta1",
    ADAM_BETA2 = "adam_beta2",
    ADAM_EPSILON = "adam_epsilon",
    ADAM_WEIGHT_DECAY = "adam_weight_decay",
    ALLOW_TF32 = "allow_tf32",
    ALTER_PREPARED_IMAGES = "alter_prepared_images",
    AUTO_ADJUST_IMAGE_BRIGHTNESS = "auto_adjust_image_brightness",
    BATCH_SIZE = "batch_size",
    BUFFER = "buffer",
    CAM_EXT_MASK_PROB = "cam_ext_mask_prob",
    CHECK_FRAMES = "check_frames",
    CHECKPOINT = "checkpoint",
    CHECKPOINTING_PERIOD = "checkpointing_period",
    CHECKPOINTS_TOTAL_LIMIT = "checkpoints_total_limit",
    CHUNK_SIZE = "chunk_size",
    COND_MASK_PROB = "cond_mask_prob",
    CONFIG = "config",
    CPU_THREADS = "cpu_threads",
    DATA_ROOT = "data_root",
    DATASET = "dataset",
    DATASET_STAT = "dataset_stat",
    DATASET_TYPE = "dataset_type",
    DEVICE = "device",
    EPISODE = "episode",
    FILL_UP = "fill_up",
    FOLLOW = "follow",
    FOLLOW_WINDOW = "follow_window",
    FRAME_SIZE = "frame_size",
    GRADIENT_ACCUMULATION_STEPS = "gradient_accumulation_steps",
    HOLDOUT = "holdout",
    IMAGE_AUG = "image_aug",
    IMAGE_CODEC = "image_codec",
    IMAGE_DELIVERY = "image_delivery",
    LEARNING_RATE = "learning_rate",
    LOAD_FROM_HDF5 = "load_from_hdf5",
    LR_POWER = "lr_power",
    LR_WARMUP_STEPS = "lr_warmup_steps",
    MAX_GRAD_NORM = "max_grad_norm",
    MAX_TRAIN_STEPS = "max_train_steps",
    MIXED_PRECISION = "mixed_precision",
    NUM_CHUNKS = "num_chunks",
    NUM_SAMPLE_BATCHES = "num_sample_batches",
    NUM_TRAIN_EPOCHS = "num_train_epochs",
    ON_BAD_SAMPLE = "on_bad_sample",
    ORDER = "order",
    OUT = "out",
    OUTPUT_DIR = "output_dir",
    PRECOMP_IMG_EMBED = "precomp_img_embed",
    PRECOMP_LANG_EMBED = "precomp_lang_embed",
    PRETRAINED_MODEL = "pretrained_model_name_or_path",
    PRETRAINED_TEXT_ENCODER = "pretrained_text_encoder_name_or_path",
    PRETRAINED_VISION_ENCODER = "pretrained_vision_encoder_name_or_path",
    REFILL_AT = "refill_at",
    RESUME_FROM_CHECKPOINT = "resume_from_checkpoint",
    SAMPLE_BATCH_SIZE = "sample_batch_size",
    SAMPLE_PERIOD = "sample_period",
    SAMPLING = "sampling",
    SEED = "seed",
    SHARD = "shard",
    SOURCE = "source",
    SPREAD = "spread",
    STEP = "step",
    STATE_NOISE_SNR = "state_noise_snr",
    TRAIN_BATCH_SIZE = "train_batch_size",
    WAIT = "wait",
    WINDOW = "window",
}
