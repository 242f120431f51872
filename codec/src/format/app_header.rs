//! The application header as xdelta3 writes it: the names of both files, their compression and
//! their digests.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::format::header::Header;

/// The length of a digest in hexadecimal digits.
const DIGEST_DIGITS: usize = 64;

/// One of the files of a delta, as the application header of xdelta3 names it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FileName {
    /// The name, without directory and digest.
    pub name: Vec<u8>,
    /// The BLAKE3 digest of the whole file, which xdelta3 3.2.0 appends to the name ("armor").
    pub blake3: Option<[u8; 32]>,
    /// The compression removed from the file before the delta was made: `G` gzip, `B` bzip2, `Y`
    /// xz, `Z` compress; 3.2.0 may add a level. Empty for a file used as it is.
    pub compression: Vec<u8>,
}

impl FileName {
    fn new(name: &[u8], compression: &[u8]) -> Self {
        let digest = name.split_last_chunk::<DIGEST_DIGITS>().and_then(|(before, digits)| {
            let name = before.strip_suffix(b"#")?;
            Some((name, from_hexadecimal(digits)?))
        });
        let (name, blake3) = digest.map_or((name, None), |(name, digest)| (name, Some(digest)));
        Self { name: name.to_vec(), blake3, compression: compression.to_vec() }
    }
}

fn from_hexadecimal(digits: &[u8; DIGEST_DIGITS]) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        for &digit in pair {
            let value = char::from(digit).to_digit(16)?;
            *byte = *byte << 4 | value as u8;
        }
    }
    Some(bytes)
}

impl Header {
    /// Returns the target and, if any, the source, if the application header is one of xdelta3's:
    /// two or four parts with `/` between them.
    pub fn files(&self) -> Option<(FileName, Option<FileName>)> {
        let parts: Vec<&[u8]> =
            self.application.as_ref()?.splitn(4, |&byte| byte == b'/').collect();
        match *parts.as_slice() {
            [target, compression] => Some((FileName::new(target, compression), None)),
            [target, compression, source, of_source] => {
                Some((FileName::new(target, compression), Some(FileName::new(source, of_source))))
            }
            _ => None,
        }
    }
}
