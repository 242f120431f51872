//! Attacks on a single entry: each makes the cache reject it.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

use deltaglider::cache::{CacheError, FolderCache, Limits, ReferenceCache};
use deltaglider::domain::Sha256Digest;

use crate::stage::{LIMITS, Unwatched, entries, keep, read};
use crate::support::noise;

/// The number of bytes before the first chunk.
const HEADER: usize = 135;

/// Replaces the entry of the stage with one of these bytes.
fn replace(stage: &Unwatched, bytes: &[u8]) {
    let aside = stage.folder.path().join("aside");
    fs::write(&aside, bytes).unwrap();
    fs::set_permissions(&aside, Permissions::from_mode(0o600)).unwrap();
    let dir = walkdir::WalkDir::new(stage.folder.path())
        .into_iter()
        .flatten()
        .find(|found| found.file_name() == "entries");
    let name = entry_name(stage);
    fs::rename(aside, dir.unwrap().path().join(name)).unwrap();
}

/// Returns the name of the entry, which is constant while the cache exists.
fn entry_name(stage: &Unwatched) -> std::ffi::OsString {
    if entries(stage.folder.path()).is_empty() {
        drop(keep(&stage.cache, &stage.content));
    }
    stage.entry().file_name().unwrap().to_owned()
}

#[test]
fn flipped_bit_is_rejected() {
    let stage = Unwatched::new(100);
    let sound = fs::read(stage.entry()).unwrap();
    assert_eq!(sound.len(), HEADER + 100 + 16);
    let name = stage.entry();
    for at in 0..sound.len() * 8 {
        let mut flipped = sound.clone();
        flipped[at / 8] ^= 1 << (at % 8);
        let aside = stage.folder.path().join("aside");
        fs::write(&aside, flipped).unwrap();
        fs::set_permissions(&aside, Permissions::from_mode(0o600)).unwrap();
        fs::rename(aside, &name).unwrap();
        assert_eq!(stage.read(), None, "bit {at} was flipped and the entry trusted");
        assert!(!name.exists());
    }
}

#[test]
fn extended_expiry_is_rejected() {
    let stage = Unwatched::new(100);
    let mut bytes = fs::read(stage.entry()).unwrap();
    // The last byte but one of `expires`, which is not encrypted.
    bytes[8 + 4 + 8 + 8 + 6] ^= 1;
    replace(&stage, &bytes);
    assert_eq!(stage.read(), None);
}

#[test]
fn an_entry_of_poison_is_refused() {
    let stage = Unwatched::new(100_000);
    let sound = fs::read(stage.entry()).unwrap();
    for poison in [
        &b"poison"[..],
        &noise(sound.len(), 9),
        &[sound[..HEADER].to_vec(), noise(sound.len() - HEADER, 9)].concat(),
    ] {
        replace(&stage, poison);
        assert_eq!(stage.read(), None);
    }
}

#[test]
fn truncated_entry_is_rejected() {
    let stage = Unwatched::new(200_000);
    let sound = fs::read(stage.entry()).unwrap();
    let chunk = 16_384 + 16;
    for len in [
        0,
        1,
        HEADER - 1,
        HEADER,
        HEADER + 1,
        HEADER + chunk,
        HEADER + 2 * chunk,
        sound.len() - 16,
        sound.len() - 1,
    ] {
        replace(&stage, &sound[..len]);
        assert!(
            stage.cache.get(&Sha256Digest::of(&stage.content)).is_none(),
            "cut at {len} and trusted"
        );
    }
}

#[test]
fn trailing_byte_is_rejected() {
    let stage = Unwatched::new(200_000);
    let mut bytes = fs::read(stage.entry()).unwrap();
    bytes.push(0);
    replace(&stage, &bytes);
    assert_eq!(stage.read(), None);
}

#[test]
fn swapped_chunks_are_rejected() {
    let stage = Unwatched::new(200_000);
    let mut bytes = fs::read(stage.entry()).unwrap();
    let chunk = 16_384 + 16;
    let (first, second) = bytes[HEADER..HEADER + 2 * chunk].split_at_mut(chunk);
    first.swap_with_slice(second);
    replace(&stage, &bytes);
    assert_eq!(stage.read(), None);
}

/// A valid entry of other content is rejected under this entry's name.
#[test]
fn other_valid_entry_is_rejected() {
    let stage = Unwatched::new(100);
    let (place, other) = (stage.entry(), noise(100, 8));
    drop(keep(&stage.cache, &other));
    let of_other = entries(stage.folder.path()).into_iter().find(|entry| *entry != place).unwrap();
    fs::rename(of_other, &place).unwrap();
    assert_eq!(stage.read(), None);
}

/// An expired entry that is moved back to its name is rejected.
#[test]
fn restored_expired_is_rejected() {
    let stage = Unwatched::with(100, Limits { ttl: Duration::from_secs(1), ..LIMITS });
    let (place, aside) = (stage.entry(), stage.folder.path().join("aside"));
    fs::rename(&place, &aside).unwrap();
    std::thread::sleep(Duration::from_millis(2100));
    fs::rename(aside, place).unwrap();
    assert_eq!(stage.read(), None);
}

#[test]
fn symlink_is_not_followed() {
    let stage = Unwatched::new(100);
    let (place, aside) = (stage.entry(), stage.folder.path().join("aside"));
    fs::rename(&place, &aside).unwrap();
    symlink(&aside, &place).unwrap();
    assert_eq!(stage.read(), None);
    assert!(aside.exists());
}

#[test]
fn hard_link_is_rejected() {
    let stage = Unwatched::new(100);
    fs::hard_link(stage.entry(), stage.folder.path().join("second")).unwrap();
    assert_eq!(stage.read(), None);
}

/// An entry of any mode but 0600 is rejected.
#[test]
fn loose_mode_is_rejected() {
    for mode in [0o666, 0o640, 0o604, 0o4600] {
        let stage = Unwatched::new(100);
        fs::set_permissions(stage.entry(), Permissions::from_mode(mode)).unwrap();
        assert_eq!(stage.read(), None, "mode {mode:o}");
    }
}

#[test]
fn named_pipe_does_not_block() {
    let stage = Unwatched::new(100);
    let place = stage.entry();
    fs::remove_file(&place).unwrap();
    let (done, waiting) = std::sync::mpsc::channel();
    let made =
        std::process::Command::new("mkfifo").args(["-m", "600"]).arg(&place).status().unwrap();
    assert!(made.success());
    let (cache, content) = (stage.cache.clone(), stage.content.clone());
    std::thread::spawn(move || done.send(read(&cache, &content)));
    let got = waiting.recv_timeout(Duration::from_secs(10));
    if got.is_err() {
        // Unblocks the reader.
        drop(File::options().write(true).open(&place));
    }
    assert_eq!(got, Ok(None), "the reader waits for a writer");
}

#[test]
fn wrong_bytes_are_not_published() {
    let folder = tempfile::tempdir().unwrap();
    let cache = FolderCache::ephemeral(folder.path(), LIMITS).unwrap();
    let wanted = noise(1000, 1);
    let mut writer = cache.begin(&Sha256Digest::of(&wanted), 1000).unwrap();
    writer.write(&noise(1000, 2)).unwrap();
    assert!(matches!(writer.publish().map(|_| ()), Err(CacheError::Mismatch { .. })));
    assert!(read(&cache, &wanted).is_none());
}
