//! Deltas written by hand from RFC 3284 and from the documentation of xdelta3's format.

use deltaglider_vcdiff::{DecodeOptions, decode};

use super::decoded;
use crate::support::delta_by_hand::{
    HandWindow, ZEROS_CHUNK, delta, integer, lzma_delta, lzma_start, zeros_chunks,
};

/// RFC 3284, section 3: the example of a source, a target and the instructions between them.
const RFC_SOURCE: &[u8] = b"abcdefghijklmnop";
const RFC_TARGET: &[u8] = b"abcdwxyzefghefghefghefghzzzz";

#[test]
fn rfc_3284_example_decodes() {
    // COPY 4, 0; ADD 4, w x y z; COPY 4, 4; COPY 12, 24; RUN 4, z
    let window = HandWindow::new(28, b"wxyzz", &[20, 5, 20, 28, 0, 4], &[0, 4, 24]).source(16, 0);
    let expected = Ok(RFC_TARGET.to_vec());
    assert_eq!(decoded(Some(RFC_SOURCE), &delta(std::slice::from_ref(&window))), expected);
    assert_eq!(decoded(Some(RFC_SOURCE), &delta(&[window.checksum(RFC_TARGET)])), expected);
}

/// The same example with double codes and other address modes.
#[test]
fn rfc_3284_double_codes_decode() {
    // COPY 4 here-16; ADD 4 + COPY 4 near[0]+4; COPY 12 here-4 with a separate size; RUN 4
    let window =
        HandWindow::new(28, b"wxyzz", &[36, 163 + 24 + 9, 35, 12, 0, 4], &[16, 4, 4]).source(16, 0);
    assert_eq!(decoded(Some(RFC_SOURCE), &delta(&[window])), Ok(RFC_TARGET.to_vec()));
}

#[test]
fn documented_delta_decodes() {
    let delta = [
        b"\xd6\xc3\xc4\x00\x04\x07t1//s1/".as_slice(),
        b"\x05\x32\x00\x17\x48\x00\x04\x08\x02\x74\x1d\x17\x31",
        b"xxzq",
        b"\x03\x13\x14\x00\x13\x13\x1e\x02",
        b"\x00\x14",
    ]
    .concat();
    let source = b"01234567890123456789abcdefghijklmnopqrstuvwxyzABCD";
    let target = [b"xx", &source[..20], &[b'z'; 19], &source[20..50], b"q"].concat();
    let mut without_check = DecodeOptions::default();
    without_check.verify_checksum = false;
    assert_eq!(decode(Some(source), &delta, &without_check).unwrap(), target);
    assert!(decoded(Some(source), &delta).is_err(), "the checksum is that of another source");
}

#[test]
fn copy_may_overlap_output() {
    for (start, size) in [(&b"x"[..], 100), (b"ab", 99), (b"abc", 100), (b"abcdefgh", 9)] {
        let len = start.len() + size;
        let window =
            HandWindow::new(len as u64, start, &[1, start.len() as u8, 19, size as u8], &[0]);
        let expected: Vec<u8> = start.iter().copied().cycle().take(len).collect();
        assert_eq!(decoded(None, &delta(&[window])), Ok(expected));
    }
}

/// Sizes of zero and padded integers are read as xdelta3 reads them.
#[test]
fn zero_sizes_and_padding_decode() {
    for (data, instructions, addresses) in [
        (&b"ab"[..], &[1, 0, 3][..], &[][..]),
        (b"xab", &[0, 0, 3], &[]),
        (b"ab", &[19, 0, 3], &[0]),
        (b"ab", &[1, 0x80, 0x80, 0x80, 2], &[]),
    ] {
        let window = HandWindow::new(2, data, instructions, addresses).source(8, 0);
        assert_eq!(decoded(Some(b"abcdefgh"), &delta(&[window])), Ok(b"ab".to_vec()));
    }
}

/// It may end beyond the source as long as no copy reads there.
#[test]
fn copy_window_may_exceed_source() {
    let window = HandWindow::new(4, b"", &[20], &[2]).source(1000, 2);
    assert_eq!(decoded(Some(b"abcdefgh"), &delta(&[window])), Ok(b"efgh".to_vec()));
}

/// Each window also has its own copy window.
#[test]
fn windows_have_own_caches() {
    // The second window's near[0] and same[0] are 0 again, not the 6 of the first.
    let first = HandWindow::new(4, b"", &[20], &[6]).source(10, 0);
    let second = HandWindow::new(8, b"", &[20 + 32, 20 + 96], &[1, 1]).source(10, 3);
    let source = b"0123456789abcdef";
    assert_eq!(decoded(Some(source), &delta(&[first, second])), Ok(b"678945674567".to_vec()));
}

#[test]
fn empty_target_is_one_window() {
    assert_eq!(decoded(None, b"\xd6\xc3\xc4\0\0\x04\x09\0\0\0\0\0\0\0\0\x01"), Ok(Vec::new()));
}

#[test]
fn lzma_sections_share_one_stream() {
    let text = b"the dictionary is kept";
    let mut first = lzma_start(text.len() as u64);
    first.extend([1, 0, text.len() as u8 - 1]);
    first.extend(text);
    let second = b"\x03\x02\x00\x02abc".to_vec();
    let windows = [(first, text.len()), (second, 3)].map(|(data, len)| HandWindow {
        delta_indicator: 1,
        ..HandWindow::new(len as u64, &data, &[1, len as u8], &[])
    });
    assert_eq!(decoded(None, &lzma_delta(&windows)), Ok(b"the dictionary is keptabc".to_vec()));
}

#[test]
fn lzma_chunks_with_new_states() {
    let len = 3 * ZEROS_CHUNK;
    let data = [lzma_start(len as u64), zeros_chunks(3)].concat();
    let mut instructions = vec![1];
    integer(len as u64, &mut instructions);
    let window =
        HandWindow { delta_indicator: 1, ..HandWindow::new(len as u64, &data, &instructions, &[]) };
    assert!(decoded(None, &lzma_delta(&[window])).unwrap() == vec![0; len]);
}

/// A dictionary that was emptied and moved in memory begins where it was emptied.
#[test]
fn lzma_dictionary_reset_is_kept() {
    let add = |len: usize| {
        let mut add = vec![1];
        integer(len as u64, &mut add);
        add
    };
    let twice_emptied =
        [lzma_start(2 * ZEROS_CHUNK as u64), zeros_chunks(1), zeros_chunks(1)].concat();
    let mut continued = Vec::new();
    integer(ZEROS_CHUNK as u64, &mut continued);
    continued.extend(zeros_chunks(2).split_off(zeros_chunks(1).len()));
    let windows =
        [(twice_emptied, 2 * ZEROS_CHUNK), (continued, ZEROS_CHUNK)].map(|(data, len)| {
            HandWindow { delta_indicator: 1, ..HandWindow::new(len as u64, &data, &add(len), &[]) }
        });
    assert!(decoded(None, &lzma_delta(&windows)).unwrap() == vec![0; 3 * ZEROS_CHUNK]);
}
