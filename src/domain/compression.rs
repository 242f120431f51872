//! The compressions that xdelta3 undoes by itself.

use std::fmt;

/// The number of bytes at the start of a file that [`Compression::of`] examines.
pub const MAGIC_BYTES: usize = 3;

/// A compression that xdelta3 undoes by itself in a source or target.
///
/// Such a file never becomes a reference: the Python tool's xdelta3 would decompress it, and could
/// not decode deltas against the file as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compression {
    /// gzip: letter `G` in an application header.
    Gzip,
    /// bzip2: letter `B`.
    Bzip2,
    /// xz: letter `Y`.
    Xz,
    /// compress(1), `.Z`: letter `Z`.
    Compress,
}

impl Compression {
    /// Detects a compression by the first bytes of a file as xdelta3 3.0.11 does, which tests only
    /// two of the six magic bytes of xz.
    pub fn of(beginning: &[u8]) -> Option<Self> {
        match beginning {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [b'B', b'Z', b'h', ..] => Some(Self::Bzip2),
            [0xfd, 0x37, ..] => Some(Self::Xz),
            [0x1f, 0x9d, ..] => Some(Self::Compress),
            _ => None,
        }
    }

    /// Returns the letter of the compression in an application header.
    pub fn letter(self) -> char {
        match self {
            Self::Gzip => 'G',
            Self::Bzip2 => 'B',
            Self::Xz => 'Y',
            Self::Compress => 'Z',
        }
    }

    /// Returns the compression of the letter behind a name in an application header.
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

    /// The magic bytes of each format that xdelta3 unpacks are known; zip is not one of them.
    #[test]
    fn packed_formats_are_detected() {
        assert_eq!(Compression::of(b"\x1f\x8b\x08"), Some(Compression::Gzip));
        assert_eq!(Compression::of(b"BZh9"), Some(Compression::Bzip2));
        assert_eq!(Compression::of(b"\xfd7zXZ\0"), Some(Compression::Xz));
        assert_eq!(Compression::of(b"\x1f\x9d\x90"), Some(Compression::Compress));
        assert_eq!(Compression::of(b"PK\x03\x04"), None);
        assert_eq!(Compression::of(b"BZ"), None);
        assert_eq!(Compression::of(b""), None);
    }
}
