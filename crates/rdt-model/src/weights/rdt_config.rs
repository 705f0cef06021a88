//! RDT's own `config.json`: the arguments of its model class, beside its weights.
//!
//! Written so that RDT's `from_pretrained` takes our folders, read to hold a published
//! network against the configured one before a tensor is touched.

use rdt_schema::Config;
use serde_json::{Value, json};

/// What decides the tensors of a network, as pointers into the file.
const DECISIVE: [&str; 14] = [
    "/action_dim",
    "/pred_horizon",
    "/lang_token_dim",
    "/img_token_dim",
    "/state_token_dim",
    "/max_lang_cond_len",
    "/img_cond_len",
    "/config/rdt/hidden_size",
    "/config/rdt/depth",
    "/config/rdt/num_heads",
    "/config/rdt/norm",
    "/config/lang_adaptor",
    "/config/img_adaptor",
    "/config/state_adaptor",
];

/// The file of a configured network.
pub fn rdt_config(config: &Config) -> serde_json::Value {
    let (common, model) = (&config.common, &config.model);
    let tokens = model.vision.tokens_per_image();
    let history_and_cameras = i64::from(common.img_history_size) * i64::from(common.num_cameras);
    json!({
        "action_dim": common.state_dim,
        "pred_horizon": common.action_chunk_size,
        "config": model,
        "lang_token_dim": model.lang_token_dim,
        "img_token_dim": model.img_token_dim,
        "state_token_dim": model.state_token_dim,
        "max_lang_cond_len": config.dataset.tokenizer_max_length,
        "img_cond_len": history_and_cameras * tokens,
        "lang_pos_embed_config": [["lang", -i64::from(config.dataset.tokenizer_max_length)]],
        "img_pos_embed_config": [["image", [common.img_history_size, common.num_cameras, -tokens]]],
    })
}

/// What a published `config.json` says otherwise than `config`, each in words. What it does
/// not say is taken as it is configured.
pub fn differences(config: &Config, published: &Value) -> Vec<String> {
    let configured = rdt_config(config);
    let differs = |pointer: &&str| {
        let (ours, theirs) = (configured.pointer(pointer)?, published.pointer(pointer)?);
        let key = pointer.trim_start_matches('/').replace('/', ".");
        (ours != theirs).then(|| format!("{key} {theirs} instead of {ours}"))
    };
    DECISIVE.iter().filter_map(differs).collect()
}
