//! Lengths of common prefixes and suffixes, compared eight bytes at a time.

const WORD: usize = 8;

fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |&chunk| u64::from_le_bytes(chunk))
}

/// Returns the number of equal bytes at the start of both.
#[inline]
pub(super) fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    let len = a.len().min(b.len());
    let (a, b) = (&a[..len], &b[..len]);
    let mut at = 0;
    for (x, y) in a.chunks_exact(WORD).zip(b.chunks_exact(WORD)) {
        let differing = word(x) ^ word(y);
        if differing != 0 {
            return at + (differing.trailing_zeros() / u8::BITS) as usize;
        }
        at += WORD;
    }
    at + a[at..].iter().zip(&b[at..]).take_while(|(x, y)| x == y).count()
}

/// Returns the number of equal bytes at the end of both.
#[inline]
pub(super) fn common_suffix(a: &[u8], b: &[u8]) -> usize {
    let len = a.len().min(b.len());
    let (a, b) = (&a[a.len() - len..], &b[b.len() - len..]);
    let mut at = 0;
    for (x, y) in a.rchunks_exact(WORD).zip(b.rchunks_exact(WORD)) {
        let differing = word(x) ^ word(y);
        if differing != 0 {
            return at + (differing.leading_zeros() / u8::BITS) as usize;
        }
        at += WORD;
    }
    at + a[..len - at]
        .iter()
        .rev()
        .zip(b[..len - at].iter().rev())
        .take_while(|(x, y)| x == y)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first difference is found to the byte, at every length and position.
    #[test]
    fn lengths_are_exact() {
        for len in 0..40 {
            let a: Vec<u8> = (0..len).map(|n| n as u8).collect();
            assert_eq!(common_prefix(&a, &a), len);
            assert_eq!(common_suffix(&a, &a), len);
            for differs in 0..len {
                let mut b = a.clone();
                b[differs] ^= 0x80;
                assert_eq!(common_prefix(&a, &b), differs);
                assert_eq!(common_suffix(&a, &b), len - 1 - differs);
            }
        }
        assert_eq!(common_prefix(b"abcdefghijk", b"abcdefghijklm"), 11);
        assert_eq!(common_suffix(b"cdefghijklm", b"abcdefghijklm"), 11);
    }
}
