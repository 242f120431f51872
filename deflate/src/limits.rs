//! Limits on what a stream or an archive may cost, with defaults and the reasons for them.

use std::fmt;

/// Limits on the memory and work of a parse. A stream that exceeds one stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The maximum number of plain bytes per compressed byte, beyond the first MiB of plain text.
    /// Default 1040: deflate itself ends at 1032.
    pub ratio: u64,
    /// The maximum plain size of one stream in bytes. Default 16 GiB.
    pub text: u64,
    /// The maximum number of tokens in a block. Default 2^20: zlib writes at most 32,767, 7-Zip
    /// fewer than 2^17.
    pub block_tokens: u64,
    /// The maximum plain size of a block in bytes. Default 16 MiB: zlib writes at most 8 MiB.
    pub block_text: u64,
    /// The maximum number of empty blocks between two bytes of text. Default 4096.
    pub empty_blocks: u64,
    /// The maximum number of entries of a zip file. Default 2^20.
    pub zip_entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            ratio: 1040,
            text: 16 << 30,
            block_tokens: 1 << 20,
            block_text: 16 << 20,
            empty_blocks: 4096,
            zip_entries: 1 << 20,
        }
    }
}

/// Defines a setter for each field.
macro_rules! setters {
    ($($with:ident($field:ident)),* $(,)?) => {
        impl Limits {
            $(
                #[doc = concat!(
                    "Sets [`", stringify!($field), "`](Self::", stringify!($field), ")."
                )]
                #[must_use]
                pub fn $with(mut self, $field: u64) -> Self {
                    self.$field = $field;
                    self
                }
            )*
        }
    };
}

setters! {
    with_ratio(ratio),
    with_text(text),
    with_block_tokens(block_tokens),
    with_block_text(block_text),
    with_empty_blocks(empty_blocks),
    with_zip_entries(zip_entries),
}

/// A field of [`Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// [`Limits::ratio`].
    Ratio,
    /// [`Limits::text`].
    Text,
    /// [`Limits::block_tokens`].
    BlockTokens,
    /// [`Limits::block_text`].
    BlockText,
    /// [`Limits::empty_blocks`].
    EmptyBlocks,
    /// [`Limits::zip_entries`].
    ZipEntries,
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ratio => "plain bytes per compressed byte",
            Self::Text => "plain bytes of a stream",
            Self::BlockTokens => "tokens of a block",
            Self::BlockText => "plain bytes of a block",
            Self::EmptyBlocks => "empty blocks in a row",
            Self::ZipEntries => "entries of a zip file",
        })
    }
}
