//! Attacks during reads: a reader gets the content or an error, whatever replaces the entry.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use deltaglider::cache::ReferenceCache as _;
use deltaglider::domain::Sha256Digest;

use crate::stage::{Binary, Unwatched, entries, keep};
use crate::support::{Run, noise};

/// The number of bytes before the first chunk.
const HEADER: usize = 135;

/// Replaces the entry by corrupt ones and back, by rename and in place, until `stop` is set.
fn exchange(place: &Path, sound: &[u8], stop: &AtomicBool) {
    let aside = place.parent().unwrap().parent().unwrap().join("aside");
    let poison = [&sound[..HEADER], &noise(sound.len() - HEADER, 9)].concat();
    let put = |bytes: &[u8]| {
        fs::write(&aside, bytes).unwrap();
        fs::set_permissions(&aside, Permissions::from_mode(0o600)).unwrap();
        fs::rename(&aside, place).unwrap();
    };
    while !stop.load(Ordering::Relaxed) {
        put(sound);
        std::thread::yield_now();
        // In place, under open descriptors; the cache may have deleted the file since.
        if let Ok(file) = fs::File::options().write(true).open(place) {
            file.write_all_at(&poison[HEADER..], HEADER as u64).unwrap();
            std::thread::yield_now();
            file.write_all_at(&sound[HEADER..], HEADER as u64).unwrap();
        }
        put(&poison);
        std::thread::yield_now();
        fs::remove_file(place).ok();
    }
}

/// A reader never reads bytes of a thread that keeps replacing the entry.
#[test]
fn exchanged_entry_is_never_read() {
    let stage = Unwatched::new(300_000);
    let (place, stop) = (stage.entry(), AtomicBool::new(false));
    let sound = fs::read(&place).unwrap();
    let digest = Sha256Digest::of(&stage.content);
    std::thread::scope(|scope| {
        scope.spawn(|| exchange(&place, &sound, &stop));
        let (mut read, mut refused, mut trusted) = (0, 0, 0);
        let deadline = Instant::now() + Duration::from_secs(120);
        for round in 0_usize.. {
            // On a loaded machine the other thread may not have replaced the entry yet.
            let met = read >= 20 && refused + trusted >= 20;
            if round >= 3000 && met || Instant::now() > deadline {
                break;
            }
            let Some(reference) = stage.cache.get(&digest) else {
                std::thread::yield_now();
                continue;
            };
            // Reads the whole content and a part in turn.
            let (offset, len) =
                if round % 2 == 0 { (0, 300_000) } else { ((round * 7919) % 200_000, 5_000) };
            let mut bytes = vec![0; len];
            match reference.read_at(offset as u64, &mut bytes) {
                Ok(n) if bytes[..n] == stage.content[offset..offset + n] => read += 1,
                Ok(_) => trusted += 1,
                Err(_) => refused += 1,
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert_eq!(trusted, 0, "beside {read} right and {refused} refused reads");
        assert!(read > 0 && refused > 0, "{read} right and {refused} refused reads");
    });
}

/// A process that keeps replacing the entry fails no operation and corrupts no result.
#[test]
fn exchange_fails_no_operation() {
    let binary = Binary::new();
    Run::of(&mut binary.command(&["cp", "s3://buc/a/2.zip", "-"])).succeeds();
    let place = entries(&binary.cache()).remove(0);
    let (sound, poison) = (binary.sandbox.path("sound"), binary.sandbox.path("poison"));
    fs::copy(&place, &sound).unwrap();
    let bytes = fs::read(&sound).unwrap();
    fs::write(&poison, [&bytes[..HEADER], &noise(bytes.len() - HEADER, 9)].concat()).unwrap();
    fs::set_permissions(&poison, Permissions::from_mode(0o600)).unwrap();
    let script = format!(
        "while [ ! -e stop ]; do \
         cp -p sound next && mv next '{0}'; cat poison >'{0}'; \
         cp -p poison next && mv next '{0}'; done",
        place.display()
    );
    let mut attacker = binary.script(&script).spawn().unwrap();
    for round in 0..40 {
        let run = Run::of(&mut binary.command(&["cp", "s3://buc/a/2.zip", "-"]));
        let harmed = run.code != Some(0) || run.stdout != binary.second;
        if harmed {
            fs::write(binary.sandbox.path("stop"), b"").unwrap();
            attacker.wait().unwrap();
        }
        assert!(!harmed, "round {round}: {run:?}");
    }
    // A put too, which encodes against the reference that it reads.
    let third = crate::support::edited(&binary.second, 3);
    binary.sandbox.write("3.zip", &third);
    let put = Run::of(&mut binary.command(&["cp", "3.zip", "s3://buc/a/3.zip"]));
    fs::write(binary.sandbox.path("stop"), b"").unwrap();
    attacker.wait().unwrap();
    assert_eq!(put.code, Some(0), "{put:?}");
    assert!(binary.sandbox.run(["cp", "s3://buc/a/3.zip", "-"]).succeeds().stdout == third);
}

#[test]
fn damaged_entry_fails_no_command() {
    let binary = Binary::new();
    Run::of(&mut binary.command(&["cp", "s3://buc/a/2.zip", "-"])).succeeds();
    let place = entries(&binary.cache()).remove(0);
    let file = fs::File::options().write(true).open(&place).unwrap();
    file.write_all_at(&[0; 20], fs::metadata(&place).unwrap().len() - 20).unwrap();
    let run = Run::of(&mut binary.command(&["cp", "s3://buc/a/1.zip", "-"]));
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stdout == binary.first);
    assert!(run.err.contains("damaged"), "{run:?}");
}

/// Concurrent readers and writers of one content read that content only.
#[test]
fn readers_and_writers_agree() {
    let stage = Unwatched::new(150_000);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert!(stage.read().is_none_or(|read| read == stage.content));
                    drop(keep(&stage.cache, &stage.content));
                }
            });
        }
    });
    assert_eq!(stage.cache.counts().damaged, 0);
}
