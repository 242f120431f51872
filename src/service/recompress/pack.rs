//! Packs references by numbered rules: the same content always gives the same bytes, so that a lost
//! reference can be made again from any file of its content, and two writers make the same object.
//!
//! A rule's bytes never change; another choice gets another number. The content is cut into pieces,
//! each packed by itself, so that they are packed on several cores and unpacked one after another
//! by any program of the format.

use std::io::{self, Read as _, Write as _};
use std::sync::Arc;
use std::thread;

use deltaglider_vcdiff::Source as _;
use flate2::Compression as Effort;
use flate2::write::DeflateEncoder;

use super::{Packer, Setting, unpack};
use crate::domain::Compression;
use crate::domain::packing::{RefPacking, StoredForm};
use crate::domain::{Sha256Digest, Sha256Hasher};
use crate::service::blocking::{self, Cancelled};
use crate::service::error::ServiceError;
use crate::service::payload::Payload;
use crate::service::spool::Spool;

/// A rule by which references are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    form: Compression,
    number: u32,
    setting: Setting,
    /// The number of bytes of content in each piece but the last.
    piece: usize,
    /// The maximum number of threads, for their memory.
    threads: usize,
}

/// gzip/1: each 4 MiB of content as `gzip -6n` packs it. Level 9 takes three times as long and
/// saves one per cent.
const GZIP_1: Rule = Rule {
    form: Compression::Gzip,
    number: 1,
    setting: Setting::Gzip6,
    piece: 4 << 20,
    threads: 8,
};

/// xz/1: each 24 MiB of content as `xz -6 -T1` packs it, the size of the blocks of `xz -T0`. Takes
/// 94 MiB a thread.
#[cfg(feature = "xz")]
const XZ_1: Rule =
    Rule { form: Compression::Xz, number: 1, setting: Setting::Xz, piece: 24 << 20, threads: 2 };

const RULES: &[Rule] = &[
    GZIP_1,
    #[cfg(feature = "xz")]
    XZ_1,
];

impl Rule {
    /// Returns the rule for new references of a form; `None` if this build cannot make it.
    pub(crate) fn of(form: Compression) -> Option<Self> {
        RULES.iter().copied().rfind(|rule| rule.form == form)
    }

    /// Returns the rule by which a reference was packed, if it is known.
    pub(crate) fn by(packing: &RefPacking) -> Option<Self> {
        RULES.iter().copied().find(|rule| rule.form == packing.form && rule.number == packing.rule)
    }

    /// Packs `content`, on a thread that may block and at most `threads` more; returns `None` once
    /// that takes more than `limit` bytes.
    ///
    /// # Errors
    ///
    /// [`ServiceError::Changed`] if the content is shorter than announced.
    pub(crate) fn pack(
        self,
        content: &Payload,
        threads: usize,
        limit: u64,
        mut spool: Spool,
        cancelled: &Cancelled,
    ) -> Result<Option<Packed>, ServiceError> {
        let threads = threads.clamp(1, self.threads);
        let failed = || ServiceError::local(content.name());
        let (mut of_content, mut of_packed) = (Sha256Hasher::default(), Sha256Hasher::default());
        let mut at = 0;
        while at < content.len() {
            cancelled.check().map_err(failed())?;
            let pieces = thread::scope(|scope| {
                let offsets = (0..threads as u64).map(|n| at + n * self.piece as u64);
                let begun: Vec<_> = offsets
                    .filter(|offset| *offset < content.len())
                    .map(|offset| scope.spawn(move || self.piece_at(content, offset)))
                    .collect();
                begun.into_iter().map(thread::ScopedJoinHandle::join).collect::<Vec<_>>()
            });
            for piece in pieces {
                let (plain, packed) = match piece {
                    Ok(piece) => piece?,
                    Err(panicked) => std::panic::resume_unwind(panicked),
                };
                at += plain.len() as u64;
                of_content.update(&plain);
                of_packed.update(&packed);
                if spool.len() + packed.len() as u64 > limit {
                    return Ok(None);
                }
                spool.write_all(&packed).map_err(failed())?;
            }
        }
        let len = spool.len();
        let bytes = Arc::new(spool.finish().map_err(failed())?);
        let packing = RefPacking {
            form: self.form,
            rule: self.number,
            content_sha256: of_content.finish(),
            content_size: content.len(),
        };
        Ok(Some(Packed {
            bytes: Payload::of(&format!("{} packed", content.name()), len, bytes),
            digest: of_packed.finish(),
            packing,
        }))
    }

