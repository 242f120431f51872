//! Options of rewriting.

use crate::{DecodeLimits, Secondary};

/// What [`recode`] and [`merge`](crate::merge()) write.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RecodeOptions {
    /// `-S`. Default: LZMA, as with xdelta3.
    pub secondary: Secondary,
    /// As in [`EncodeOptions::undecodable`](crate::EncodeOptions::undecodable).
    pub undecodable: bool,
    /// Whether the windows lose their checksums (`-n`). Default: no.
    pub drop_checksums: bool,
    /// `-A`: the application header, `Some(None)` for none. By default recoding keeps what there is, and merging writes none.
    pub application_header: Option<Option<Vec<u8>>>,
    /// What the deltas read may ask for.
    pub limits: DecodeLimits,
}
