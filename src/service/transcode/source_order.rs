//! The order in which a delta reads its source, as xdelta3 3.0.11 can follow it.
//!
//! xdelta3 reads a source that it unpacks itself through a pipe, and keeps its last 32 blocks of 2
//! MiB: an instruction that reaches farther back fails with `non-seekable source`. Observed with
//! sources of 100 MiB: 31 blocks back is read, 32 is not.

use std::io::{self, Read};

use deltaglider_vcdiff::inspect::{CopyFrom, Operation, inspect};
use deltaglider_vcdiff::{DecodeError, DecodeLimits, Source};

use crate::service::payload::Payload;

/// Bytes of a block of xdelta3's source.
const BLOCK: u64 = 2 << 20;
/// The number of blocks that xdelta3 keeps.
const KEPT: u64 = 32;

/// Returns whether xdelta3 can decode `delta` against a source that it unpacks itself.
pub(super) fn is_readable_through_pipe(delta: &Payload) -> Result<bool, DecodeError> {
    let mut newest = 0;
    for window in inspect(Reader { delta, at: 0 }, &DecodeLimits::default())? {
        for instruction in window?.instructions() {
            let instruction = instruction?;
            let Operation::Copy { from: CopyFrom::Source(at), .. } = instruction.operation else {
                continue;
            };
            if !goes_forward(&mut newest, at, instruction.size) {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Takes the blocks of a COPY of `len` bytes at `at`; returns false if one was dropped before.
fn goes_forward(newest: &mut u64, at: u64, len: u64) -> bool {
    let last = at.saturating_add(len.saturating_sub(1)) / BLOCK;
    // The blocks are read in order, so the first one is the oldest.
    let is_kept = at / BLOCK + KEPT > *newest;
    *newest = last.max(*newest);
    is_kept
}

/// A reader of a payload.
struct Reader<'a> {
    delta: &'a Payload,
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.delta.read_at(self.at, buf)?;
        self.at += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use deltaglider_vcdiff::{EncodeOptions, encode};

    use super::*;
    use crate::service::transcode::sample::tests::noise;

    /// As xdelta3 3.0.11 was seen to read: 31 blocks back, not 32.
    #[test]
    fn copy_reaches_31_blocks_back() {
        for (first, second, is_readable) in
            [(90, 28, true), (90, 27, false), (99, 36, true), (99, 35, false), (20, 40, true)]
        {
            let mut newest = 0;
            assert!(goes_forward(&mut newest, first << 20, 60_000));
            assert_eq!(
                goes_forward(&mut newest, second << 20, 60_000),
                is_readable,
                "{first} {second}"
            );
        }
    }

    #[test]
    fn delta_is_checked_by_its_copies() {
        const MIB: usize = 1 << 20;
        let mut source = vec![0; 70 * MIB];
        let (old, new) = (noise(1, MIB), noise(2, MIB));
        source[..MIB].copy_from_slice(&old);
        source[69 * MIB..].copy_from_slice(&new);
        for (target, is_readable) in [([&old[..], &new], true), ([&new[..], &old], false)] {
            let mut options = EncodeOptions::default();
            options.source_window = 128 << 20;
            let delta = encode(Some(&source), &target.concat(), &options).unwrap();
            let delta = Payload::of("delta", delta.len() as u64, Arc::new(delta));
            assert_eq!(is_readable_through_pipe(&delta).unwrap(), is_readable);
        }
    }
}
