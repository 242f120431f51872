//! The policy that decides which files are stored as deltas and which may become references.

use std::fmt;
use std::str::FromStr;

use super::packing::PackingChoice;

/// The default extensions of files stored as deltas, as in the Python tool (6.2.0), which shares
/// the buckets.
pub const DEFAULT_DELTA_EXTENSIONS: &[&str] = &[
    ".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar", ".dmg", ".iso", ".pkg", ".deb",
    ".rpm", ".apk", ".jar", ".war", ".ear",
];

/// The minimum size of a reference in bytes. A delta with its metadata is about as long as a
/// shorter file, and the deltaspace would keep that reference for every later file.
pub const MIN_REFERENCE_BYTES: u64 = 256;

/// The rules for storing files as deltas.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy {
    /// The extensions of files that are stored as deltas.
    pub extensions: DeltaExtensions,
    /// The maximum size of a delta, as a share of its file's size.
    pub max_ratio: MaxRatio,
    /// The folder whose references are used and extended. By default it is the file's own folder,
    /// or the parent of that if it has no reference and its name contains a digit.
    pub deltaspace: Option<String>,
    /// The packing of new references.
    pub packing: PackingChoice,
}

/// The maximum size of a delta, as a share of its file's size: above 0, at most 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct MaxRatio(f64);

impl MaxRatio {
    /// Creates a ratio; `None` unless `0 < ratio <= 1`.
    pub fn new(ratio: f64) -> Option<Self> {
        (ratio > 0.0 && ratio <= 1.0).then_some(Self(ratio))
    }

    /// Returns the maximum size in bytes of a delta for a file of `size` bytes.
    pub fn limit(self, size: u64) -> u64 {
        (size as f64 * self.0) as u64
    }
}

impl Default for MaxRatio {
    /// Returns 0.5, the default of the Python tool's `DG_MAX_RATIO`.
    fn default() -> Self {
        Self(0.5)
    }
}

impl fmt::Display for MaxRatio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is not a number above 0 and at most 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a ratio; expected a number above 0 and at most 1")]
pub struct RatioError(String);

impl FromStr for MaxRatio {
    type Err = RatioError;

    fn from_str(text: &str) -> Result<Self, RatioError> {
        text.trim().parse().ok().and_then(Self::new).ok_or_else(|| RatioError(text.to_owned()))
    }
}

/// The extensions of files stored as deltas, matched at the end of the name without regard to case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeltaExtensions(Vec<String>);

impl Default for DeltaExtensions {
    fn default() -> Self {
        Self(DEFAULT_DELTA_EXTENSIONS.iter().map(|&extension| extension.to_owned()).collect())
    }
}

impl DeltaExtensions {
    /// Parses a list such as `.zip,.tar,whl`. The leading dot is optional; with an empty list all
    /// files are stored as they are.
    pub fn parse(list: &str) -> Self {
        let words = list.split(',').map(str::trim).filter(|word| !word.is_empty());
        Self(
            words
                .map(|word| format!(".{}", word.trim_start_matches('.').to_ascii_lowercase()))
                .collect(),
        )
    }

    /// Returns whether a file of this name is stored as a delta.
    pub fn covers(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        self.0.iter().any(|extension| name.ends_with(extension.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_ignore_case() {
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
    fn ratio_range_is_enforced() {
        for text in ["0", "-1", "1.01", "NaN", "half", "", "inf"] {
            assert!(text.parse::<MaxRatio>().is_err(), "{text}");
        }
        assert_eq!("0.25".parse::<MaxRatio>().unwrap().limit(1001), 250);
        assert_eq!(MaxRatio::default().limit(10), 5);
    }
}
