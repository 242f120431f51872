//! The number of bytes read of a source that lends none.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use deltaglider_vcdiff::{DecodeOptions, Decoder, Source};

use crate::support::delta_by_hand::{HandWindow, delta, integer};

/// A source that computes its bytes from their positions and counts those it returns.
struct Computed {
    len: u64,
    read: AtomicU64,
}

fn byte_at(position: u64) -> u8 {
    (position.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

impl Source for &Computed {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let got = self.len.saturating_sub(offset).min(buf.len() as u64) as usize;
        for (position, byte) in (offset..).zip(&mut buf[..got]) {
            *byte = byte_at(position);
        }
        self.read.fetch_add(got as u64, Ordering::Relaxed);
        Ok(got)
    }

    fn len(&self) -> Option<u64> {
        Some(self.len)
    }
}

/// Decodes a window of `copies` copies of `size` bytes from places all over a source; returns the
/// number of source bytes read.
fn bytes_read(len: u64, copies: u64, size: u8) -> u64 {
    let places: Vec<u64> =
        (1..=copies).map(|copy| copy.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (len - 255)).collect();
    let (mut instructions, mut addresses) = (Vec::new(), Vec::new());
    for &place in &places {
        instructions.extend([19, size]); // COPY, mode 0, size follows
        integer(place, &mut addresses);
    }
    let window =
        HandWindow::new(copies * u64::from(size), b"", &instructions, &addresses).source(len, 0);
    let source = Computed { len, read: AtomicU64::new(0) };
    let mut decoder = Decoder::new(Some(&source), &DecodeOptions::default());
    let mut out = Vec::new();
    decoder.push(&delta(&[window]), &mut out).unwrap();
    for (copied, &place) in out.chunks(size.into()).zip(&places) {
        assert!(
            copied.iter().zip(place..).all(|(&byte, position)| byte == byte_at(position)),
            "at {place}"
        );
    }
    source.read.into_inner()
}

#[test]
fn scattered_copies_read_once() {
    let len = 48 << 20;
    let read = bytes_read(len, 60_000, 24);
    assert!(read <= len / 8 * 9, "{read} bytes of a source of {len}");
}

#[test]
fn far_copies_read_a_page_each() {
    let read = bytes_read(4_000_000_000, 2000, 24);
    assert!(read <= 2100 << 12, "{read} bytes read for 2000 copies");
}
