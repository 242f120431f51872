//! XChaCha20-Poly1305, in place and with a separate tag.
//!
//! This is a separate crate because the cipher's code is generic: it is compiled in the crate that
//! uses it, and without optimisation it is two hundred times slower (5 MB/s), too slow for tests of
//! the whole program.

use std::fmt;

use chacha20poly1305::aead::AeadInOut as _;
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305};
use zeroize::Zeroize as _;

/// The length of a key in bytes.
pub const KEY_LEN: usize = 32;
/// The length of a nonce in bytes. A nonce must never be used twice with one key.
pub const NONCE_LEN: usize = 24;
/// The length of a tag in bytes.
pub const TAG_LEN: usize = 16;

/// The reason bytes were neither sealed nor opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AeadError {
    /// There are more than the 256 GiB that one nonce may encrypt.
    TooLong,
    /// The bytes are not those sealed with this key, nonce and context.
    Unauthentic,
}

impl fmt::Display for AeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLong => "too many bytes for one nonce",
            Self::Unauthentic => "the bytes do not authenticate",
        })
    }
}

impl std::error::Error for AeadError {}

/// A key, ready for use. It cannot be printed and is wiped when dropped; moving it leaves no copy.
pub struct Cipher(Box<XChaCha20Poly1305>);

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher(..)")
    }
}

impl Cipher {
    /// Creates a cipher from a key of 32 secret bytes.
    pub fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(Box::new(XChaCha20Poly1305::new(key.into())))
    }

    /// Seals bytes in place, bound to `context`, and returns their tag.
    ///
    /// # Errors
    ///
    /// Fails with [`AeadError::TooLong`] if there are more than 256 GiB.
    pub fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        context: &[u8],
        bytes: &mut [u8],
    ) -> Result<[u8; TAG_LEN], AeadError> {
        let tag = self.0.encrypt_inout_detached(nonce.into(), context, bytes.into());
        tag.map(Into::into).map_err(|_| AeadError::TooLong)
    }

    /// Opens bytes in place. Bytes that do not authenticate are wiped.
    ///
    /// # Errors
    ///
    /// Fails with [`AeadError::Unauthentic`] if the bytes are not those sealed with this key, nonce
    /// and context.
    pub fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        context: &[u8],
        bytes: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), AeadError> {
        let opened =
            self.0.decrypt_inout_detached(nonce.into(), context, (&mut *bytes).into(), tag.into());
        opened.map_err(|_| {
            bytes.zeroize();
            AeadError::Unauthentic
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The test vector of draft-irtf-cfrg-xchacha-03, A.3.1.
    #[test]
    fn published_vector_matches() {
        let text = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip \
            for the future, sunscreen would be it.";
        let context = [0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7];
        let key: [u8; KEY_LEN] = std::array::from_fn(|at| 0x80 + at as u8);
        let nonce: [u8; NONCE_LEN] = std::array::from_fn(|at| 0x40 + at as u8);
        let tag = [
            0xc0, 0x87, 0x59, 0x24, 0xc1, 0xc7, 0x98, 0x79, 0x47, 0xde, 0xaf, 0xd8, 0x78, 0x0a,
            0xcf, 0x49,
        ];
        let cipher = Cipher::new(&key);
        let mut bytes = text.to_vec();
        assert_eq!(cipher.seal(&nonce, &context, &mut bytes).unwrap(), tag);
        assert_eq!(bytes[..8], [0xbd, 0x6d, 0x17, 0x9d, 0x3e, 0x83, 0xd4, 0x3b]);
        cipher.open(&nonce, &context, &mut bytes, &tag).unwrap();
        assert_eq!(bytes, text);
    }

    #[test]
    fn unauthentic_bytes_are_wiped() {
        let cipher = Cipher::new(&[1; KEY_LEN]);
        let mut bytes = *b"secret";
        let tag = cipher.seal(&[2; NONCE_LEN], b"here", &mut bytes).unwrap();
        assert_eq!(
            cipher.open(&[2; NONCE_LEN], b"there", &mut bytes, &tag),
            Err(AeadError::Unauthentic)
        );
        assert_eq!(bytes, [0; 6]);
        assert!(!format!("{cipher:?}").contains('1'));
    }
}
