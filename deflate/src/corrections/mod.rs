//! Differences between a segment's blocks and what a rule expects.

pub(crate) mod blocks;
pub(crate) mod header;
pub(crate) mod make;
pub(crate) mod tokens;
pub(crate) mod varint;
pub(crate) mod walker;

pub use make::corrections;

use crate::error::RebuildError;
use crate::rules::Rule;
use varint::{Fields, put};

/// A rule and the constants of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// The rule.
    pub rule: Rule,
    /// The number of bytes of text after which the compressor is flushed each time, as pigz does
    /// for its blocks; 0 for never.
    pub flush_every: u32,
}

impl From<Rule> for Method {
    fn from(rule: Rule) -> Self {
        Self { rule, flush_every: 0 }
    }
}

/// The corrections of a segment: none if the rule expects it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Corrections {
    /// Corrected tokens.
    pub(crate) tokens: Vec<u8>,
    /// Records of blocks.
    pub(crate) blocks: Vec<u8>,
}

impl Corrections {
    /// Returns `true` if the rule expects the segment as it is.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.blocks.is_empty()
    }

    /// Returns the corrections as bytes, none if there are no corrections.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if !self.is_empty() {
            put(&mut bytes, self.tokens.len() as u64);
            bytes.extend(&self.tokens);
            bytes.extend(&self.blocks);
        }
        bytes
    }

    /// Reads corrections.
    ///
    /// # Errors
    ///
    /// Fails if the bytes are truncated. Whether the corrections make sense shows in [`rebuild`].
    ///
    /// [`rebuild`]: crate::rebuild()
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RebuildError> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let mut fields = Fields(bytes);
        let len = fields.size()?;
        Ok(Self { tokens: fields.bytes(len)?.to_vec(), blocks: fields.0.to_vec() })
    }
}
