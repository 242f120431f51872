//! A sample of a file, by which a hopeless encode is recognized before it begins: one against a
//! reference that shares nothing with the file.

use std::collections::HashSet;
use std::io::{self, Write};

use deltaglider_vcdiff::Source;
use flate2::Compression;
use flate2::write::DeflateEncoder;

use crate::domain::PrintFinder;
use crate::service::blocking::Cancelled;
use crate::service::payload::CHUNK;

/// The minimum length in bytes of a file for which sampling pays.
const MIN_LEN: u64 = 16 << 20;
/// The number of pieces sampled, evenly spaced. If a tenth of a file were shared, in parts longer
/// than a piece, the probability that no piece shows it would be 0.9^64 = 0.1 %.
const PIECES: u64 = 64;
/// The length of a piece in bytes: about 1,000 prints.
const PIECE: usize = 64 << 10;
/// The length in bytes of the part, from the middle of the file on, that is searched for
/// repetitions: half a window of the encoder.
const MIDDLE: usize = 4 << 20;
/// The number of different prints that must recur to count as common content. Runs of one byte,
/// which many files have, are a print each.
const RECURRING: usize = 4;
/// The share to which a file must be compressible to count as compressible.
const INCOMPRESSIBLE: f64 = 0.96;

/// Returns whether a delta of `file` against `reference` would save next to nothing: the sample has
/// no 64 bytes in common with the reference, repeats nothing and cannot be compressed.
///
/// A limit above three quarters of the file is never out of reach by a sample.
pub(super) fn is_hopeless(
    file: &dyn Source,
    reference: &dyn Source,
    limit: u64,
    cancelled: &Cancelled,
) -> io::Result<bool> {
    let len = file.len().unwrap_or_default();
    if len < MIN_LEN || limit > len / 4 * 3 {
        return Ok(false);
    }
    let mut prints = HashSet::new();
    let mut packed = DeflateEncoder::new(Count(0), Compression::fast());
    let mut piece = vec![0; PIECE];
    for number in 0..PIECES {
        let read = file.read_at((len - PIECE as u64) / (PIECES - 1) * number, &mut piece)?;
        let piece = piece.get(..read).unwrap_or_default();
        PrintFinder::default().update(piece, |print| {
            prints.insert(print);
        });
        packed.write_all(piece)?;
    }
    if shares(prints, reference, cancelled)? {
        return Ok(false);
    }
    let packed = packed.finish()?.0;
    if (packed as f64) < INCOMPRESSIBLE * (PIECES * PIECE as u64) as f64 {
        return Ok(false);
    }
    let mut middle = vec![0; MIDDLE];
    let read = file.read_at(len / 2 - MIDDLE as u64 / 2, &mut middle)?;
    Ok(!repeats(middle.get(..read).unwrap_or_default()))
}

/// Returns whether `reference` has some of these prints. Stops at the first ones: where a file is
/// like its reference, it costs next to nothing.
fn shares(
    mut prints: HashSet<u64>,
    reference: &dyn Source,
    cancelled: &Cancelled,
) -> io::Result<bool> {
    let (mut finder, mut found, mut at) = (PrintFinder::default(), 0, 0);
    let mut chunk = vec![0; CHUNK];
    loop {
        cancelled.check()?;
        let read = reference.read_at(at, &mut chunk)?;
        finder.update(chunk.get(..read).unwrap_or_default(), |print| {
            found += usize::from(prints.remove(&print));
        });
        if found >= RECURRING || read < chunk.len() {
            return Ok(found >= RECURRING);
        }
        at += read as u64;
    }
}

/// Returns whether bytes recur among these bytes.
fn repeats(bytes: &[u8]) -> bool {
    let (mut seen, mut again) = (HashSet::new(), HashSet::new());
    PrintFinder::default().update(bytes, |print| {
        if !seen.insert(print) {
            again.insert(print);
        }
    });
    again.len() >= RECURRING
}

/// A writer that counts its bytes.
struct Count(u64);

impl Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::service::blocking;

    const LEN: usize = MIN_LEN as usize;

    /// Returns bytes that cannot be compressed.
    pub(in crate::service::transcode) fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut state = seed;
        let next = |_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..len).map(next).collect()
    }

    async fn hopeless(file: &[u8], reference: &[u8], limit: usize) -> bool {
        let (file, reference) = (file.to_vec(), reference.to_vec());
        blocking::run(move |cancelled| is_hopeless(&file, &reference, limit as u64, cancelled))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn unrelated_noise_is_hopeless() {
        let (file, reference) = (noise(1, LEN), noise(2, LEN));
        assert!(hopeless(&file, &reference, LEN / 2).await);
        assert!(!hopeless(&file, &reference, LEN / 5 * 4).await, "a high limit");
        assert!(!hopeless(&file[1..], &reference, LEN / 2).await, "a short file");
    }

    /// Content that recurs in the reference or in the file, or that can be compressed, is encoded.
    #[tokio::test]
    async fn possible_saving_is_encoded() {
        let (file, reference) = (noise(1, LEN), noise(2, LEN));
        let mut shared = file.clone();
        shared[5 << 20..(5 << 20) + LEN / 10].copy_from_slice(&reference[77..77 + LEN / 10]);
        assert!(!hopeless(&shared, &reference, LEN / 2).await, "shares a tenth");
        let twice: Vec<u8> = file.chunks(1 << 20).flat_map(|half| [half, half].concat()).collect();
        assert!(!hopeless(&twice[..LEN], &reference, LEN / 2).await, "repeats itself");
        let text: Vec<u8> = file.iter().map(|byte| byte & 15).collect();
        assert!(!hopeless(&text, &reference, LEN / 2).await, "compressible");
        let mut half = file.clone();
        half[LEN / 2..].iter_mut().for_each(|byte| *byte &= 15);
        assert!(!hopeless(&half, &reference, LEN / 2).await, "half compressible");
    }

    /// Runs of zeros, which the reference has too, are no common content.
    #[tokio::test]
    async fn runs_are_no_common_content() {
        let (mut file, mut reference) = (noise(1, LEN), noise(2, LEN));
        file[LEN / 2..LEN / 2 + 1000].fill(0);
        reference[1000..90_000].fill(0);
        assert!(hopeless(&file, &reference, LEN / 2).await);
    }
}
