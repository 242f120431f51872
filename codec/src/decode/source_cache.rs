//! Reads the source in blocks and keeps the ones used last. A source that lends its bytes is neither read nor kept.

use std::collections::HashMap;

use super::file_digest::FileHasher;
use crate::error::{DecodeErrorKind, Fault, Limit};
use crate::source::Source;

/// Bytes of a block. Copies are short and close together, so a read per copy would cost a call each; and a copy from a new place
/// should not cost much more than itself.
const BLOCK: usize = 1 << BLOCK_BITS;
const BLOCK_BITS: u32 = 16;
/// Blocks kept: 32 MiB. Copies of one window lie mostly side by side; what xdelta3 finds with its default options lies within a
/// moving 64 MiB, of which half is at hand however the copies jump.
const BLOCKS: usize = 512;

struct Block {
    number: u64,
    used: u64,
    /// Shorter than [`BLOCK`] only where the source ends.
    bytes: Vec<u8>,
}

/// The source of one delta.
pub(crate) struct SourceCache<S> {
    source: S,
    blocks: Vec<Block>,
    places: HashMap<u64, usize>,
    /// The place used last: most copies follow each other within one block.
    latest: usize,
    clock: u64,
    /// Blocks read for this window.
    read: u64,
    allowed: u64,
}

impl<S: Source> SourceCache<S> {
    pub(crate) fn new(source: S, allowed: u64) -> Self {
        Self { source, blocks: Vec::new(), places: HashMap::new(), latest: 0, clock: 0, read: 0, allowed }
    }

    /// Reads the whole source and returns its digest.
    pub(crate) fn digest(&self, mut digest: FileHasher) -> Result<[u8; 32], Fault> {
        if let Some(lent) = self.source.bytes() {
            digest.update(lent);
            return Ok(digest.finish());
        }
        let mut piece = vec![0; BLOCK];
        let mut at = 0u64;
        loop {
            let got = self.source.read_at(at, &mut piece).map_err(Fault::source)?;
            let bytes = piece.get(..got).unwrap_or(&piece);
            digest.update(bytes);
            at = at.saturating_add(bytes.len() as u64);
            if bytes.len() < BLOCK {
                return Ok(digest.finish());
            }
        }
    }

    /// Counts reads from zero again.
    pub(crate) fn begin_window(&mut self) {
        self.read = 0;
    }

    /// Appends `len` bytes of the source from `offset` on.
    pub(crate) fn append(&mut self, offset: u64, len: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        if let Some(lent) = self.source.bytes() {
            let start = usize::try_from(offset).unwrap_or(usize::MAX);
            let Some(bytes) = lent.get(start..start.saturating_add(len)) else {
                return Err(self.too_short(offset.saturating_add(len as u64), lent.len() as u64));
            };
            out.extend_from_slice(bytes);
            return Ok(());
        }
        if len >= BLOCK {
            return self.append_directly(offset, len, out);
        }
        let needed = offset.saturating_add(len as u64);
        let mut at = offset;
        let mut left = len;
        while left > 0 {
            let start = at as usize & (BLOCK - 1);
            let wanted = left.min(BLOCK.saturating_sub(start));
            let number = at >> BLOCK_BITS;
            let block = self.block(number)?;
            let Some(bytes) = block.get(start..start.saturating_add(wanted)) else {
                let end = number.saturating_mul(BLOCK as u64).saturating_add(block.len() as u64);
                return Err(self.too_short(needed, end));
            };
            out.extend_from_slice(bytes);
            at = at.saturating_add(wanted as u64);
            left = left.saturating_sub(wanted);
        }
        Ok(())
    }

    /// A long copy is read where it belongs: keeping its blocks would only drive out others.
    fn append_directly(&mut self, offset: u64, len: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.count(len.div_ceil(BLOCK) as u64)?;
        let start = out.len();
        out.resize(start.saturating_add(len), 0);
        let got = self.source.read_at(offset, out.get_mut(start..).unwrap_or_default()).map_err(Fault::source)?;
        if got < len {
            let needed = offset.saturating_add(len as u64);
            return Err(self.too_short(needed, offset.saturating_add(got as u64)));
        }
        Ok(())
    }

    fn block(&mut self, number: u64) -> Result<&[u8], Fault> {
        if self.blocks.get(self.latest).is_none_or(|block| block.number != number) {
            self.latest = match self.places.get(&number) {
                Some(&place) => place,
                None => self.read_block(number)?,
            };
        }
        self.clock = self.clock.saturating_add(1);
        let Some(block) = self.blocks.get_mut(self.latest) else { return Ok(&[]) };
        block.used = self.clock;
        Ok(&block.bytes)
    }

