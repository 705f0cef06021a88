//! Digests that tell whether two plans, or two chunks' parts of them, are the same.
//!
//! Not against forgery: against a source or setting that has changed.

use xxhash_rust::xxh3::Xxh3;

/// Gathers values; strings and lists go in with their lengths, so that no two sequences of values
/// give the same bytes.
#[derive(Clone, Default)]
pub(crate) struct Digest(Xxh3);

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.finish_hex())
    }
}

impl Digest {
    /// Of a value of kind `kind`, so that digests of different kinds differ.
    pub(crate) fn new(kind: &str) -> Self {
        let mut digest = Self::default();
        digest.text(kind);
        digest
    }

    pub(crate) fn number(&mut self, value: u64) -> &mut Self {
        self.0.update(&value.to_le_bytes());
        self
    }

    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.number(value.len() as u64);
        self.0.update(value.as_bytes());
        self
    }

    pub(crate) fn steps(&mut self, steps: &[u32]) -> &mut Self {
        self.number(steps.len() as u64);
        for step in steps {
            self.0.update(&step.to_le_bytes());
        }
        self
    }

    pub(crate) fn finish(&self) -> [u8; 16] {
        self.0.digest128().to_le_bytes()
    }

    pub(crate) fn finish_hex(&self) -> String {
        self.finish().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
