//! The fields of a certificate that the TLS library reads but does not expose: dates and names.
//!
//! Follows RFC 5280, section 4.1. Anything unexpected makes the whole certificate unreadable, never
//! a guess.

use crate::domain::Timestamp;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// The tags of UTF8String, PrintableString, TeletexString and IA5String: a host name is ASCII in
/// each of them.
const TEXTS: [u8; 4] = [0x0c, 0x13, 0x14, 0x16];
/// The object identifier 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// The object identifier 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// The validity period and the names of a certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Certificate<'a> {
    /// The first second of its validity, since 1970.
    pub(super) not_before: i64,
    /// The last second of its validity, since 1970.
    pub(super) not_after: i64,
    /// The common names of its subject.
    pub(super) common_names: Vec<&'a str>,
    /// Set if it has the extension subjectAltName, which then is the only source of host names.
    pub(super) has_alternative_names: bool,
}

impl<'a> Certificate<'a> {
    /// Parses a certificate in DER; `None` if it is malformed.
    pub(super) fn read(der: &'a [u8]) -> Option<Self> {
        let mut signed = Reader(Reader(der).element(SEQUENCE)?);
        let mut fields = Reader(signed.element(SEQUENCE)?);
        fields.optional(VERSION)?;
        // Skips serial number, algorithm and issuer.
        fields.element(INTEGER)?;
        fields.element(SEQUENCE)?;
        fields.element(SEQUENCE)?;
        let mut validity = Reader(fields.element(SEQUENCE)?);
        let (not_before, not_after) = (validity.time()?, validity.time()?);
        let common_names = common_names(fields.element(SEQUENCE)?)?;
        // Skips the public key.
        fields.element(SEQUENCE)?;
        let mut has_alternative_names = false;
        while !fields.0.is_empty() {
            let (tag, contents) = fields.any()?;
            if tag == EXTENSIONS {
                has_alternative_names = has_extension(contents, SUBJECT_ALT_NAME)?;
            }
        }
        Some(Self { not_before, not_after, common_names, has_alternative_names })
    }
}

fn common_names(subject: &[u8]) -> Option<Vec<&str>> {
    let (mut subject, mut found) = (Reader(subject), Vec::new());
    while !subject.0.is_empty() {
        let mut names = Reader(subject.element(SET)?);
        while !names.0.is_empty() {
            let mut name = Reader(names.element(SEQUENCE)?);
            let kind = name.element(OBJECT_IDENTIFIER)?;
            let (tag, value) = name.any()?;
            if kind == COMMON_NAME && TEXTS.contains(&tag) {
                found.extend(std::str::from_utf8(value).ok());
            }
        }
    }
    Some(found)
}

fn has_extension(extensions: &[u8], wanted: &[u8]) -> Option<bool> {
    let mut extensions = Reader(Reader(extensions).element(SEQUENCE)?);
    let mut found = false;
    while !extensions.0.is_empty() {
        found |= Reader(extensions.element(SEQUENCE)?).element(OBJECT_IDENTIFIER)? == wanted;
    }
    Some(found)
}

