//! The one door to the decoders of secondary compressors: their states, kept for the whole file, one per section kind.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::lzma::decode::LzmaDecoder;
use crate::error::{DecodeErrorKind, Fault, Feature, Field, Limit, Section};
use crate::format::header::{SECONDARY_DJW, SECONDARY_FGK, SECONDARY_LZMA};
use crate::format::varint;
use crate::limits::DecodeLimits;

/// Decompresses the sections of one delta in their order.
#[derive(Debug)]
pub(crate) enum SectionDecoder {
    Lzma { data: LzmaDecoder, instructions: LzmaDecoder, addresses: LzmaDecoder },
}

impl SectionDecoder {
    /// The decoder for the compressor id of the file header.
    pub(crate) fn new(id: u8, limits: &DecodeLimits) -> Result<Self, Fault> {
        match id {
            SECONDARY_LZMA => {
                let decoder = || LzmaDecoder::new(limits.dictionary);
                Ok(Self::Lzma { data: decoder(), instructions: decoder(), addresses: decoder() })
            }
            SECONDARY_DJW => Err(DecodeErrorKind::Unsupported(Feature::Djw).into()),
            SECONDARY_FGK => Err(DecodeErrorKind::Unsupported(Feature::Fgk).into()),
            other => Err(DecodeErrorKind::UnknownSecondary(other).into()),
        }
    }

    /// Frees the sections of the last window.
    pub(crate) fn forget(&mut self) {
        let Self::Lzma { data, instructions, addresses } = self;
        for decoder in [data, instructions, addresses] {
            decoder.forget();
        }
    }

    /// Decompresses the next compressed section of its kind; it stays until [`forget`](Self::forget). With `before` bytes
    /// decompressed for the same window it may give as much as is `allowed` altogether.
    pub(crate) fn decode(&mut self, section: Section, stored: &[u8], before: u64, allowed: u64) -> Result<(), Fault> {
        let (len, used) = varint::read_bounded(stored, 32)
            .map_err(|_| DecodeErrorKind::IntegerOverflow(Field::DecompressedLength(section)))?
            .ok_or(DecodeErrorKind::SectionEnds(section))?;
        Limit::DecompressedSections.check(before.saturating_add(len), allowed)?;
        let Self::Lzma { data, instructions, addresses } = self;
        let decoder = match section {
            Section::Data => data,
            Section::Instructions => instructions,
            Section::Addresses => addresses,
        };
        decoder.decode(stored.get(used..).unwrap_or_default(), len as usize)
    }

    /// The section [`decode`](Self::decode) made last.
    pub(crate) fn decoded(&self, section: Section) -> &[u8] {
        let Self::Lzma { data, instructions, addresses } = self;
        match section {
            Section::Data => data,
            Section::Instructions => instructions,
            Section::Addresses => addresses,
        }
        .decoded()
    }
}
