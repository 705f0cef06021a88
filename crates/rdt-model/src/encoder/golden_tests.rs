//! The encoders against `transformers`, on the models in `tests/encoders` (made by
//! `make_encoder_goldens.py` there) or in the folder that RDT_ENCODER_GOLDENS names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rdt_buffer::embedding::{
    Content, Element, EmbedderLock, EmbeddingHeader, EmbeddingWriter, EncoderDigest,
};
use rdt_buffer::storage::Disk;
use tch::{Device, Kind, Tensor};

use super::image::ImageEncoder;
use super::instruction_embeddings::{embed, embed_distinct};
use super::language::LanguageEncoder;
use super::siglip::SiglipVisionTower;
use super::stored::to_bytes;
use super::stored_language::StoredLanguage;
use super::t5::T5Encoder;
use super::t5_instructions::T5Instructions;
use super::tokenizer::InstructionTokenizer;
use crate::device::resize::DeviceResizer;
use crate::error::ModelError;
use crate::images::HostImages;
use crate::weights::tensor_file::TensorFile;

/// Largest difference from `transformers` in f32.
const TOLERANCE: f64 = 1e-5;
/// In bf16, of numbers around 1: some roundings to 8 bits, which differ with the kernels.
const BF16_TOLERANCE: f64 = 0.1;
const MAX_TOKENS: usize = 1024;

fn goldens() -> PathBuf {
    let here = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/encoders");
    std::env::var_os("RDT_ENCODER_GOLDENS").map_or_else(here, PathBuf::from)
}

/// The model folders whose names begin with `model`; there must be some.
fn folders(model: &str) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(goldens())
        .expect("the folder of the goldens")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.is_dir() && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(model))
        })
        .collect();
    folders.sort();
    assert!(!folders.is_empty(), "no {model} in {}", goldens().display());
    folders
}

fn expected(folder: &Path, name: &str) -> Tensor {
    let file = TensorFile::open(&folder.join("expected.safetensors")).expect("expected.safetensors");
    file.tensor(name).expect("a known kind").unwrap_or_else(|| panic!("{name} in {}", folder.display()))
}

/// Texts and their ids.
fn expected_tokens(folder: &Path) -> Vec<(String, Vec<i64>)> {
    #[derive(serde::Deserialize)]
    struct Row {
        text: String,
        ids: Vec<i64>,
    }
    #[derive(serde::Deserialize)]
    struct File {
        tokens: Vec<Row>,
    }
    let bytes = std::fs::read(folder.join("expected.json")).expect("expected.json");
    let file: File = serde_json::from_slice(&bytes).expect("texts and ids");
    file.tokens.into_iter().map(|row| (row.text, row.ids)).collect()
}

#[track_caller]
fn assert_close(found: &Tensor, expected: &Tensor, tolerance: f64, what: &str) {
    assert_eq!(found.size(), expected.size(), "{what}");
    let difference = (found.to_kind(Kind::Double) - expected.to_kind(Kind::Double)).abs().max();
    let difference = difference.double_value(&[]);
    assert!(difference <= tolerance, "{what}: differs by {difference:e}, at most {tolerance:e} allowed");
}

/// Sets what is not `usable` (B, L) to zero: `transformers` fills it with something, too.
fn usable_only(tokens: &Tensor, usable: &Tensor) -> Tensor {
    tokens * usable.to_kind(tokens.kind()).unsqueeze(-1)
}

#[test]
fn golden_siglip_tokens() -> Result<(), ModelError> {
    for folder in folders("siglip") {
        let tower = SiglipVisionTower::open(&folder, Device::Cpu, Kind::Float)?;
        let images = expected(&folder, "images");
        let tokens = tower.encode(&images)?;
        assert_eq!(tokens.size(), [images.size()[0], tower.tokens(), tower.width()]);
        assert_close(&tokens, &expected(&folder, "last_hidden_state"), TOLERANCE, &folder.to_string_lossy());
    }
    Ok(())
}