    /// Returns the piece of the content at `offset`, and that piece packed. It was unpacked and
    /// compared.
    fn piece_at(self, content: &Payload, offset: u64) -> Result<(Vec<u8>, Vec<u8>), ServiceError> {
        let failed = || ServiceError::local(content.name());
        let want = usize::try_from(content.len() - offset).unwrap_or(usize::MAX).min(self.piece);
        let mut plain = vec![0; want];
        if content.read_at(offset, &mut plain).map_err(failed())? < want {
            return Err(ServiceError::Changed(content.name().to_owned()));
        }
        let mut packer = Packer::new(self.setting, Vec::new()).map_err(failed())?;
        packer.write_all(&plain).map_err(failed())?;
        let packed = packer.finish().map_err(failed())?;
        if !unpacks_to(self.form, &packed, &plain).map_err(failed())? {
            return Err(ServiceError::RoundTrip(content.name().to_owned()));
        }
        Ok((plain, packed))
    }
}

/// Returns whether `packed` unpacks to `plain`.
fn unpacks_to(form: Compression, packed: &[u8], mut plain: &[u8]) -> io::Result<bool> {
    let mut unpacked = unpack(form, packed)?;
    let mut chunk = vec![0; 64 << 10];
    loop {
        match unpacked.read(&mut chunk)? {
            0 => return Ok(plain.is_empty()),
            n => match plain.split_at_checked(n) {
                Some((expected, rest)) if chunk.get(..n) == Some(expected) => plain = rest,
                _ => return Ok(false),
            },
        }
    }
}

/// A packed reference.
#[derive(Debug, Clone)]
pub(crate) struct Packed {
    /// The packed bytes.
    pub(crate) bytes: Payload,
    /// The SHA-256 of the packed bytes.
    digest: Sha256Digest,
    pub(crate) packing: RefPacking,
}

impl Packed {
    /// Returns the form in which the reference is stored.
    pub(crate) fn form(&self) -> StoredForm {
        StoredForm { digest: self.digest, packing: Some(self.packing) }
    }
}

/// The divisor of the minimum saving: a reference is packed only to save one byte in so many.
const WORTH: u64 = 10;
/// The minimum length in bytes of a file that is sampled before it is packed.
const MIN_SAMPLED: u64 = 1 << 20;
/// The number of pieces sampled, evenly spaced, and the bytes of each.
const SAMPLES: u64 = 64;
const SAMPLE: usize = 4 << 10;

/// Returns the maximum length of a packed reference whose content has `len` bytes.
pub(crate) fn worth_packing(len: u64) -> u64 {
    len - len.div_ceil(WORTH)
}

