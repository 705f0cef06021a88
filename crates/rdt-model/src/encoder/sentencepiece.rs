//! A `spiece.model` as T5's tokenizer: the conversion that `transformers` 4.41 makes
//! (`T5TokenizerFast`, legacy form), for folders without `tokenizer.json`.
//!
//! Only the few fields of sentencepiece's protocol buffer are read that the conversion uses;
//! the format is public (sentencepiece_model.proto).

use std::path::Path;

use tokenizers::models::unigram::Unigram;
use tokenizers::normalizers::{Precompiled, Replace, Sequence, Strip, replace::ReplacePattern};
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, NormalizerWrapper, Tokenizer};

use crate::error::ModelError;

/// Tokens that T5 has and its sentencepiece model has not: `<extra_id_0>` and so on.
const EXTRA_IDS: u32 = 100;
const SPACE: char = '▁';

/// Reads `path`.
///
/// # Errors
/// The file cannot be read, or is no sentencepiece unigram model with T5's special tokens.
pub(super) fn read(path: &Path) -> Result<Tokenizer, ModelError> {
    let bytes = std::fs::read(path).map_err(ModelError::file(path, "read"))?;
    let wrong = |found: String| ModelError::Content {
        path: path.to_owned(),
        found,
        expected: "the sentencepiece unigram model of T5; download it again".into(),
    };
    let model = Model::parse(&bytes).ok_or_else(|| wrong("it is no whole sentencepiece model".into()))?;
    if model.kind != Model::UNIGRAM {
        return Err(wrong(format!("its model_type is {}", model.kind)));
    }
    model.into_tokenizer().map_err(|error| wrong(format!("it makes no tokenizer ({error})")))
}

/// The fields in use.
#[derive(Debug)]
struct Model {
    pieces: Vec<(String, f64)>,
    kind: u64,
    unknown: u64,
    normalisation: Vec<u8>,
}

impl Model {
    /// `TrainerSpec.ModelType.UNIGRAM`, the default.
    const UNIGRAM: u64 = 1;

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut model =
            Self { pieces: Vec::new(), kind: Self::UNIGRAM, unknown: 0, normalisation: Vec::new() };
        for field in Fields(bytes) {
            match field? {
                (1, Value::Bytes(piece)) => model.pieces.push(parse_piece(piece)?),
                (2, Value::Bytes(trainer)) => {
                    for field in Fields(trainer) {
                        match field? {
                            (3, Value::Number(kind)) => model.kind = kind,
                            (40, Value::Number(unknown)) => model.unknown = unknown,
                            _ => {}
                        }
                    }
                }
                (3, Value::Bytes(normalizer)) => {
                    for field in Fields(normalizer) {
                        if let (2, Value::Bytes(map)) = field? {
                            model.normalisation = map.to_vec();
                        }
                    }
                }
                _ => {}
            }
        }
        (!model.pieces.is_empty()).then_some(model)
    }

    fn into_tokenizer(self) -> tokenizers::Result<Tokenizer> {
        let mut vocabulary = self.pieces;
        // Counted downwards: the first extra id is the last token.
        vocabulary.extend((0..EXTRA_IDS).rev().map(|i| (format!("<extra_id_{i}>"), 0.0)));
        let unigram = Unigram::from(vocabulary, Some(usize::try_from(self.unknown)?), false)?;
        let mut tokenizer = Tokenizer::new(unigram);

        let mut normalizers: Vec<NormalizerWrapper> = Vec::new();
        if !self.normalisation.is_empty() {
            normalizers.push(Precompiled::from(&self.normalisation)?.into());
        }
        normalizers.push(Strip::new(false, true).into());
        normalizers.push(Replace::new(ReplacePattern::Regex(" {2,}".into()), SPACE)?.into());
        tokenizer.with_normalizer(Some(Sequence::new(normalizers)))?;
        tokenizer.with_pre_tokenizer(Some(Metaspace::new(SPACE, PrependScheme::Always, true)));

        let end = tokenizer.token_to_id("</s>").ok_or("it has no piece </s>")?;
        let template = TemplateProcessing::builder()
            .try_single("$A </s>")?
            .special_tokens(vec![("</s>", end)])
            .build()?;
        tokenizer.with_post_processor(Some(template));

        let special = ["<pad>", "</s>", "<unk>"].map(String::from).into_iter();
        let special = special.chain((0..EXTRA_IDS).map(|i| format!("<extra_id_{i}>")));
        tokenizer.add_special_tokens(special.map(|token| AddedToken::from(token, true)))?;
        Ok(tokenizer)
    }
}

fn parse_piece(bytes: &[u8]) -> Option<(String, f64)> {
    let (mut piece, mut score) = (None, 0.0);
    for field in Fields(bytes) {
        match field? {
            (1, Value::Bytes(text)) => piece = Some(std::str::from_utf8(text).ok()?.to_owned()),
            (2, Value::Word(bits)) => score = f64::from(f32::from_bits(bits)),
            _ => {}
        }
    }
    Some((piece?, score))
}

/// A field's value, by its form on the wire.
#[derive(Debug)]
enum Value<'a> {
    Number(u64),
    Word(u32),
    Bytes(&'a [u8]),
    /// Eight bytes: none of the fields in use.
    Other,
}

/// The fields of a protocol buffer, with their numbers. Ends with a `None` item where the
/// bytes are no protocol buffer.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.number()?;
        let value = match key & 7 {
            0 => Value::Number(self.number()?),
            1 => self.take(8).map(|_| Value::Other)?,
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Word(u32::from_le_bytes(self.take(4)?.try_into().ok()?)),
            _ => return None,
        };
        Some((key >> 3, value))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Seven bits a byte, lowest first; the eighth says that more follow.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}
