//! The key of a cache and the keys derived from it. Keys cannot be printed and are wiped when
//! dropped.

use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use deltaglider_aead::{Cipher, KEY_LEN};
use hkdf::Hkdf;
use hkdf::hmac::{Hmac, KeyInit as _, Mac as _};
use rand::TryRng as _;
use rand::rngs::SysRng;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::domain::Sha256Digest;

// One label for each use: a leaked subkey reveals nothing about another.
const NAMES: &[u8] = b"deltaglider cache 1: names";
const FOLDER: &[u8] = b"deltaglider cache 1: folder";
const SEALING: &[u8] = b"deltaglider cache 1: sealing";
const ENTRY: &[u8] = b"deltaglider cache 1: entry";

/// The encoding of Fernet keys and of `openssl rand -base64 32`, with or without padding.
const TEXT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// 32 secret bytes at a fixed place on the heap: only their address moves. Moving the bytes would
/// leave a copy on the stack, and a value created there later would carry the copy to the heap in
/// its padding.
type Secret = Box<Zeroizing<[u8; KEY_LEN]>>;

/// The reason why a text is not a key. It never contains the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The text is not base64.
    #[error("it is not base64, standard or URL-safe")]
    NotBase64,
    /// The text decodes to this many bytes, too few or too many.
    #[error("decoded key has {0} bytes, expected {KEY_LEN}")]
    Length(usize),
}

/// The 32 secret bytes from which a cache derives its entry names and encryption keys.
#[derive(Clone)]
pub struct CacheKey(Secret);

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CacheKey(..)")
    }
}

impl CacheKey {
    /// Returns a random key from the operating system.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = Secret::default();
        fill_random(&mut **bytes)?;
        Ok(Self(bytes))
    }

    /// Parses 32 bytes in base64, standard or URL-safe, padded or not. Surrounding white space is
    /// ignored.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        let alphabet =
            if text.contains(['-', '_']) { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
        let bytes = GeneralPurpose::new(alphabet, TEXT).decode(text).map(Zeroizing::new);
        let bytes = bytes.map_err(|_| KeyError::NotBase64)?;
        let mut key = Secret::default();
        if bytes.len() != key.len() {
            return Err(KeyError::Length(bytes.len()));
        }
        key.copy_from_slice(&bytes);
        Ok(Self(key))
    }

    /// Derives the keys that a cache works with.
    pub(super) fn derive(&self) -> DerivedKeys {
        DerivedKeys {
            names: expand(None, &self.0, NAMES),
            folder: expand(None, &self.0, FOLDER),
            sealing: expand(None, &self.0, SEALING),
        }
    }
}

/// The keys derived from a [`CacheKey`], one for each use.
pub(super) struct DerivedKeys {
    names: Secret,
    folder: Secret,
    sealing: Secret,
}

impl fmt::Debug for DerivedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DerivedKeys(..)")
    }
}

impl DerivedKeys {
    /// Returns the name of the entry with this content. Without the key it reveals nothing.
    pub(super) fn name(&self, digest: &Sha256Digest) -> EntryName {
        EntryName(keyed_digest(&self.names, digest.as_bytes()))
    }

    /// Returns the name of the directory for everything under this key.
    pub(super) fn folder_name(&self) -> String {
        let mut name = hex(&keyed_digest(&self.folder, b"folder"));
        name.truncate(16);
        name
    }

    /// Returns the cipher of one entry, whose key depends on the entry's salt.
    pub(super) fn entry_cipher(&self, salt: &[u8; KEY_LEN]) -> Cipher {
        Cipher::new(&expand(Some(salt), &self.sealing, ENTRY))
    }
}

/// A keyed digest of a content's SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct EntryName([u8; KEY_LEN]);

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

/// Fills `bytes` with unpredictable bytes from the operating system.
pub(super) fn fill_random(bytes: &mut [u8]) -> std::io::Result<()> {
    SysRng.try_fill_bytes(bytes).map_err(std::io::Error::other)
}

#[allow(
    clippy::expect_used,
    reason = "HKDF-SHA256 fails only for more than 255 * 32 bytes; these are 32"
)]
fn expand(salt: Option<&[u8]>, secret: &Secret, label: &[u8]) -> Secret {
    let mut key = Secret::default();
    Hkdf::<Sha256>::new(salt, &***secret)
        .expand(label, &mut **key)
        .expect("32 bytes are few enough");
    key
}