/// What `embed --images` stores is made of other batches than training's.
#[test]
fn golden_siglip_tokens_do_not_depend_on_the_batch() -> Result<(), ModelError> {
    for folder in folders("siglip") {
        let tower = SiglipVisionTower::open(&folder, Device::Cpu, Kind::Float)?;
        let images = expected(&folder, "images");
        let together = tower.encode(&images)?;
        for place in 0..images.size()[0] {
            let alone = tower.encode(&images.narrow(0, place, 1))?;
            assert_close(&together.narrow(0, place, 1), &alone, TOLERANCE, &folder.to_string_lossy());
            let bytes = to_bytes(&alone, Element::F32)?;
            let stored = HostImages::Tokens { bytes: &bytes, element: Element::F32 };
            assert!(stored.tokens(1, &DeviceResizer::on_cpu(1), &tower)?.equal(&alone));
        }
    }
    Ok(())
}

#[test]
fn golden_siglip_in_bf16() -> Result<(), ModelError> {
    for folder in folders("siglip") {
        let tower = SiglipVisionTower::open(&folder, Device::Cpu, Kind::BFloat16)?;
        let tokens = tower.encode(&expected(&folder, "images"))?;
        assert_eq!(tokens.kind(), Kind::BFloat16);
        assert_close(
            &tokens,
            &expected(&folder, "last_hidden_state"),
            BF16_TOLERANCE,
            &folder.to_string_lossy(),
        );
    }
    Ok(())
}

#[test]
fn golden_siglip_refuses_images_of_another_size() -> Result<(), ModelError> {
    for folder in folders("siglip") {
        let tower = SiglipVisionTower::open(&folder, Device::Cpu, Kind::Float)?;
        let images = expected(&folder, "images").constant_pad_nd([0, 1]);
        let error = tower.encode(&images).expect_err("one column more").to_string();
        assert!(error.contains("size of the images"), "{error}");
    }
    Ok(())
}

#[test]
fn golden_t5_states_of_given_ids() -> Result<(), ModelError> {
    for folder in folders("t5") {
        let encoder = T5Encoder::open(&folder, Device::Cpu, Kind::Float)?;
        let (ids, usable) =
            (expected(&folder, "input_ids"), expected(&folder, "attention_mask").to_kind(Kind::Bool));
        let (states, reference) =
            (encoder.forward(&ids, Some(&usable))?, expected(&folder, "last_hidden_state"));
        let what = folder.to_string_lossy();
        assert_close(&usable_only(&states, &usable), &usable_only(&reference, &usable), TOLERANCE, &what);
        // A row without padding does not need the mask.
        let full = encoder.forward(&ids.narrow(0, 0, 1), None)?;
        assert_close(&full, &reference.narrow(0, 0, 1), TOLERANCE, &what);
    }
    Ok(())
}

#[test]
fn golden_tokenizer_ids() -> Result<(), ModelError> {
    for folder in folders("t5") {
        let tokenizer = InstructionTokenizer::open(&folder, MAX_TOKENS)?;
        for (text, ids) in expected_tokens(&folder) {
            assert_eq!(tokenizer.tokenize(&text)?, ids, "{text:?} by {}", tokenizer.path().display());
        }
    }
    Ok(())
}

#[test]
fn golden_tokenizer_refuses_what_is_too_long() -> Result<(), ModelError> {
    for folder in folders("t5") {
        for (text, ids) in expected_tokens(&folder) {
            let exact = InstructionTokenizer::open(&folder, ids.len())?;
            assert_eq!(exact.tokenize(&text)?, ids, "just short enough");
            let error = InstructionTokenizer::open(&folder, ids.len() - 1)?
                .tokenize(&text)
                .expect_err("one too many")
                .to_string();
            assert!(error.contains(&format!("{} tokens", ids.len())), "{error}");
        }
    }
    Ok(())
}

#[test]
fn golden_cut_sentencepiece_models_are_refused_or_whole() {
    for folder in folders("t5").iter().filter(|folder| folder.join("spiece.model").is_file()) {
        let bytes = std::fs::read(folder.join("spiece.model")).expect("the model");
        let cut = tempfile::tempdir().expect("a folder");
        let open = |length: usize| {
            std::fs::write(cut.path().join("spiece.model"), &bytes[..length]).expect("a shorter model");
            InstructionTokenizer::open(cut.path(), MAX_TOKENS)
        };
        let tokens = open(bytes.len()).expect("the whole model").vocabulary();
        for length in (0..bytes.len()).step_by(bytes.len() / 200 + 1) {
            // Between two fields it is a shorter model, and nothing in it tells.
            assert!(open(length).is_ok_and(|read| read.vocabulary() < tokens) || open(length).is_err());
        }
    }
}