    /// Reads a block into a new place or that of the block unused longest.
    fn read_block(&mut self, number: u64) -> Result<usize, Fault> {
        self.count(1)?;
        let place = if self.blocks.len() < BLOCKS {
            self.blocks.push(Block { number, used: 0, bytes: Vec::new() });
            self.blocks.len().saturating_sub(1)
        } else {
            let oldest = self.blocks.iter().enumerate().min_by_key(|(_, block)| block.used);
            oldest.map_or(0, |(place, _)| place)
        };
        if let Some(block) = self.blocks.get_mut(place) {
            self.places.remove(&block.number);
            block.number = number;
            block.bytes.resize(BLOCK, 0);
            let offset = number.saturating_mul(BLOCK as u64);
            let got = self.source.read_at(offset, &mut block.bytes).map_err(Fault::source)?;
            block.bytes.truncate(got);
            self.places.insert(number, place);
        }
        Ok(place)
    }

    fn count(&mut self, blocks: u64) -> Result<(), Fault> {
        self.read = self.read.saturating_add(blocks);
        Limit::SourceBlocks.check(self.read, self.allowed)
    }

    /// `end` is where reading stopped: the source's end, unless it was asked for what lies beyond.
    fn too_short(&self, needed: u64, end: u64) -> Fault {
        let available = self.source.len().unwrap_or(end);
        DecodeErrorKind::SourceTooShort { needed, available }.into()
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use super::*;

    /// Counts its reads and knows each byte from its position.
    struct Counted {
        len: u64,
        reads: Mutex<Vec<(u64, usize)>>,
    }

    fn byte_at(position: u64) -> u8 {
        (position % 251) as u8 ^ (position >> 16) as u8
    }

    impl Source for &Counted {
        fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
            self.reads.lock().unwrap().push((offset, buf.len()));
            let got = self.len.saturating_sub(offset).min(buf.len() as u64) as usize;
            for (index, byte) in buf[..got].iter_mut().enumerate() {
                *byte = byte_at(offset + index as u64);
            }
            Ok(got)
        }

        fn len(&self) -> Option<u64> {
            None
        }
    }

    fn counted(len: u64) -> Counted {
        Counted { len, reads: Mutex::new(Vec::new()) }
    }

    fn append(blocks: &mut SourceCache<&Counted>, offset: u64, len: usize) {
        let mut out = vec![9];
        blocks.append(offset, len, &mut out).unwrap();
        let expected: Vec<u8> = (offset..offset + len as u64).map(byte_at).collect();
        assert_eq!(out[1..], expected, "{len} bytes at {offset}");
    }

    #[test]
    fn copies_within_and_across_blocks_give_the_bytes_of_the_source() {
        let source = counted(10 * BLOCK as u64 + 100);
        let mut blocks = SourceCache::new(&source, 1000);
        for offset in [0, 1, BLOCK as u64 - 1, BLOCK as u64, 3 * BLOCK as u64 - 7] {
            for len in [0, 1, 7, 8, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
                append(&mut blocks, offset, len);
            }
        }
        append(&mut blocks, 10 * BLOCK as u64 + 1, 99);
    }

    #[test]
    fn a_block_is_read_once_and_the_one_unused_longest_makes_room() {
        let source = counted(2 * (BLOCKS * BLOCK) as u64);
        let mut blocks = SourceCache::new(&source, 10_000);
        for number in 0..BLOCKS as u64 {
            append(&mut blocks, number * BLOCK as u64 + 5, 10);
        }
        append(&mut blocks, 7, 10); // block 0 is younger than block 1 now
        append(&mut blocks, (BLOCKS * BLOCK) as u64, 10);
        assert_eq!(source.reads.lock().unwrap().len(), BLOCKS + 1);
        append(&mut blocks, 0, 10);
        assert_eq!(source.reads.lock().unwrap().len(), BLOCKS + 1);
        append(&mut blocks, BLOCK as u64, 10);
        assert_eq!(source.reads.lock().unwrap().len(), BLOCKS + 2);
        assert_eq!(blocks.blocks.len(), BLOCKS);
        assert_eq!(blocks.places.len(), BLOCKS);
    }

    #[test]
    fn the_end_of_a_source_of_unknown_length_is_told() {
        let source = counted(BLOCK as u64 + 10);
        let mut blocks = SourceCache::new(&source, 10);
        for (offset, len) in [(BLOCK as u64, 11), (5, BLOCK + 6)] {
            let kind = blocks.append(offset, len, &mut Vec::new()).unwrap_err().kind;
            let needed = offset + len as u64;
            assert_eq!(kind, DecodeErrorKind::SourceTooShort { needed, available: BLOCK as u64 + 10 });
        }
    }

    #[test]
    fn reading_is_limited_per_window() {
        let source = counted(100 * BLOCK as u64);
        let mut blocks = SourceCache::new(&source, 3);
        append(&mut blocks, 0, 2 * BLOCK);
        append(&mut blocks, 0, 1);
        let kind = blocks.append(5 * BLOCK as u64, 1, &mut Vec::new()).unwrap_err().kind;
        assert_eq!(kind, DecodeErrorKind::Limit { limit: Limit::SourceBlocks, asked: 4, allowed: 3 });
        blocks.begin_window();
        append(&mut blocks, 5 * BLOCK as u64, 1);
    }
}
