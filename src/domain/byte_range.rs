//! A byte range of a file, as in the header `Range` (RFC 9110, section 14.1.2).

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// A range of bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// From this offset on: `bytes=5-`.
    From(u64),
    /// From the first offset to the second, inclusive: `bytes=5-9`.
    Between(u64, u64),
    /// The last bytes, of this number: `bytes=-5`.
    Last(u64),
}

/// A text that is not a byte range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a byte range; expected bytes=0-99, bytes=100- or bytes=-100")]
pub struct ParseByteRangeError(String);

impl ByteRange {
    /// Returns the bytes of the range within a file of `size` bytes; `None` if it has none of them.
    pub fn within(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From(first) => first..size,
            Self::Between(first, last) => first..last.saturating_add(1).min(size),
            Self::Last(count) => size.saturating_sub(count)..size,
        };
        (range.start < range.end).then_some(range)
    }
}

impl FromStr for ByteRange {
    type Err = ParseByteRangeError;

    fn from_str(text: &str) -> Result<Self, ParseByteRangeError> {
        let odd = || ParseByteRangeError(text.to_owned());
        let number = |digits: &str| match digits.bytes().all(|digit| digit.is_ascii_digit()) {
            true => digits.parse::<u64>().map_err(|_| odd()),
            false => Err(odd()),
        };
        let (first, last) =
            text.strip_prefix("bytes=").and_then(|range| range.split_once('-')).ok_or_else(odd)?;
        match (first, last) {
            ("", last) => Ok(Self::Last(number(last)?)),
            (first, "") => Ok(Self::From(number(first)?)),
            (first, last) => match (number(first)?, number(last)?) {
                (first, last) if first <= last => Ok(Self::Between(first, last)),
                _ => Err(odd()),
            },
        }
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From(first) => write!(f, "bytes={first}-"),
            Self::Between(first, last) => write!(f, "bytes={first}-{last}"),
            Self::Last(count) => write!(f, "bytes=-{count}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_follow_rfc_9110() {
        for (text, of_ten) in [
            ("bytes=0-0", Some(0..1)),
            ("bytes=2-4", Some(2..5)),
            ("bytes=8-99", Some(8..10)),
            ("bytes=0-18446744073709551615", Some(0..10)),
            ("bytes=9-", Some(9..10)),
            ("bytes=10-", None),
            ("bytes=-3", Some(7..10)),
            ("bytes=-30", Some(0..10)),
            ("bytes=-0", None),
        ] {
            let range: ByteRange = text.parse().unwrap();
            assert_eq!(range.within(10), of_ten, "{text}");
            assert_eq!(range.to_string(), text);
            assert_eq!(range.within(0), None, "{text}");
        }
    }

    #[test]
    fn invalid_range_is_rejected() {
        for odd in [
            "",
            "0-1",
            "bytes=",
            "bytes=-",
            "bytes=4-2",
            "bytes=+1-2",
            "bytes=1-2,4-5",
            "bytes=a-b",
            "bytes=1",
        ] {
            assert_eq!(odd.parse::<ByteRange>(), Err(ParseByteRangeError(odd.to_owned())));
        }
    }
}