#[test]
fn golden_t5_instructions_in_a_batch() -> Result<(), ModelError> {
    for folder in folders("t5") {
        let encoder = T5Instructions::open(&folder, Device::Cpu, Kind::Float, MAX_TOKENS)?;
        let texts = expected_tokens(&folder);
        let texts: Vec<&str> = texts.iter().map(|(text, _)| text.as_str()).collect();
        let found = encoder.encode(&texts)?;
        let usable = expected(&folder, "text_mask").to_kind(Kind::Bool);
        assert!(found.usable.equal(&usable), "mask in {}", folder.display());
        assert_close(
            &usable_only(&found.tokens, &usable),
            &usable_only(&expected(&folder, "text_embeds"), &usable),
            TOLERANCE,
            &folder.to_string_lossy(),
        );
        let half = T5Instructions::open(&folder, Device::Cpu, Kind::BFloat16, MAX_TOKENS)?.encode(&texts)?;
        assert_eq!(half.tokens.kind(), Kind::BFloat16);
        assert_close(
            &usable_only(&half.tokens, &usable),
            &usable_only(&expected(&folder, "text_embeds_bf16"), &usable),
            BF16_TOLERANCE,
            &folder.to_string_lossy(),
        );
    }
    Ok(())
}

#[test]
fn golden_embeddings_of_distinct_instructions() -> Result<(), ModelError> {
    for folder in folders("t5") {
        let encoder = T5Instructions::open(&folder, Device::Cpu, Kind::Float, MAX_TOKENS)?;
        let rows = expected_tokens(&folder);
        let (reference, usable) = (expected(&folder, "text_embeds"), expected(&folder, "text_mask"));
        // Twice each, and the empty one is to come though it is not asked for.
        let asked = rows.iter().chain(&rows).map(|(text, _)| text.as_str()).filter(|text| !text.is_empty());
        let embeddings = embed_distinct(&encoder, asked).collect::<Result<Vec<_>, _>>()?;
        let mut texts: Vec<&str> = embeddings.iter().map(|embedding| embedding.text.as_str()).collect();
        assert_eq!(texts.remove(0), "");
        let wanted: Vec<&str> =
            rows.iter().map(|(text, _)| text.as_str()).filter(|text| !text.is_empty()).collect();
        assert_eq!(texts, wanted);
        for embedding in &embeddings {
            let row = rows.iter().position(|(text, _)| *text == embedding.text).expect("a row of that text");
            let real = usable.get(row as i64).nonzero().view(-1);
            let reference = reference.get(row as i64).index_select(0, &real);
            assert_close(&embedding.tokens, &reference, TOLERANCE, &embedding.text);
        }
    }
    Ok(())
}

/// Stores the embeddings of `texts` in the buffer at `dir`.
fn store(
    dir: &Path,
    encoder: &T5Instructions,
    digest: EncoderDigest,
    element: Element,
    texts: &[&str],
) -> Result<(), ModelError> {
    let header = EmbeddingHeader {
        content: Content::Language,
        element,
        width: encoder.width() as u32,
        records: 0,
        encoder: digest,
        chunk: 0,
        chunk_crc: 0,
        generation: 0,
        texts_length: 0,
    };
    let lock = EmbedderLock::acquire(dir, &Disk)?;
    let path = rdt_buffer::layout::language_embedding(dir, 0);
    let mut writer = EmbeddingWriter::create(&lock, Arc::new(Disk), path, header, texts)?;
    for text in texts {
        writer.add(&to_bytes(&embed(encoder, text)?.tokens, element)?)?;
    }
    Ok(writer.publish()?)
}

