//! The decoder of compressed sections. It keeps the states of the secondary compressors for the
//! whole file, one per section kind.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use super::djw::decode::decode_section;
use super::fgk::Tree;
use super::lzma::decode::LzmaDecoder;
use crate::error::{DecodeErrorKind, Fault, Field, HuffmanFault, Limit, Section};
use crate::format::header::{SECONDARY_DJW, SECONDARY_FGK, SECONDARY_LZMA};
use crate::format::varint;
use crate::limits::DecodeLimits;

/// A decoder for the sections of one delta in their order.
#[derive(Debug)]
pub(crate) struct SectionDecoder {
    data: Kind,
    instructions: Kind,
    addresses: Kind,
    /// The number of bytes that LZMA sections may remember together.
    dictionary: usize,
}

/// The number of bytes by which that may be exceeded, so that not every short section moves the
/// remembered ones.
const SLACK: usize = 2 << 20;

/// The number of bytes allocated for LZMA sections that stay allocated between windows: enough for
/// those of a window of the default size, which would otherwise be allocated anew for each.
const MAX_SPARE: usize = 16 << 20;

/// The decoder of one kind of section, and the section it decoded last.
#[derive(Debug)]
enum Kind {
    Lzma(LzmaDecoder),
    Djw(Vec<u8>),
    Fgk(Box<Tree>, Vec<u8>),
}

impl SectionDecoder {
    /// Returns the decoder for the compressor id of the file header.
    pub(crate) fn new(id: u8, limits: &DecodeLimits) -> Result<Self, Fault> {
        let kind = || match id {
            SECONDARY_LZMA => Ok(Kind::Lzma(LzmaDecoder::new(limits.dictionary))),
            SECONDARY_DJW => Ok(Kind::Djw(Vec::new())),
            SECONDARY_FGK => Ok(Kind::Fgk(Box::new(Tree::new()), Vec::new())),
            other => Err(DecodeErrorKind::UnknownSecondary(other)),
        };
        let dictionary = usize::try_from(limits.dictionary).unwrap_or(usize::MAX);
        Ok(Self { data: kind()?, instructions: kind()?, addresses: kind()?, dictionary })
    }

    /// Frees the sections of the last window.
    pub(crate) fn forget(&mut self) {
        for kind in [&mut self.data, &mut self.instructions, &mut self.addresses] {
            match kind {
                Kind::Lzma(decoder) => decoder.forget(),
                Kind::Djw(decoded) | Kind::Fgk(_, decoded) => *decoded = Vec::new(),
            }
        }
        let allowed = self.dictionary;
        let mut decoders = self.lzma();
        if decoders.iter().map(|decoder| decoder.spare()).sum::<usize>() > MAX_SPARE {
            decoders.iter_mut().for_each(|decoder| decoder.shrink());
        }
        let mut excess = decoders
            .iter()
            .map(|decoder| decoder.remembered())
            .sum::<usize>()
            .saturating_sub(allowed);
        if excess <= allowed.min(SLACK) {
            return;
        }
        decoders.sort_by_key(|decoder| std::cmp::Reverse(decoder.remembered()));
        for decoder in decoders {
            let len = excess.min(decoder.remembered());
            decoder.forget_oldest(len);
            excess = excess.saturating_sub(len);
        }
    }

    fn lzma(&mut self) -> Vec<&mut LzmaDecoder> {
        [&mut self.data, &mut self.instructions, &mut self.addresses]
            .into_iter()
            .filter_map(|kind| if let Kind::Lzma(decoder) = kind { Some(decoder) } else { None })
            .collect()
    }

    /// Returns the sizes of the dictionaries that the LZMA sections so far declare, added up.
    pub(crate) fn declared(&self) -> u64 {
        let declared =
            |kind: &Kind| if let Kind::Lzma(decoder) = kind { decoder.declared() } else { 0 };
        [&self.data, &self.instructions, &self.addresses]
            .into_iter()
            .map(declared)
            .fold(0, u64::saturating_add)
    }

    /// Decompresses the next compressed section of its kind and keeps it until
    /// [`forget`](Self::forget). With `before` bytes already decompressed for the same window, the
    /// total may not exceed `allowed`.
    pub(crate) fn decode(
        &mut self,
        section: Section,
        stored: &[u8],
        before: u64,
        allowed: u64,
    ) -> Result<(), Fault> {
        let (len, used) = varint::read_bounded(stored, 32)
            .map_err(|_| DecodeErrorKind::IntegerOverflow(Field::DecompressedLength(section)))?
            .ok_or(DecodeErrorKind::SectionEnds(section))?;
        Limit::DecompressedSections.check(before.saturating_add(len), allowed)?;
        let stored = stored.get(used..).unwrap_or_default();
        let len = len as usize;
        let kind = match section {
            Section::Data => &mut self.data,
            Section::Instructions => &mut self.instructions,
            Section::Addresses => &mut self.addresses,
        };
        match kind {
            Kind::Lzma(decoder) => decoder.decode(stored, len),
            Kind::Djw(decoded) => {
                *decoded = empty_section(len, stored)?;
                decode_section(stored, len, decoded)
            }
            Kind::Fgk(tree, decoded) => {
                *decoded = empty_section(len, stored)?;
                tree.decode_section(stored, len, decoded)
            }
        }
    }

    /// Returns the section that [`decode`](Self::decode) decompressed last.
    pub(crate) fn decoded(&self, section: Section) -> &[u8] {
        let kind = match section {
            Section::Data => &self.data,
            Section::Instructions => &self.instructions,
            Section::Addresses => &self.addresses,
        };
        match kind {
            Kind::Lzma(decoder) => decoder.decoded(),
            Kind::Djw(decoded) | Kind::Fgk(_, decoded) => decoded,
        }
    }
}

/// Returns an empty vector for a Huffman coded section: every byte of it takes at least one bit.
fn empty_section(len: usize, stored: &[u8]) -> Result<Vec<u8>, Fault> {
    if len == 0 {
        return Err(HuffmanFault::Empty.into());
    }
    if len > stored.len().saturating_mul(u8::BITS as usize) {
        return Err(HuffmanFault::Ends.into());
    }
    let mut decoded = Vec::new();
    decoded
        .try_reserve_exact(len)
        .map_err(|_| DecodeErrorKind::OutOfMemory { asked: len as u64 })?;
    Ok(decoded)
}