/// The unread rest of a sequence of DER elements.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Returns the tag and the contents of the next element.
    fn any(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (len, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x83 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x0f))?;
                (bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (contents, rest) = rest.split_at_checked(len)?;
        self.0 = rest;
        Some((tag, contents))
    }

    /// Returns the contents of the next element, which must have this tag.
    fn element(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.any().filter(|(found, _)| *found == tag).map(|(_, contents)| contents)
    }

    /// Skips an element with this tag, if it is the next.
    fn optional(&mut self, tag: u8) -> Option<()> {
        if self.0.first() == Some(&tag) { self.any().map(drop) } else { Some(()) }
    }

    /// Parses a time, in seconds since 1970 (RFC 5280, section 4.1.2.5: always to the second,
    /// always in UTC).
    fn time(&mut self) -> Option<i64> {
        let (tag, digits) = self.any()?;
        let digits = std::str::from_utf8(digits).ok()?.strip_suffix('Z')?;
        if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (year, rest) = match tag {
            UTC_TIME => {
                let (year, rest) = digits.split_at_checked(2)?;
                (format!("{}{year}", if year < "50" { "20" } else { "19" }), rest)
            }
            GENERALIZED_TIME => {
                digits.split_at_checked(4).map(|(year, rest)| (year.to_owned(), rest))?
            }
            _ => return None,
        };
        let [month, day, hour, minute, second] = [0, 2, 4, 6, 8].map(|at| rest.get(at..at + 2));
        if rest.len() != 10 {
            return None;
        }
        let text = format!("{year}-{}-{}T{}:{}:{}", month?, day?, hour?, minute?, second?);
        Timestamp::parse(&text).map(Timestamp::unix_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, contents: &[u8]) -> Vec<u8> {
        let len = contents.len();
        let len = if len < 128 { vec![len as u8] } else { vec![0x82, (len >> 8) as u8, len as u8] };
        [&[tag], len.as_slice(), contents].concat()
    }

    fn time(tag: u8, text: &str) -> Option<i64> {
        Reader(&der(tag, text.as_bytes())).time()
    }

    /// Returns a certificate with one common name and an invalid signature.
    fn certificate(extensions: &[u8]) -> Vec<u8> {
        let name = [der(OBJECT_IDENTIFIER, COMMON_NAME), der(0x0c, b"store.test")].concat();
        let subject = der(SEQUENCE, &der(SET, &der(SEQUENCE, &name)));
        let dates =
            [der(UTC_TIME, b"260102030405Z"), der(GENERALIZED_TIME, b"20510102030405Z")].concat();
        let fields = [
            der(VERSION, &der(INTEGER, &[2])),
            der(INTEGER, &[1; 20]),
            der(SEQUENCE, &[]),
            der(SEQUENCE, &[]),
            der(SEQUENCE, &dates),
            subject,
            der(SEQUENCE, &[7; 200]),
            der(EXTENSIONS, &der(SEQUENCE, extensions)),
        ];
        der(
            SEQUENCE,
            &[der(SEQUENCE, &fields.concat()), der(SEQUENCE, &[]), der(0x03, &[0; 64])].concat(),
        )
    }

    #[test]
    fn certificate_fields_are_read() {
        let other =
            der(SEQUENCE, &[der(OBJECT_IDENTIFIER, &[0x55, 0x1d, 0x0e]), der(0x04, &[1])].concat());
        let names =
            der(SEQUENCE, &[der(OBJECT_IDENTIFIER, SUBJECT_ALT_NAME), der(0x04, &[1])].concat());
        for (extensions, has_alternative_names) in
            [(other.clone(), false), ([other, names].concat(), true)]
        {
            let der = certificate(&extensions);
            let read = Certificate::read(&der).unwrap();
            assert_eq!((read.not_before, read.not_after), (1_767_323_045, 2_556_241_445));
            assert_eq!(read.common_names, ["store.test"]);
            assert_eq!(read.has_alternative_names, has_alternative_names);
        }
    }

    #[test]
    fn bad_certificates_never_panic() {
        let whole = certificate(&der(SEQUENCE, &der(OBJECT_IDENTIFIER, SUBJECT_ALT_NAME)));
        for len in 0..whole.len() {
            assert_eq!(Certificate::read(&whole[..len]), None, "{len}");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x30, 0x7f, 0x80, 0x83, 0x84, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                let _ = Certificate::read(&damaged);
            }
        }
    }

    #[test]
    fn times_are_exact_or_refused() {
        assert_eq!(time(UTC_TIME, "700101000000Z"), Some(0));
        assert_eq!(time(UTC_TIME, "491231235959Z"), time(GENERALIZED_TIME, "20491231235959Z"));
        assert_eq!(time(GENERALIZED_TIME, "99991231235959Z"), Some(253_402_300_799));
        for odd in [
            "",
            "Z",
            "700101000000",
            "7001010000Z",
            "701301000000Z",
            "700101000000+0000Z",
            "70010100000éZ",
        ] {
            assert_eq!(time(UTC_TIME, odd), None, "{odd}");
        }
        assert_eq!(time(0x0c, "700101000000Z"), None);
    }
}
