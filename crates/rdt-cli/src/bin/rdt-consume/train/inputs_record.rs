//! What a checkpoint records of how batches are made, by the names of the flags: a resume lists
//! what changed.

use rdt_cli::consume::disturbance::DisturbanceFlags;
use rdt_consumer::{Delivery, Disturbance, StateMeans};
use serde_json::{Map, Value, json};

use super::flags::Args;
use crate::inputs::PrecomputedFlags;

/// The record of a run with these flags, whose loader delivers `delivery` under `disturbance`.
pub(super) fn record(args: &Args, disturbance: &Disturbance, delivery: Delivery) -> Map<String, Value> {
    // Taken apart so that a flag that is added cannot be forgotten here.
    let PrecomputedFlags { precomp_lang_embed, precomp_img_embed } = &args.precomputed;
    let DisturbanceFlags {
        cond_mask_prob,
        cam_ext_mask_prob: _,
        state_noise_snr,
        image_aug,
        auto_adjust_image_brightness,
        alter_prepared_images,
        dataset_stat,
    } = &args.disturbance;
    let means = match (&disturbance.state_means, dataset_stat) {
        // Two files of one name may differ.
        (StateMeans::Given(means), Some(path)) => {
            json!(format!(
                "{} (crc32 {:08x})",
                path.display(),
                crc32fast::hash(format!("{means:?}").as_bytes())
            ))
        }
        _ => Value::Null,
    };
    let delivery = match delivery {
        Delivery::Pixel { .. } => "pixel",
        Delivery::Frames => "frames",
        Delivery::Stored => "stored",
        Delivery::Embeddings { .. } => "tokens",
    };
    [
        ("--cond-mask-prob", json!(cond_mask_prob)),
        ("--cam-ext-mask-prob", json!(disturbance.external_camera_mask_probability)),
        ("--state-noise-snr", json!(state_noise_snr)),
        ("--image-aug", json!(image_aug)),
        ("--auto-adjust-image-brightness", json!(auto_adjust_image_brightness)),
        ("--alter-prepared-images", json!(alter_prepared_images)),
        ("--dataset-stat", means),
        ("--image-delivery", json!(delivery)),
        ("--precomp-lang-embed", json!(precomp_lang_embed)),
        ("--precomp-img-embed", json!(precomp_img_embed)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect()
}