/// In f32 the padding of a live batch makes the only difference: within what `transformers` and
/// we may differ by. In bf16 the stored numbers are those of each instruction alone, bit by bit.
#[test]
fn golden_stored_embeddings_are_those_of_a_live_batch() -> Result<(), ModelError> {
    for folder in folders("t5") {
        let rows = expected_tokens(&folder);
        let mut texts: Vec<&str> = rows.iter().map(|(text, _)| text.as_str()).collect();
        texts.dedup();
        let digest = EncoderDigest([3; 16]);
        for (kind, element) in [(Kind::Float, Element::F32), (Kind::BFloat16, Element::Bf16)] {
            let encoder = T5Instructions::open(&folder, Device::Cpu, kind, MAX_TOKENS)?;
            let dir = tempfile::tempdir().expect("a folder");
            store(dir.path(), &encoder, digest, element, &texts)?;
            let open = |width, expected| StoredLanguage::open(dir.path(), width, expected, Device::Cpu, kind);
            let stored = open(encoder.width(), Some(digest))?;
            let live = encoder.encode(&texts)?;
            let found = stored.encode(&texts)?;
            assert_eq!((found.tokens.size(), found.tokens.kind()), (live.tokens.size(), kind));
            assert!(found.usable.equal(&live.usable));
            let tolerance = if kind == Kind::Float { TOLERANCE } else { BF16_TOLERANCE };
            let [a, b] = [&found.tokens, &live.tokens].map(|tokens| usable_only(tokens, &live.usable));
            assert_close(&a, &b, tolerance, &folder.to_string_lossy());
            for text in &texts {
                let alone = encoder.encode(&[text])?.tokens;
                assert!(stored.encode(&[text])?.tokens.equal(&alone), "{text:?}");
            }
            assert!(open(encoder.width() + 1, None).is_err(), "another width");
            let error = open(encoder.width(), Some(EncoderDigest([4; 16]))).expect_err("another encoder");
            assert!(error.to_string().contains("rdt-consume embed again"), "{error}");
        }
    }
    Ok(())
}

#[test]
fn golden_encoders_are_told_apart_by_weights_and_not_by_files() -> Result<(), ModelError> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../configs/base.yaml"));
    let config = rdt_schema::Config::from_text(&text.expect("base.yaml"), Path::new("base.yaml"))
        .expect("a configuration");
    let digest = |folder: &Path| {
        let folders = super::EncoderFolders { language: Some(folder.to_owned()), ..Default::default() };
        folders.language_digest(&config, 0).map(|digest| digest.expect("a folder was given"))
    };
    let mut digests = Vec::new();
    for folder in folders("t5") {
        let first = digest(&folder)?;
        // One number more or less, anywhere in a tensor that is small enough to be read whole.
        let copy = tempfile::tempdir().expect("a folder");
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            std::fs::copy(&path, copy.path().join(path.file_name().expect("a name"))).expect("a copy");
        }
        assert_eq!(digest(copy.path())?, first, "a copy is the same encoder");
        let weights =
            std::fs::read_dir(copy.path()).expect("a folder").map(|entry| entry.expect("an entry").path());
        let weights = weights.filter(|path| {
            path.to_string_lossy().contains("model") && path.extension().is_some_and(|e| e == "safetensors")
        });
        let path = weights.max().expect("weights");
        let mut bytes = std::fs::read(&path).expect("weights");
        *bytes.last_mut().expect("a byte") ^= 1;
        std::fs::write(&path, bytes).expect("written");
        assert_ne!(digest(copy.path())?, first, "{}", path.display());
        digests.push(first);
    }
    digests.dedup();
    assert_eq!(digests.len(), folders("t5").len());
    Ok(())
}

/// The two models of RDT, by name and shape: what a folder of each must hold.
#[test]
fn golden_tensors_of_the_full_size_models() -> Result<(), ModelError> {
    let bytes = std::fs::read(goldens().join("full_size.json")).expect("full_size.json");
    let full: serde_json::Value = serde_json::from_slice(&bytes).expect("configurations and tensors");
    let config = |model: &str| full[model]["config"].clone();
    let siglip =
        super::siglip::tensor_list(&serde_json::from_value(config("siglip")).expect("a configuration"));
    let t5 = super::t5::tensor_list(&serde_json::from_value(config("t5")).expect("a configuration"));
    for (model, list) in [("siglip", siglip), ("t5", t5)] {
        let mut found: Vec<(String, Vec<i64>)> =
            list.iter().map(|(name, shape)| (name.to_owned(), shape.to_vec())).collect();
        let tensors = full[model]["tensors"].as_object().expect("names and shapes");
        let mut wanted: Vec<(String, Vec<i64>)> = tensors
            .iter()
            .filter(|(name, _)| !name.starts_with("vision_model.head."))
            .map(|(name, shape)| (name.clone(), serde_json::from_value(shape.clone()).expect("a shape")))
            .collect();
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted);
    }
    Ok(())
}
