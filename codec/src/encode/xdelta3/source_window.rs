//! The available part of the source: a first-in, first-out buffer of 32 blocks, as xdelta3 keeps it
//! even for a file it could seek in.
//!
//! The evicted blocks determine which matches exist, so the delta's bytes depend on them.

use std::io;

use crate::Source;
use crate::encode::options::SOURCE_BLOCKS;
use crate::encode::pages::Pages;

/// The blocks of a source, of which the newest are kept. The source itself is passed to each call.
#[derive(Debug)]
pub(super) struct SourceWindow {
    /// The bytes of the blocks, slot by slot; slot `k` holds one of the blocks `k`, `k + slots`, `k
    /// + 2 * slots`, ... Empty for a source that lends its bytes: its blocks are not copied, and
    ///   `held` alone determines which ones are available.
    memory: Pages,
    /// The number of the block in each slot.
    held: Vec<u64>,
    block_len: u64,
    /// The length the source states; no bytes beyond it are read.
    stated: Option<u64>,
    /// The last block read and its length, which is the end of the source when `ended`.
    last: u64,
    last_len: u64,
    ended: bool,
}

impl SourceWindow {
    /// Reads the first `window` bytes.
    pub(super) fn new(source: &dyn Source, window: u64) -> io::Result<Self> {
        let stated = source.len();
        let available = stated.map_or(window, |len| len.min(window)) as usize;
        let mut memory = Pages::default();
        let got = if let Some(lent) = source.bytes() {
            lent.len()
        } else {
            memory = Pages::zeroed(available);
            source.read_at(0, &mut memory)?
        };
        let got = got.min(available) as u64;
        if stated.is_some() && got < available as u64 {
            return Err(shorter_than_stated());
        }
        let len = if got < window { Some(stated.unwrap_or(got)) } else { stated };
        let (block_len, held) = match len {
            Some(len) if len <= window => (window, vec![0]),
            _ => (window / SOURCE_BLOCKS, (0..SOURCE_BLOCKS).collect()),
        };
        let (last, last_len) = match len {
            Some(len) => (len / block_len, len % block_len),
            None => (SOURCE_BLOCKS - 1, block_len),
        };
        Ok(Self { memory, held, block_len, stated, last, last_len, ended: len.is_some() })
    }

    pub(super) fn block_len(&self) -> u64 {
        self.block_len
    }

    /// Returns the length of the source, once it is known.
    pub(super) fn end(&self) -> Option<u64> {
        self.ended.then_some(self.last * self.block_len + self.last_len)
    }

    /// Returns the bytes of a block, shorter than [`Self::block_len`] only at the end of the
    /// source; `None` if it was already evicted for a later one.
    pub(super) fn block<'a>(
        &'a mut self,
        source: &'a dyn Source,
        number: u64,
    ) -> io::Result<Option<&'a [u8]>> {
        let slot = (number % self.held.len() as u64) as usize;
        let start = slot * self.block_len as usize;
        if self.held[slot] > number {
            return Ok(None);
        }
        if self.held[slot] < number {
            self.read(source, number, slot, start)?;
        }
        let len = if number == self.last { self.last_len } else { self.block_len } as usize;
        let bytes = match source.bytes() {
            Some(lent) => {
                lent.get((number * self.block_len) as usize..).and_then(|rest| rest.get(..len))
            }
            None => self.memory.get(start..start + len),
        };
        Ok(Some(bytes.unwrap_or_default()))
    }

    /// Returns the four bytes at a position, if they are available without a read and in one block.
    #[inline]
    pub(super) fn four(&self, source: &dyn Source, position: u64) -> Option<u32> {
        let number = position / self.block_len;
        let slot = (number % self.held.len() as u64) as usize;
        if self.held[slot] != number {
            return None;
        }
        let len = if number == self.last { self.last_len } else { self.block_len } as usize;
        let within = (position % self.block_len) as usize;
        let at = match source.bytes() {
            Some(_) => position as usize,
            None => slot * self.block_len as usize + within,
        };
        let bytes = source.bytes().unwrap_or(&self.memory).get(at..)?;
        let bytes = bytes.get(..len.checked_sub(within)?)?;
        bytes.first_chunk().map(|&four| u32::from_le_bytes(four))
    }

    fn read(
        &mut self,
        source: &dyn Source,
        number: u64,
        slot: usize,
        start: usize,
    ) -> io::Result<()> {
        let offset = number * self.block_len;
        let wanted = match self.stated {
            Some(len) => len.saturating_sub(offset).min(self.block_len),
            None => self.block_len,
        } as usize;
        let got = if let Some(lent) = source.bytes() {
            (lent.len() as u64).saturating_sub(offset).min(wanted as u64) as usize
        } else {
            let buffer = self.memory.get_mut(start..start + wanted).unwrap_or_default();
            if buffer.is_empty() { 0 } else { source.read_at(offset, buffer)?.min(wanted) }
        };
        if got < wanted && (self.stated.is_some() || number < self.last) {
            return Err(shorter_than_stated());
        }
        self.held[slot] = number;
        if number >= self.last {
            self.ended |= number > self.last && (got as u64) < self.block_len;
            self.last = number;
            self.last_len = got as u64;
        }
        Ok(())
    }
}

fn shorter_than_stated() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the source ends before its stated length")
}
