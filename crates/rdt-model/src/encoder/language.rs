//! Instructions to tokens.

use tch::{Device, Kind, TchError, Tensor};

use crate::device::late;
use crate::error::ModelError;
use crate::random::{self, Stream};

/// Encoded instructions, padded to the longest.
#[derive(Debug)]
pub struct LanguageTokens {
    /// (B, L, width).
    pub tokens: Tensor,
    /// (B, L) bool: true for a real token. Every instruction has at least one.
    pub usable: Tensor,
}

/// A frozen language encoder.
pub trait LanguageEncoder {
    /// Width of a token.
    fn width(&self) -> i64;

    /// Encodes instructions; the empty one is allowed.
    ///
    /// # Errors
    /// The memory is not there.
    fn encode(&self, texts: &[&str]) -> Result<LanguageTokens, ModelError>;

    /// What the log calls it.
    fn describe(&self) -> String;
}

/// Closes every instruction, so that the empty one has a token.
const END: &str = "</s>";

/// An untrained encoder: each word is a normal vector drawn from its hash. Words are what
/// white space separates, without punctuation at their ends, in lower case.
#[derive(Debug)]
pub struct HashedWords {
    width: i64,
    max_tokens: usize,
    seed: u64,
    device: Device,
}

impl HashedWords {
    /// Vectors of `width`, at most `max_tokens` (at least 1) an instruction.
    pub fn new(width: i64, max_tokens: u32, seed: u64, device: Device) -> Self {
        Self { width, max_tokens: max_tokens.max(1) as usize, seed, device }
    }

    fn words(&self, text: &str) -> Vec<String> {
        let mut words: Vec<String> = text
            .split_whitespace()
            .map(|word| word.trim_matches(|c: char| c.is_ascii_punctuation()).to_lowercase())
            .filter(|word| !word.is_empty())
            .collect();
        words.truncate(self.max_tokens - 1);
        words.push(END.into());
        words
    }

    fn vector(&self, word: &str) -> Result<Tensor, TchError> {
        random::normal(self.seed, Stream::Words, fnv1a(word.as_bytes()), &[self.width])
    }
}

impl LanguageEncoder for HashedWords {
    fn width(&self) -> i64 {
        self.width
    }

    fn encode(&self, texts: &[&str]) -> Result<LanguageTokens, ModelError> {
        let words: Vec<Vec<String>> = texts.iter().map(|text| self.words(text)).collect();
        let longest = words.iter().map(Vec::len).max().unwrap_or(1) as i64;
        let count = texts.len() as i64;
        let mut tokens = Tensor::f_zeros([count, longest, self.width], (Kind::Float, Device::Cpu))?;
        let mut usable = Tensor::f_zeros([count, longest], (Kind::Bool, Device::Cpu))?;
        for (i, words) in words.iter().enumerate() {
            let vectors = words.iter().map(|word| self.vector(word)).collect::<Result<Vec<_>, _>>()?;
            let length = vectors.len() as i64;
            tokens.f_get(i as i64)?.f_narrow(0, 0, length)?.f_copy_(&Tensor::f_stack(&vectors, 0)?)?;
            let _ = usable.f_get(i as i64)?.f_narrow(0, 0, length)?.f_fill_(1)?;
        }
        if self.device != Device::Cpu {
            (tokens, usable) = (late::send(&tokens, self.device)?, late::send(&usable, self.device)?);
        }
        Ok(LanguageTokens { tokens, usable })
    }

    fn describe(&self) -> String {
        "hashed_words: untrained, a random vector a word".into()
    }
}

/// FNV-1a: the same on every machine and in every version, unlike the standard library's.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_words_are_equal_vectors_and_padding_is_masked() -> Result<(), ModelError> {
        let encoder = HashedWords::new(8, 4, 5, Device::Cpu);
        let out = encoder.encode(&["Pick the cup.", "the", ""])?;
        assert_eq!(out.tokens.size(), [3, 4, 8]);
        let usable: Vec<bool> = Vec::try_from(out.usable.reshape([-1]))?;
        assert_eq!(usable[..4], [true; 4]);
        assert_eq!(usable[4..8], [true, true, false, false]);
        assert_eq!(usable[8..], [true, false, false, false]);
        assert!(out.tokens.get(0).get(1).equal(&out.tokens.get(1).get(0)));
        assert!(!out.tokens.get(0).get(0).equal(&out.tokens.get(0).get(2)));
        let long = encoder.encode(&["one two three four five six"])?;
        assert_eq!(long.tokens.size(), [1, 4, 8], "at most max_tokens");
        Ok(())
    }
}
