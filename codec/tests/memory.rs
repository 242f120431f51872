//! The memory that a hostile delta can make the decoder allocate. A separate process, since it
//! measures the memory of the whole process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // in tests

#[path = "support/delta_by_hand.rs"]
#[allow(dead_code)] // shared with the decoder tests, which use all of it
mod delta_by_hand;

use delta_by_hand::{
    HandWindow, ZEROS_CHUNK, delta, integer, lzma_delta, lzma_start, zeros_chunks,
};
use deltaglider_vcdiff::{DecodeOptions, Decoder};

/// Returns a line of the kernel's statistics of this process, in bytes.
fn memory(line: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let rest = status.lines().find_map(|found| found.strip_prefix(line)).unwrap();
    rest.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().unwrap() << 10
}

fn decoder() -> Decoder<&'static [u8]> {
    Decoder::new(None, &DecodeOptions::default())
}

/// Stated lengths allocate nothing, and bombs no more than the limits allow.
#[test]
fn memory_stays_within_limits() {
    let mut out = Vec::with_capacity(64 << 20);
    let before = memory("VmPeak:");

    // Stated lengths alone, without their bytes.
    let claim = HandWindow::new(64 << 20, &[], &[], &[]).header([60 << 20, 20 << 20, 10 << 20]);
    let claims = [&delta(&[])[..], &claim].concat();
    let mut claimed = decoder();
    claimed.push(&claims, &mut out).unwrap();
    claimed.push(&[1; 100_000], &mut out).unwrap();
    let grown = memory("VmPeak:") - before;
    assert!(grown < 1 << 20, "lengths made it take {grown} bytes");

    // 63 MB of data from eleven kilobytes; then 63 MB of instructions that do nothing, with their
    // 31 MB of data.
    let zeros =
        |chunks: usize| [lzma_start((chunks * ZEROS_CHUNK) as u64), zeros_chunks(chunks)].concat();
    let len = 30 * ZEROS_CHUNK as u64;
    let mut add = vec![1];
    integer(len, &mut add);
    let first = HandWindow { delta_indicator: 1, ..HandWindow::new(len, &zeros(30), &add, &[]) };
    let mut data = Vec::new();
    integer(15 * ZEROS_CHUNK as u64, &mut data);
    data.extend(zeros_chunks(15));
    let second = HandWindow { delta_indicator: 3, ..HandWindow::new(0, &data, &zeros(30), &[]) };
    let mut bombed = decoder();
    let before = memory("VmRSS:");
    let bombs = lzma_delta(&[first, second]);
    let taken = bombed.push(&bombs, &mut out).unwrap();
    assert!(out == vec![0; len as usize]);
    out.clear();
    bombed.push(&bombs[taken..], &mut out).unwrap();
    assert_eq!(bombed.finish().unwrap().windows, 2);
    // The window and the sections of one window at a time, with the dictionaries; the expected
    // bytes above are as large.
    let grown = memory("VmHWM:") - before;
    assert!((100 << 20..200 << 20).contains(&grown), "bombs made it take {grown} bytes");
}