#[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
fn keyed_digest(key: &Secret, bytes: &[u8]) -> [u8; KEY_LEN] {
    let mut mac = Hmac::<Sha256>::new_from_slice(&***key).expect("32 bytes are a key");
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDARD: &str = "++++////AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    const URL_SAFE: &str = "----____AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

    /// Both alphabets parse, with and without padding and surrounding white space.
    #[test]
    fn both_base64_alphabets_parse() {
        for text in [STANDARD, URL_SAFE, STANDARD.trim_end_matches('='), &format!(" {URL_SAFE}\n")]
        {
            assert_eq!(
                *CacheKey::parse(text).unwrap().0,
                *CacheKey::parse(STANDARD).unwrap().0,
                "{text}"
            );
        }
        assert_eq!(CacheKey::parse(STANDARD).unwrap().0[..3], [0xfb, 0xef, 0xbe]);
    }

    #[test]
    fn invalid_key_is_rejected() {
        for (text, error) in [
            ("", KeyError::Length(0)),
            ("c2hvcnQ=", KeyError::Length(5)),
            (&format!("AAAA{STANDARD}"), KeyError::Length(35)),
            ("correct horse battery staple", KeyError::NotBase64),
            (&STANDARD.replace('A', "-"), KeyError::NotBase64),
        ] {
            assert_eq!(CacheKey::parse(text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn a_key_cannot_be_printed() {
        let key = CacheKey(Box::new(Zeroizing::new([0xa7; KEY_LEN])));
        let shown = format!("{key:?} {key:#?} {:?}", key.derive());
        for secret in ["167", "a7", "A7", "p6en"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    /// Each use has its own key; names depend on the content and on the key.
    #[test]
    fn derived_keys_and_names_differ() {
        let keys = CacheKey(Box::new(Zeroizing::new([7; KEY_LEN]))).derive();
        assert!(
            *keys.names != *keys.sealing
                && *keys.names != *keys.folder
                && *keys.folder != *keys.sealing
        );
        let (a, b) = (Sha256Digest::of(b"a"), Sha256Digest::of(b"b"));
        let other = CacheKey(Box::new(Zeroizing::new([8; KEY_LEN]))).derive();
        assert_eq!(keys.name(&a), keys.name(&a));
        assert!(keys.name(&a) != keys.name(&b) && keys.name(&a) != other.name(&a));
        assert!(keys.folder_name() != other.folder_name());
        assert_eq!(keys.name(&a).to_string().len(), 2 * KEY_LEN);
        assert!(!keys.name(&a).to_string().contains(&a.to_string()[..8]));
    }

    #[test]
    fn random_keys_differ() {
        assert!(*CacheKey::random().unwrap().0 != *CacheKey::random().unwrap().0);
    }

    /// Counts the places on this thread's stack, in use or not, that hold the complement of these
    /// bytes. (The bytes themselves would be found.)
    #[cfg(target_os = "linux")]
    fn on_the_stack(complement: [u8; 8]) -> usize {
        use std::os::unix::fs::FileExt as _;
        let here = (&raw const complement).addr();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let bounds = maps.lines().filter_map(|line| line.split(' ').next()?.split_once('-'));
        let mut bounds =
            bounds.map(|(from, to)| [from, to].map(|at| usize::from_str_radix(at, 16).unwrap()));
        let [from, to] = bounds.find(|[from, to]| (from..to).contains(&&here)).unwrap();
        let mut stack = vec![0; to - from];
        std::fs::File::open("/proc/self/mem")
            .unwrap()
            .read_exact_at(&mut stack, from as u64)
            .unwrap();
        stack
            .windows(8)
            .filter(|bytes| bytes.iter().zip(complement).all(|(byte, other)| *byte == !other))
            .count()
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn no_key_remains_on_stack() {
        let complement = [0x89, 0x67, 0x45, 0x23, 0x01, 0xef, 0xcd, 0xab];
        let key = || CacheKey::parse("dpi63P4QMlR2mLrc/hAyVHaYutz+EDJUdpi63P4QMlQ=").unwrap();
        drop(key().derive());
        assert_eq!(on_the_stack(complement), 0, "copies of the key");
        let derived = DerivedKeys { names: key().0, folder: key().0, sealing: key().0 };
        drop(derived.entry_cipher(&[1; KEY_LEN]));
        assert_eq!(on_the_stack(complement), 0, "copies of the sealing key");
        let _ = derived.name(&Sha256Digest::of(b"content"));
        assert_eq!(on_the_stack(complement), 0, "copies of the key of names");
        drop(derived);
        // Positive control: the scan finds a copy that is there.
        let raw = std::hint::black_box(complement.map(|byte| !byte));
        assert_ne!(on_the_stack(complement), 0, "{raw:?}");
    }
}
