//! What a decoder needs in memory, declared before it runs and enforced by the codec's limits.

use deltaglider_vcdiff::{DecodeError, DecodeErrorKind, DecodeLimits, Limit};

use crate::domain::metadata::DeltaMetadata;

/// The largest window of an ordinary delta, as this tool and xdelta3 by default write it.
const WINDOW: u64 = 8 << 20;
/// Sections of an ordinary window: all of it new, and half as much for instructions and addresses.
const SECTIONS: u64 = 12 << 20;
/// What the three LZMA sections of an ordinary delta remember, 256 KiB each.
const DICTIONARIES: u64 = 3 * (256 << 10);
/// What they remember at most where windows may be as large as the codec reads them.
const DICTIONARIES_OF_MOST: u64 = 24 << 20;
/// What they remember at most.
const MAX_DICTIONARIES: u64 = 256 << 20;
/// Bytes of the source that a decoder keeps at most.
pub(crate) const SOURCE: u64 = 32 << 20;
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
    /// The largest ordinary delta, and large LZMA dictionaries.
    Dictionaries {
        /// Bytes that the LZMA sections remember together.
        dictionaries: u64,
        /// Whether the delta was already tried with [`Most`](Self::Most).
        after_most: bool,
    },
}

impl DecodeMemory {
    /// The need of a stored delta of `stored` bytes against a reference of `source` bytes, if it is
    /// an ordinary one.
    pub(crate) fn ordinary(delta: &DeltaMetadata, stored: u64, source: Option<u64>) -> Self {
        Self::Ordinary { delta: stored, file: delta.file_size, source: source.unwrap_or(u64::MAX) }
    }

    /// Bytes to reserve.
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::Ordinary { delta, source, .. } => {
                let stored = delta.min(self.sections());
                let pieces = delta.min(IN_FLIGHT);
                self.window()
                    + stored
                    + self.sections()
                    + 2 * DICTIONARIES
                    + source.min(SOURCE)
                    + pieces
                    + FIXED
            }
            Self::Most => u64::MAX,
            Self::Dictionaries { dictionaries, .. } => {
                WINDOW + 2 * SECTIONS + dictionaries + SOURCE + IN_FLIGHT + FIXED
            }
        }
    }

    /// Limits that keep a decoder to it.
    pub(crate) fn limits(self) -> DecodeLimits {
        let mut limits = DecodeLimits::default().with_source_cache(SOURCE);
        limits.window = self.window();
        limits.sections = self.sections();
        limits.dictionary = match self {
            Self::Ordinary { .. } => DICTIONARIES,
            Self::Most => DICTIONARIES_OF_MOST,
            Self::Dictionaries { dictionaries, .. } => dictionaries,
        };
        limits
    }

    /// Returns what to try next where a decoder stopped because its delta needs more than this;
    /// `declared` is the size of the dictionaries that it declares.
    pub(crate) fn after(self, error: &DecodeError, declared: u64) -> Option<Self> {
        let DecodeErrorKind::Limit { limit, .. } = error.kind() else { return None };
        let dictionaries = declared.clamp(DICTIONARIES, MAX_DICTIONARIES);
        match (limit, self) {
            (Limit::Dictionary, Self::Ordinary { .. }) => {
                Some(Self::Dictionaries { dictionaries, after_most: false })
            }
            (Limit::Dictionary, Self::Most) => {
                Some(Self::Dictionaries { dictionaries, after_most: true })
            }
            (
                Limit::Window | Limit::StoredSections | Limit::DecompressedSections,
                Self::Ordinary { .. } | Self::Dictionaries { after_most: false, .. },
            ) => Some(Self::Most),
            _ => None,
        }
    }

    /// Windows of small files are no longer than the file; the content of a packed one may be
    /// longer than that.
    fn window(self) -> u64 {
        match self {
            Self::Ordinary { file, .. } => {
                file.saturating_mul(4).saturating_add(1 << 16).min(WINDOW)
            }
            Self::Most => DecodeLimits::default().window,
            Self::Dictionaries { .. } => WINDOW,
        }
    }

    /// Sections as stored, and as many bytes decompressed. LZMA seldom makes less than an eighth of
    /// what is new.
    fn sections(self) -> u64 {
        match self {
            Self::Ordinary { delta, .. } => {
                delta.saturating_mul(8).saturating_add(1 << 20).min(SECTIONS)
            }
            Self::Most => DecodeLimits::default().sections,
            Self::Dictionaries { .. } => SECTIONS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn largest_dictionaries_take_as_much_as_most() {
        let dictionaries =
            DecodeMemory::Dictionaries { dictionaries: MAX_DICTIONARIES, after_most: false };
        assert!(
            (256 << 20..=325 << 20).contains(&dictionaries.bytes()),
            "{}",
            dictionaries.bytes()
        );
        let limits = DecodeMemory::Most.limits();
        let most = limits.window + 2 * limits.sections + limits.source_cache + limits.dictionary;
        assert!(most <= 320 << 20, "{most}");
    }

    #[test]
    fn small_files_need_little() {
        let small = DecodeMemory::Ordinary { delta: 500, file: 10_000, source: 10_000 };
        assert!(small.bytes() < 4 << 20, "{}", small.bytes());
        let large = DecodeMemory::Ordinary { delta: 1 << 30, file: 2 << 30, source: 2 << 30 };
        assert!((64 << 20..80 << 20).contains(&large.bytes()), "{}", large.bytes());
    }
}
