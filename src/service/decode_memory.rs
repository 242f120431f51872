//! What a decoder needs in memory, declared before it runs and enforced by the codec's limits.

use deltaglider_vcdiff::{DecodeError, DecodeErrorKind, DecodeLimits, Limit};

use crate::domain::metadata::DeltaMetadata;

/// The largest window of an ordinary delta, as this tool and xdelta3 by default write it.
const WINDOW: u64 = 8 << 20;
/// Sections of an ordinary window: all of it new, and half as much for instructions and addresses.
const SECTIONS: u64 = 12 << 20;
/// The dictionary of each of the three LZMA sections of an ordinary delta.
const DICTIONARY: u64 = 256 << 10;
/// Bytes of the source that a decoder keeps at most.
const SOURCE: u64 = 32 << 20;
/// Pieces of the stored delta on their way to the decoder.
const IN_FLIGHT: u64 = 2 << 20;
/// Everything of fixed size: probabilities of LZMA, chunks of the cache, a stack.
const FIXED: u64 = 1 << 20;

/// What one decoder may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecodeMemory {
    /// What an ordinary delta of this size needs.
    Ordinary {
        /// Bytes of the stored delta.
        delta: u64,
        /// Bytes of the file.
        file: u64,
        /// Bytes of the reference.
        source: u64,
    },
    /// What the codec's own limits allow; for this a decoder runs alone.
    Most,
}

impl DecodeMemory {
    /// The need of a stored delta of `stored` bytes against a reference of `source` bytes, if it is an ordinary one.
    pub(crate) fn ordinary(delta: &DeltaMetadata, stored: u64, source: Option<u64>) -> Self {
        Self::Ordinary { delta: stored, file: delta.file_size, source: source.unwrap_or(u64::MAX) }
    }

    /// Bytes to reserve.
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::Ordinary { delta, source, .. } => {
                let stored = delta.min(self.sections());
                let pieces = delta.min(IN_FLIGHT);
                self.window() + stored + self.sections() + 6 * DICTIONARY + source.min(SOURCE) + pieces + FIXED
            }
            Self::Most => u64::MAX,
        }
    }

    /// Limits that keep a decoder to it.
    pub(crate) fn limits(self) -> DecodeLimits {
        let mut limits = DecodeLimits::default().with_source_cache(SOURCE);
        if matches!(self, Self::Ordinary { .. }) {
            limits.window = self.window();
            limits.sections = self.sections();
            limits.dictionary = DICTIONARY;
        }
        limits
    }

    /// Returns whether a decoder stopped because its delta is not as ordinary as that.
    pub(crate) fn is_exceeded_by(self, error: &DecodeError) -> bool {
        let DecodeErrorKind::Limit { limit, .. } = error.kind() else { return false };
        let of_memory =
            matches!(limit, Limit::Window | Limit::StoredSections | Limit::DecompressedSections | Limit::Dictionary);
        of_memory && self != Self::Most
    }

    /// Windows of small files are no longer than the file; the content of a packed one may be longer than that.
    fn window(self) -> u64 {
        match self {
            Self::Ordinary { file, .. } => file.saturating_mul(4).saturating_add(1 << 16).min(WINDOW),
            Self::Most => DecodeLimits::default().window,
        }
    }

    /// Sections as stored, and as many bytes decompressed. LZMA seldom makes less than an eighth of what is new.
    fn sections(self) -> u64 {
        match self {
            Self::Ordinary { delta, .. } => delta.saturating_mul(8).saturating_add(1 << 20).min(SECTIONS),
            Self::Most => DecodeLimits::default().sections,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_need_little() {
        let small = DecodeMemory::Ordinary { delta: 500, file: 10_000, source: 10_000 };
        assert!(small.bytes() < 4 << 20, "{}", small.bytes());
        let large = DecodeMemory::Ordinary { delta: 1 << 30, file: 2 << 30, source: 2 << 30 };
        assert!((64 << 20..80 << 20).contains(&large.bytes()), "{}", large.bytes());
    }
}
