//! Move-to-front coding, with runs of the first place written as numbers in two digits.
//!
//! A run of `r` is written as its bijective base-2 digits, the lowest first: the symbols 0 and 1
//! are the digits 1 and 2. Any other place is its index in the list plus one.
#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::error::{Fault, HuffmanFault};

/// Returns the symbols for `values`, each of which is in `list`.
pub(super) fn encode(values: impl IntoIterator<Item = u8>, list: &[u8]) -> Vec<u8> {
    let mut list = list.to_vec();
    let mut symbols = Vec::new();
    let mut run = 0u32;
    for value in values {
        match list.iter().position(|&other| other == value) {
            Some(0) => run = run.saturating_add(1),
            Some(place) => {
                write_run(&mut run, &mut symbols);
                symbols.push((place as u8).saturating_add(1));
                to_front(&mut list, place);
            }
            None => {}
        }
    }
    write_run(&mut run, &mut symbols);
    symbols
}

fn write_run(run: &mut u32, symbols: &mut Vec<u8>) {
    while let Some(less) = run.checked_sub(1) {
        symbols.push((less & 1) as u8);
        *run = less >> 1;
    }
}

fn to_front(list: &mut [u8], place: usize) {
    if let Some(front) = list.get_mut(..=place) {
        front.rotate_right(1);
    }
}

/// A decoder that turns symbols back into values, one by one.
#[derive(Debug)]
pub(super) struct FrontDecoder {
    list: Vec<u8>,
    /// The rest of an open run.
    run: usize,
    /// The weight of the next digit of a run; 1 if no run is open.
    weight: usize,
}

impl FrontDecoder {
    pub(super) fn new(list: &[u8]) -> Self {
        Self { list: list.to_vec(), run: 0, weight: 1 }
    }

    /// Returns the next value; calls `symbol` where it needs a symbol.
    #[inline]
    pub(super) fn value(
        &mut self,
        symbol: impl FnOnce() -> Result<u8, Fault>,
    ) -> Result<u8, Fault> {
        if self.run == 0 {
            match symbol()? {
                digit @ (0 | 1) => {
                    self.run = usize::from(digit).saturating_add(1).saturating_mul(self.weight);
                    self.weight = self.weight.saturating_mul(2);
                }
                symbol => {
                    self.weight = 1;
                    let place = usize::from(symbol).saturating_sub(1);
                    if place >= self.list.len() {
                        return Err(HuffmanFault::Code.into());
                    }
                    to_front(&mut self.list, place);
                    return Ok(self.first());
                }
            }
        }
        self.run = self.run.saturating_sub(1);
        Ok(self.first())
    }

    fn first(&self) -> u8 {
        self.list.first().copied().unwrap_or_default()
    }

    /// Checks that the values end here, without an open run.
    pub(super) fn finish(self) -> Result<(), Fault> {
        if self.run > 0 { Err(HuffmanFault::Run.into()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(
        count: usize,
        list: &[u8],
        symbols: &[u8],
    ) -> Result<Vec<u8>, crate::error::DecodeErrorKind> {
        let mut coded = symbols.iter();
        let mut front = FrontDecoder::new(list);
        let mut value = || front.value(|| coded.next().copied().ok_or(HuffmanFault::Ends.into()));
        let values = (0..count).map(|_| value()).collect::<Result<Vec<u8>, Fault>>();
        let values = values.and_then(|values| front.finish().map(|()| values));
        assert!(values.is_err() || coded.next().is_none());
        values.map_err(|fault| fault.kind)
    }

    #[test]
    fn runs_and_changes_round_trip() {
        let list = [3, 1, 2, 0];
        let mut values = Vec::new();
        for run in 0..70usize {
            values.extend(vec![(run % 4) as u8; run]);
            let symbols = encode(values.iter().copied(), &list);
            assert_eq!(decode(values.len(), &list, &symbols), Ok(values.clone()));
        }
        assert_eq!(encode([0; 6], &[0, 1]), [1, 1]);
        assert_eq!(encode([1, 1, 0], &[0, 1]), [2, 0, 2]);
    }

    /// Runs beyond the end of the values, and places beyond the list.
    #[test]
    fn invalid_symbols_are_rejected() {
        let rejected = |fault: HuffmanFault| Err(crate::error::DecodeErrorKind::Huffman(fault));
        assert_eq!(decode(1, &[5, 6], &[1]), rejected(HuffmanFault::Run));
        assert_eq!(decode(6, &[5, 6], &[0, 0, 0]), rejected(HuffmanFault::Run));
        assert_eq!(decode(1, &[5, 6], &[3]), rejected(HuffmanFault::Code));
        assert_eq!(decode(2, &[5, 6], &[0]), rejected(HuffmanFault::Ends));
        assert_eq!(decode(3, &[5, 6], &[2, 1]), Ok(vec![6, 6, 6]));
    }
}
