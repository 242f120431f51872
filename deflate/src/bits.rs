//! Bits of bytes, the low bit first (RFC 1951, 3.1.1).
#![deny(clippy::unwrap_used, clippy::indexing_slicing)]

/// A writer of bits that may begin inside a byte.
///
/// Segments of one stream can be written apart: the first byte of a segment that does not begin at
/// a byte has zeros for the bits before it, and is joined by OR with the last byte of the segment
/// before.
///
/// ```
/// use deltaglider_deflate::BitWriter;
///
/// let mut bits = BitWriter::at(3);
/// bits.put(0b11, 2);
/// assert_eq!(bits.position() % 8, 5);
/// assert_eq!(bits.finish(), [0b0001_1000]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct BitWriter {
    bytes: Vec<u8>,
    kept: u64,
    count: u32,
    /// The position of the first bit of `bytes`.
    base: u64,
}

impl BitWriter {
    /// Creates a writer whose first bit has this offset in the stream.
    pub fn at(bit: u64) -> Self {
        let count = (bit % 8) as u32;
        Self { bytes: Vec::new(), kept: 0, count, base: bit - u64::from(count) }
    }

    /// Appends the low `count` bits of `value`, at most 32; the bits above must be zero.
    #[inline]
    pub fn put(&mut self, value: u32, count: u8) {
        debug_assert!(count <= 32 && u64::from(value) < 1 << count);
        self.kept |= u64::from(value) << self.count;
        self.count += u32::from(count);
        if self.count >= 32 {
            self.bytes.extend_from_slice(&(self.kept as u32).to_le_bytes());
            self.kept >>= 32;
            self.count -= 32;
        }
    }

    /// Appends the low bits of each item's value, as many as it says and at most 48; the bits above
    /// must be zero.
    #[inline]
    pub(crate) fn put_all(&mut self, items: impl ExactSizeIterator<Item = (u64, u32)>) {
        self.flush();
        let start = self.bytes.len();
        // Six bytes an item, and eight are written at a time.
        self.bytes.resize(start + 6 * items.len() + 8, 0);
        let (mut at, mut kept, mut count) = (start, self.kept, self.count);
        for (value, bits) in items {
            kept |= value << count;
            count += bits;
            if let Some(to) = self.bytes.get_mut(at..).and_then(|to| to.first_chunk_mut::<8>()) {
                *to = kept.to_le_bytes();
            }
            at += (count / 8) as usize;
            kept >>= count & !7;
            count %= 8;
        }
        self.bytes.truncate(at);
        (self.kept, self.count) = (kept, count);
    }

    /// Appends bits of `padding` up to the end of the byte.
    pub(crate) fn align(&mut self, padding: u8) {
        let count = (8 - self.count % 8) % 8;
        self.put(u32::from(padding) & ((1 << count) - 1), count as u8);
    }

    /// Appends bytes; the writer must be at the start of a byte.
    pub(crate) fn put_bytes(&mut self, bytes: &[u8]) {
        self.flush();
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the offset in the stream of the next bit.
    pub fn position(&self) -> u64 {
        self.base + 8 * self.bytes.len() as u64 + u64::from(self.count)
    }

    fn flush(&mut self) {
        while self.count >= 8 {
            self.bytes.push(self.kept as u8);
            self.kept >>= 8;
            self.count -= 8;
        }
    }

    /// Removes and returns the whole bytes written so far.
    pub fn take(&mut self) -> Vec<u8> {
        self.flush();
        self.base += 8 * self.bytes.len() as u64;
        std::mem::take(&mut self.bytes)
    }

    /// Returns the bytes left; the bits after the last one are zero.
    pub fn finish(mut self) -> Vec<u8> {
        self.flush();
        if self.count > 0 {
            self.bytes.push(self.kept as u8);
        }
        self.bytes
    }
}

/// A reader of bits that remembers where it is between calls with more input.
#[derive(Clone, Debug, Default)]
pub(crate) struct BitReader {
    kept: u64,
    count: u32,
}

impl BitReader {
    /// Creates a reader of `count` bits.
    pub(crate) fn with(kept: u64, count: u32) -> Self {
        Self { kept, count }
    }

    /// Takes bytes of `input` from `at` on, so that at least 56 bits are kept if there are any.
    #[inline]
    pub(crate) fn refill(&mut self, input: &[u8], at: &mut usize) {
        if let Some(eight) = input.get(*at..).and_then(|rest| rest.first_chunk::<8>()) {
            self.kept |= u64::from_le_bytes(*eight) << self.count;
            let taken = (63 - self.count) / 8;
            *at += taken as usize;
            self.count += taken * 8;
            // The bits above `count` were read and are read again.
            self.kept &= u64::MAX >> (64 - self.count);
            return;
        }
        while self.count < 56 {
            let Some(&byte) = input.get(*at) else { return };
            self.kept |= u64::from(byte) << self.count;
            self.count += 8;
            *at += 1;
        }
    }

    /// Returns the number of bits kept.
    #[inline]
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// Returns the bits kept; those that are missing are zero.
    #[inline]
    pub(crate) fn peek(&self) -> u64 {
        self.kept
    }

    /// Drops `count` bits, at most 63; returns `None` if there are fewer.
    #[inline]
    pub(crate) fn skip(&mut self, count: u32) -> Option<()> {
        self.count = self.count.checked_sub(count)?;
        self.kept >>= count;
        Some(())
    }

    /// Removes and returns `count` bits, at most 32; `None` if there are fewer.
    #[inline]
    pub(crate) fn take(&mut self, count: u32) -> Option<u32> {
        let value = self.kept & ((1 << count) - 1);
        self.skip(count)?;
        Some(value as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_was_written() {
        let mut bits = BitWriter::at(0);
        for n in 0..200u32 {
            bits.put(n & 0x1f, 5);
            bits.put(0xdead_beef, 32);
        }
        let bytes = bits.finish();
        let (mut reader, mut at) = (BitReader::default(), 0);
        for n in 0..200 {
            reader.refill(&bytes, &mut at);
            assert_eq!(reader.take(5), Some(n & 0x1f));
            assert_eq!(reader.take(32), Some(0xdead_beef));
        }
        assert_eq!(reader.take(8), None);
    }

    #[test]
    fn position_counts_taken_bytes() {
        let mut bits = BitWriter::at(13);
        bits.put(1, 20);
        assert_eq!(bits.position(), 33);
        assert_eq!(bits.take().len(), 3);
        assert_eq!(bits.position(), 33);
        bits.align(0xff);
        assert_eq!(bits.position(), 40);
        assert_eq!(bits.finish(), [0xfe]);
    }
}
