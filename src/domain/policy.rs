//! Which files are kept as deltas, and which may be what others are deltas against.

use std::fmt;
use std::str::FromStr;

/// Extensions of the Python tool (6.2.0), whose buckets we share.
pub const DEFAULT_DELTA_EXTENSIONS: &[&str] = &[
    ".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".dmg", ".iso", ".pkg", ".deb",
    ".rpm", ".apk", ".jar", ".war", ".ear",
];

/// A shorter file never becomes a reference, in bytes: a delta with its metadata is about as long
/// itself, and the deltaspace would keep that reference for every later file.
pub const MIN_REFERENCE_BYTES: u64 = 256;

/// Bytes of a file's beginning that [`Compression::of`] looks at.
pub const MAGIC_BYTES: usize = 3;

/// Which files are kept as deltas, and how long a delta may be.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy {
    /// The extensions of files that are kept as deltas.
    pub extensions: DeltaExtensions,
    /// The share of a file's size that its delta may have.
    pub max_ratio: MaxRatio,
    /// The folder whose references are used and added to; by default the file's own or, where that
    /// has none and its name a digit in it, the one it is in.
    pub deltaspace: Option<String>,
}

/// The share of a file's size that its delta may have: above 0, at most 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct MaxRatio(f64);

impl MaxRatio {
    /// `None` unless `0 < ratio <= 1`.
    pub fn new(ratio: f64) -> Option<Self> {
        (ratio > 0.0 && ratio <= 1.0).then_some(Self(ratio))
    }

    /// The longest delta a file of `size` bytes may have, in bytes.
    pub fn limit(self, size: u64) -> u64 {
        (size as f64 * self.0) as u64
    }
}

impl Default for MaxRatio {
    /// 0.5, as the Python tool's `DG_MAX_RATIO`.
    fn default() -> Self {
        Self(0.5)
    }
}

impl fmt::Display for MaxRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The text is not a number above 0 and at most 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no ratio: a number above 0 and at most 1")]
pub struct RatioError(String);

impl FromStr for MaxRatio {
    type Err = RatioError;

    fn from_str(text: &str) -> Result<Self, RatioError> {
        text.trim().parse().ok().and_then(Self::new).ok_or_else(|| RatioError(text.to_owned()))
    }
}

/// The extensions whose files are kept as deltas; matched at the end of the name, without regard to
/// case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeltaExtensions(Vec<String>);

impl Default for DeltaExtensions {
    fn default() -> Self {
        Self(DEFAULT_DELTA_EXTENSIONS.iter().map(|&extension| extension.to_owned()).collect())
    }
}

impl DeltaExtensions {
    /// Takes a list such as `.zip,.tar,whl`; the point in front may be left out, and an empty list
    /// stores all files direct.
    pub fn parse(list: &str) -> Self {
        let words = list.split(',').map(str::trim).filter(|word| !word.is_empty());
        Self(
            words
                .map(|word| format!(".{}", word.trim_start_matches('.').to_ascii_lowercase()))
                .collect(),
        )
    }

    /// Whether a file of this name is kept as a delta.
    pub fn covers(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        self.0.iter().any(|extension| name.ends_with(extension.as_str()))
    }
}

/// A compression that xdelta3 undoes by itself when it meets it in a source or target.
///
/// Such a file never becomes a reference: the Python tool's xdelta3 would unpack it, so that no
/// delta against the file as it is could be read there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Letter `G` in an application header.
    Gzip,
    /// Letter `B`.
    Bzip2,
    /// Letter `Y`.
    Xz,
    /// Letter `Z`: `.Z` of compress(1).
    Compress,
}

impl Compression {
    /// By the first bytes, as xdelta3 3.0.11 tests them: it takes two bytes of the six of xz.
    pub fn of(beginning: &[u8]) -> Option<Self> {
        match beginning {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [b'B', b'Z', b'h', ..] => Some(Self::Bzip2),
            [0xfd, 0x37, ..] => Some(Self::Xz),
            [0x1f, 0x9d, ..] => Some(Self::Compress),
            _ => None,
        }
    }

    /// By the letter behind a name in an application header.
    pub fn of_letter(letter: &str) -> Option<Self> {
        match letter {
            "G" => Some(Self::Gzip),
            "B" => Some(Self::Bzip2),
            "Y" => Some(Self::Xz),
            "Z" => Some(Self::Compress),
            _ => None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Compress => "compress",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_match_at_the_end_in_any_case() {
        let default = DeltaExtensions::default();
        for name in ["a.zip", "A.ZIP", "x.tar.gz", "x.Ear", ".deb"] {
            assert!(default.covers(name), "{name}");
        }
        for name in ["a.zip.txt", "zip", "a.whl", "a.tar.zst", ""] {
            assert!(!default.covers(name), "{name}");
        }
        assert!(DeltaExtensions::parse("whl, .IMG").covers("disk.img"));
        assert!(!DeltaExtensions::parse("").covers("a.zip"));
    }

    #[test]
    fn ratios_outside_zero_to_one_are_refused() {
        for text in ["0", "-1", "1.01", "NaN", "half", "", "inf"] {
            assert!(text.parse::<MaxRatio>().is_err(), "{text}");
        }
        assert_eq!("0.25".parse::<MaxRatio>().unwrap().limit(1001), 250);
        assert_eq!(MaxRatio::default().limit(10), 5);
    }

    #[test]
    fn every_magic_that_xdelta3_unpacks_is_known_and_a_zip_is_none() {
        assert_eq!(Compression::of(b"\x1f\x8b\x08"), Some(Compression::Gzip));
        assert_eq!(Compression::of(b"BZh9"), Some(Compression::Bzip2));
        assert_eq!(Compression::of(b"\xfd7zXZ\0"), Some(Compression::Xz));
        assert_eq!(Compression::of(b"\x1f\x9d\x90"), Some(Compression::Compress));
        assert_eq!(Compression::of(b"PK\x03\x04"), None);
        assert_eq!(Compression::of(b"BZ"), None);
        assert_eq!(Compression::of(b""), None);
    }
}
