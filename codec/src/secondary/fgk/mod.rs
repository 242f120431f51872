//! FGK sections: one adaptive Huffman code per section kind, kept and changed by every byte over
//! all windows of a delta.

mod tree;

pub(super) use tree::Tree;

use crate::error::Fault;
use crate::secondary::bits::{BitReader, BitWriter};

impl Tree {
    /// Appends the coded section; the tree changes whether the result is used or not.
    pub(super) fn encode_section(&mut self, section: &[u8], out: &mut Vec<u8>) {
        let mut bits = BitWriter::new(out);
        let mut path = Vec::new();
        for &byte in section {
            self.path(byte, &mut path);
            path.drain(..).rev().for_each(|bit| bits.bit(bit));
            self.update(byte);
        }
        bits.finish();
    }

    /// Appends a section of `len` bytes, which must use all of `input`.
    pub(super) fn decode_section(
        &mut self,
        input: &[u8],
        len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let mut bits = BitReader::new(input);
        for _ in 0..len {
            let byte = self.find(&mut bits)?;
            out.push(byte);
            self.update(byte);
        }
        bits.finish()
    }
}
