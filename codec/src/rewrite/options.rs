//! Options of rewriting.

use crate::setters::setters;
use crate::{DecodeLimits, Secondary};

/// Settings of [`recode`](super::recode()) and [`merge`](super::merge()).
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RecodeOptions {
    /// `-S`: the secondary compressor. Default: LZMA, as with xdelta3.
    pub secondary: Secondary,
    /// As in [`EncodeOptions::undecodable`](crate::EncodeOptions::undecodable).
    pub undecodable: bool,
    /// If `true`, the windows lose their checksums (`-n`). Default: no.
    pub drop_checksums: bool,
    /// `-A`: the application header, `Some(None)` for none. By default recoding keeps the existing
    /// one, and merging writes none.
    pub application_header: Option<Option<Vec<u8>>>,
    /// The limits on what the deltas read may ask for.
    pub limits: DecodeLimits,
}

setters! {
    RecodeOptions {
        with_secondary(secondary: Secondary),
        with_undecodable(undecodable: bool),
        with_drop_checksums(drop_checksums: bool),
        with_application_header(application_header: Option<Vec<u8>>) => Some,
        with_limits(limits: DecodeLimits),
    }
}