/// Returns whether a sample shows that packing this file would save next to nothing.
pub(crate) async fn is_incompressible(file: &Payload) -> Result<bool, ServiceError> {
    if file.len() < MIN_SAMPLED {
        return Ok(false);
    }
    let file = file.clone();
    blocking::run(move |cancelled| {
        let failed = || ServiceError::local(file.name());
        let mut packed = DeflateEncoder::new(Vec::new(), Effort::fast());
        let (mut piece, mut taken) = (vec![0; SAMPLE], 0u64);
        for number in 0..SAMPLES {
            cancelled.check().map_err(failed())?;
            let at = (file.len() - SAMPLE as u64) / (SAMPLES - 1) * number;
            let n = file.read_at(at, &mut piece).map_err(failed())?;
            packed.write_all(piece.get(..n).unwrap_or_default()).map_err(failed())?;
            taken += n as u64;
        }
        let packed = packed.finish().map_err(failed())?.len() as u64;
        // The fastest level saves a little less than the packer.
        Ok(packed > taken / 100 * 95)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(len: usize) -> Vec<u8> {
        let mut state = 1u64;
        let word = |state: &mut u64| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            format!("{} ", (*state >> 52) * (*state >> 60))
        };
        let mut text = Vec::new();
        while text.len() < len {
            text.extend(word(&mut state).into_bytes());
        }
        text.truncate(len);
        text
    }

    async fn packed(rule: Rule, content: &[u8], threads: usize) -> (Packed, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        let content = Payload::of("content", content.len() as u64, Arc::new(content.to_vec()));
        let spool = Spool::new(folder.path());
        let packed = blocking::run(move |cancelled| {
            rule.pack(&content, threads, u64::MAX, spool, cancelled).unwrap().unwrap()
        })
        .await;
        let mut bytes = vec![0; packed.bytes.len() as usize];
        assert_eq!(packed.bytes.read_at(0, &mut bytes).unwrap(), bytes.len());
        (packed, bytes)
    }

    /// The bytes of a rule never change: stored references are found by their SHA-256. These are
    /// the digests of what GNU gzip 1.12 and xz 5.4.1 make of the pieces.
    #[tokio::test]
    async fn rules_never_change() {
        let content = text((4 << 20) + 70_000);
        let (short, _) = packed(GZIP_1, b"some content", 1).await;
        let (long, _) = packed(GZIP_1, &content, 3).await;
        assert_eq!(
            Sha256Digest::of(&content).to_string(),
            "7340dfe7111c2d9d3399e6010b92268a219d306c19543da429fd50b7e9ccd060"
        );
        assert_eq!(
            (short.digest.to_string().as_str(), short.bytes.len()),
            ("bbff05266e7a4dfd77288e28bf762b878e713e23aba24d04f10dd848dd633ac9", 32)
        );
        assert_eq!(
            (long.digest.to_string().as_str(), long.bytes.len()),
            ("a9586fb054289cc14f94c10cfcc25ebc4cb9b9822a221a501e156c62010fc84b", 1_726_674)
        );
        #[cfg(feature = "xz")]
        {
            let (xz, _) = packed(XZ_1, &content, 1).await;
            assert_eq!(
                (xz.digest.to_string().as_str(), xz.bytes.len()),
                ("b93767656b1709081ddc24e366e15c74ceb60059544f20787864c168dfc80c33", 1_495_548)
            );
        }
    }

    #[tokio::test]
    async fn threads_do_not_change_bytes() {
        // Of ten pieces.
        let (rule, content) = (Rule { piece: 64 << 10, ..GZIP_1 }, text(600 << 10));
        let (one, bytes) = packed(rule, &content, 1).await;
        let (many, same) = packed(rule, &content, 7).await;
        assert!(bytes == same);
        assert_eq!(one.form(), many.form());
        assert_eq!(one.digest, Sha256Digest::of(&bytes));
        assert_eq!(one.packing.content_sha256, Sha256Digest::of(&content));
        assert!(unpacks_to(Compression::Gzip, &bytes, &content).unwrap());
        assert!(!unpacks_to(Compression::Gzip, &bytes, &content[1..]).unwrap());
        assert_eq!(Rule::by(&one.packing), Some(GZIP_1));
        assert_eq!(Rule::by(&RefPacking { rule: 0, ..one.packing }), None);
    }

    #[tokio::test]
    async fn packing_stops_at_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let content = text(1 << 20);
        let (packed, bytes) = packed(GZIP_1, &content, 1).await;
        let content = Payload::of("content", content.len() as u64, Arc::new(content));
        for (limit, is_packed) in [(packed.bytes.len(), true), (bytes.len() as u64 - 1, false)] {
            let (content, spool) = (content.clone(), Spool::new(folder.path()));
            let packed = blocking::run(move |cancelled| {
                GZIP_1.pack(&content, 1, limit, spool, cancelled).unwrap()
            });
            assert_eq!(packed.await.is_some(), is_packed, "{limit}");
        }
        assert_eq!([0, 1, 9, 10, 11, 100].map(worth_packing), [0, 0, 8, 9, 9, 90]);
    }
}
