//! Memory limits of a decoder, declared before it runs and enforced by the codec's limits.

use deltaglider_vcdiff::{DecodeError, DecodeErrorKind, DecodeLimits, Limit};

use crate::domain::metadata::DeltaMetadata;

/// The maximum number of bytes of a window in an ordinary delta, as this tool and xdelta3 by
/// default write it.
const WINDOW: u64 = 8 << 20;
/// The maximum number of bytes of an ordinary window's sections: all of it new data, and half as
/// much for instructions and addresses.
const SECTIONS: u64 = 12 << 20;
/// The number of bytes in the dictionaries of an ordinary delta's three LZMA sections, 256 KiB
/// each.
const DICTIONARIES: u64 = 3 * (256 << 10);
/// The maximum number of bytes in these dictionaries where windows have the codec's maximum size.
const DICTIONARIES_OF_MOST: u64 = 24 << 20;
/// The maximum number of bytes in these dictionaries.
const MAX_DICTIONARIES: u64 = 256 << 20;
/// The maximum number of bytes of the source that a decoder caches.
const SOURCE: u64 = 32 << 20;
/// The number of bytes of the stored delta in flight to the decoder.
const IN_FLIGHT: u64 = 2 << 20;
/// The number of bytes of fixed size: LZMA probabilities, chunks of the cache, a stack.
const FIXED: u64 = 1 << 20;

/// The memory limit of one decoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecodeMemory {
    /// The need of an ordinary delta of this size.
    Ordinary {
        /// Bytes of the stored delta.
        delta: u64,
        /// Bytes of the file.
        file: u64,
        /// Bytes of the reference.
        source: u64,
    },
    /// The codec's own limits; a decoder with them runs alone.
    Most,
    /// The need of the largest ordinary delta with large LZMA dictionaries.
    Dictionaries {
        /// The number of bytes in all LZMA dictionaries together.
        dictionaries: u64,
        /// The delta was already tried with [`Most`](Self::Most).
        after_most: bool,
    },
}

impl DecodeMemory {
    /// Returns the limit for an ordinary delta of `stored` bytes against a reference of `source`
    /// bytes.
    pub(crate) fn ordinary(delta: &DeltaMetadata, stored: u64, source: Option<u64>) -> Self {
        Self::Ordinary { delta: stored, file: delta.file_size, source: source.unwrap_or(u64::MAX) }
    }

    /// Returns the number of bytes to reserve.
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

    /// Returns the codec limits that keep a decoder within this memory.
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

    /// Returns the next limit to try after a decoder reached this one; `declared` is the number of
    /// bytes in the dictionaries that the delta declares.
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

    /// Returns the maximum window size in bytes. Windows of small files are no longer than the
    /// file; the content of a compressed file may be longer than the file.
    fn window(self) -> u64 {
        match self {
            Self::Ordinary { file, .. } => {
                file.saturating_mul(4).saturating_add(1 << 16).min(WINDOW)
            }
            Self::Most => DecodeLimits::default().window,
            Self::Dictionaries { .. } => WINDOW,
        }
    }

    /// Returns the maximum number of bytes of a window's sections, stored and, as many again,
    /// decompressed. LZMA seldom shrinks new data below an eighth.
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
    fn decode_memory_is_bounded() {
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
