//! Every change of a sealed entry is rejected.

use std::io::Write as _;

use deltaglider_aead::TAG_LEN;
use deltaglider_vcdiff::Source as _;

use super::*;
use crate::cache::key::{CacheKey, DerivedKeys};
use crate::domain::Sha256Digest;

const NOW: u64 = 1_000;

fn keys() -> DerivedKeys {
    CacheKey::random().unwrap().derive()
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

fn facts(content: &[u8]) -> EntryMetadata {
    EntryMetadata {
        digest: Sha256Digest::of(content),
        len: content.len() as u64,
        created: NOW,
        expires: NOW + 10,
    }
}

fn sealed(keys: &DerivedKeys, content: &[u8]) -> Vec<u8> {
    let mut sealer = Sealer::entry(keys, facts(content), Vec::new()).unwrap();
    content.chunks(10_007).for_each(|piece| sealer.push(piece).unwrap());
    sealer.finish().unwrap()
}

fn opened(
    keys: &DerivedKeys,
    stored: &[u8],
    digest: &Sha256Digest,
) -> Result<SealedSource<Vec<u8>>, RejectReason> {
    let header = stored.first_chunk().ok_or(RejectReason::Format)?;
    let header = Header::open_content(keys, header, stored.len() as u64, NOW, digest)?;
    Ok(SealedSource::entry(stored.to_vec(), header))
}

/// Returns the content; `None` if anything is rejected.
fn read(keys: &DerivedKeys, stored: &[u8], digest: &Sha256Digest) -> Option<Vec<u8>> {
    let source = opened(keys, stored, digest).ok()?;
    let mut content = vec![0; source.len().unwrap() as usize];
    source.read_at(0, &mut content).ok()?;
    Some(content)
}

/// Content reads back from any offset in any length.
#[test]
fn any_range_reads_back() {
    let keys = keys();
    for len in [0, 1, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, 3 * CHUNK_LEN, 3 * CHUNK_LEN + 17] {
        let content = content(len);
        let stored = sealed(&keys, &content);
        assert_eq!(Some(stored.len() as u64), Header::stored_len(len as u64));
        let source = opened(&keys, &stored, &Sha256Digest::of(&content)).unwrap();
        source.verify().unwrap();
        for offset in [
            0,
            1,
            5,
            CHUNK_LEN - 1,
            CHUNK_LEN,
            CHUNK_LEN + 3,
            2 * CHUNK_LEN,
            len.saturating_sub(1),
            len,
            len + 9,
        ] {
            for want in [0, 1, 100, CHUNK_LEN - 1, CHUNK_LEN, CHUNK_LEN + 1, 4 * CHUNK_LEN] {
                let mut buf = vec![0xee; want];
                let n = source.read_at(offset as u64, &mut buf).unwrap();
                let expected = content.get(offset..).unwrap_or_default();
                let expected = &expected[..expected.len().min(want)];
                assert!(buf[..n] == *expected, "{want} bytes at {offset} of {len}");
            }
        }
    }
}

#[test]
fn threads_share_one_source() {
    let (keys, content) = (keys(), content(9 * CHUNK_LEN + 5));
    let source = opened(&keys, &sealed(&keys, &content), &Sha256Digest::of(&content)).unwrap();
    std::thread::scope(|scope| {
        for seed in 0..4_usize {
            let (source, content) = (&source, &content);
            scope.spawn(move || {
                for step in 0..500 {
                    let offset = (seed * 7_919 + step * 104_729) % content.len();
                    let mut buf = vec![0; 3_000];
                    let n = source.read_at(offset as u64, &mut buf).unwrap();
                    assert!(buf[..n] == content[offset..offset + n]);
                }
            });
        }
    });
}

#[test]
fn every_flipped_bit_is_refused() {
    let (keys, content) = (keys(), content(300));
    let (stored, digest) = (sealed(&keys, &content), Sha256Digest::of(&content));
    assert!(read(&keys, &stored, &digest).unwrap() == content);
    for at in 0..stored.len() * 8 {
        let mut flipped = stored.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        assert_eq!(read(&keys, &flipped, &digest), None, "bit {at}");
    }
}

#[test]
fn wrong_length_is_rejected() {
    let (keys, content) = (keys(), content(300));
    let (stored, digest) = (sealed(&keys, &content), Sha256Digest::of(&content));
    for len in 0..stored.len() {
        assert_eq!(read(&keys, &stored[..len], &digest), None, "{len}");
    }
    assert_eq!(read(&keys, &[&stored[..], &[0]].concat(), &digest), None);
    let shorter = opened(&keys, &stored[..stored.len() - 1], &digest).unwrap_err();
    assert_eq!(shorter.to_string(), "it has 450 bytes where its header says 451");
}

#[test]
fn moved_chunk_is_rejected() {
    let (keys, content) = (keys(), content(3 * CHUNK_LEN));
    let (stored, digest) = (sealed(&keys, &content), Sha256Digest::of(&content));
    let stride = CHUNK_LEN + TAG_LEN;
    let chunk = |index: usize| HEADER_LEN + index * stride..HEADER_LEN + (index + 1) * stride;
    for (from, to) in [(0, 1), (1, 0), (2, 1), (1, 2), (0, 2)] {
        let mut moved = stored.clone();
        moved.copy_within(chunk(from), chunk(to).start);
        let source = opened(&keys, &moved, &digest).unwrap();
        let mut buf = vec![0xee; CHUNK_LEN];
        let error = source.read_at((to * CHUNK_LEN) as u64, &mut buf).unwrap_err();
        assert_eq!(error.get_ref().unwrap().downcast_ref(), Some(&CorruptChunk::Chunk(to as u32)));
        assert!(buf.iter().all(|byte| *byte == 0), "unauthenticated bytes are not returned");
        assert_eq!(source.verify(), Err(CorruptChunk::Chunk(to as u32)));
        assert_eq!(source.read_at((from * CHUNK_LEN) as u64, &mut buf).unwrap(), CHUNK_LEN);
    }
    // The same content sealed twice: neither header fits the other's chunks.
    let again = sealed(&keys, &content);
    assert!(again[HEADER_LEN..] != stored[HEADER_LEN..]);
    let mixed = [&stored[..HEADER_LEN], &again[HEADER_LEN..]].concat();
    assert_eq!(read(&keys, &mixed, &digest), None);
}

#[test]
fn cut_at_chunk_end_is_rejected() {
    // Cut after a whole chunk, with a header that would match: only the flag reveals it.
    let (keys, content) = (keys(), content(2 * CHUNK_LEN));
    let mut sealer = Sealer::entry(&keys, facts(&content[..CHUNK_LEN]), Vec::new()).unwrap();
    sealer.push(&content).unwrap();
    let stored = sealer.finish().unwrap();
    let cut = &stored[..HEADER_LEN + CHUNK_LEN + TAG_LEN];
    assert_eq!(read(&keys, cut, &Sha256Digest::of(&content[..CHUNK_LEN])), None);
}

/// An entry of another content or key, or one that has expired, is rejected.
#[test]
fn foreign_or_expired_is_rejected() {
    let (keys, content) = (keys(), content(300));
    let (stored, digest) = (sealed(&keys, &content), Sha256Digest::of(&content));
    let other = Sha256Digest::of(b"other");
    assert_eq!(opened(&keys, &stored, &other).unwrap_err(), RejectReason::OtherContent);
    assert_eq!(opened(&self::keys(), &stored, &digest).unwrap_err(), RejectReason::Header);
    let header = stored.first_chunk().unwrap();
    let at =
        |now| Header::open(&keys, header, stored.len() as u64, now).map(|header| *header.facts());
    assert_eq!(at(NOW + 9).unwrap(), facts(&content));
    assert_eq!(at(NOW + 10).unwrap_err(), RejectReason::Expired);
}

/// Sealed bytes contain neither the content nor its digest.
#[test]
fn sealed_bytes_hide_content() {
    let (keys, content) = (keys(), content(100_000));
    let stored = sealed(&keys, &content);
    let digest = Sha256Digest::of(&content);
    for secret in [&content[..16], &content[70_000..70_016], &digest.as_bytes()[..16]] {
        assert!(!stored.windows(secret.len()).any(|window| window == secret));
    }
}

/// An encrypted temporary file reads back, and has no name in its directory.
#[test]
fn temp_file_reads_back_unnamed() {
    let folder = tempfile::tempdir().unwrap();
    let content = content(2 * CHUNK_LEN + 5);
    let mut file = EncryptedTempFile::new(folder.path()).unwrap();
    content.chunks(777).for_each(|piece| file.write_all(piece).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let source = file.finish().unwrap();
    let mut back = vec![0; content.len() + 1];
    assert_eq!(source.read_at(0, &mut back).unwrap(), content.len());
    assert!(back[..content.len()] == content);
    assert_eq!(source.len(), Some(content.len() as u64));
    let missing = EncryptedTempFile::new(&folder.path().join("missing")).unwrap_err();
    assert!(missing.to_string().contains("missing"));
}
