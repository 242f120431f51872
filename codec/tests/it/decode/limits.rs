//! Every limit, exceeded by a delta made for it.

use deltaglider_vcdiff::{
    DecodeErrorKind, DecodeLimits, DecodeOptions, Decoder, Limit, Source, decode,
};

use crate::support::delta_by_hand::{
    HandWindow, ZEROS_CHUNK, delta, integer, lzma_delta, lzma_start, zeros_chunks,
};

fn limited(change: impl Fn(&mut DecodeLimits)) -> DecodeOptions {
    let mut limits = DecodeLimits::default();
    change(&mut limits);
    limits.into()
}

/// Asserts that the delta exceeds this limit at `allowed`, and decodes when one more, or the
/// required amount, is allowed.
fn assert_limit(
    delta: &[u8],
    source: Option<&[u8]>,
    limit: Limit,
    set: impl Fn(&mut DecodeLimits, u64),
    asked: u64,
) {
    let allowed = asked - 1;
    let error = decode(source, delta, &limited(|limits| set(limits, allowed))).unwrap_err();
    assert_eq!(*error.kind(), DecodeErrorKind::Limit { limit, asked, allowed });
    decode(source, delta, &limited(|limits| set(limits, asked))).unwrap();
}

/// A source that lends no bytes.
struct Read(Vec<u8>);

impl Source for Read {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        self.0.read_at(offset, buf)
    }

    fn len(&self) -> Option<u64> {
        Source::len(&self.0)
    }
}

#[test]
fn each_limit_is_kept_to_the_byte() {
    let run = |len: u64| {
        let mut instructions = vec![0];
        integer(len, &mut instructions);
        HandWindow::new(len, b"x", &instructions, &[])
    };
    let one = delta(&[run(1000)]);
    assert_limit(&one, None, Limit::Window, |limits, to| limits.window = to, 1000);
    let two = delta(&[run(1000), run(500)]);
    assert_limit(&two, None, Limit::Target, |limits, to| limits.target = Some(to), 1500);
    let amplified = 1000u64.div_ceil(one.len() as u64);
    assert_limit(
        &one,
        None,
        Limit::Amplification,
        |limits, to| limits.amplification = Some(to),
        amplified,
    );
    assert_limit(&one, None, Limit::StoredSections, |limits, to| limits.sections = to, 4);
    let many = delta(&[HandWindow::new(5, b"abcde", &[2, 2, 2, 2, 2], &[])]);
    assert_limit(&many, None, Limit::Instructions, |limits, to| limits.instructions = to, 5);
    let source = vec![b's'; 200_000];
    let copies = HandWindow::new(8, b"", &[20, 20], &[0, 0x84, 0]).source(199_999, 1);
    assert_limit(
        &delta(std::slice::from_ref(&copies)),
        Some(&source),
        Limit::SourceSpan,
        |limits, to| limits.source_span = to,
        199_999,
    );
    let far = HandWindow { addresses: vec![0, 0x8a, 0xae, 0x60], ..copies };
    let far = delta(&[far]);
    let read = |allowed| {
        let options = limited(|limits| limits.source_reads = allowed);
        let mut decoder = Decoder::new(Some(Read(source.clone())), &options);
        decoder.push(&far, &mut Vec::new()).map_err(|error| *error.kind())
    };
    let rejection =
        DecodeErrorKind::Limit { limit: Limit::SourceReads, asked: 8192, allowed: 8191 };
    assert_eq!((read(8191), read(8192)), (Err(rejection), Ok(far.len())));
    // A source that lends its bytes is not read.
    decode(Some(&source), &far, &limited(|limits| limits.source_reads = 0)).unwrap();
    let named = b"\xd6\xc3\xc4\0\x04\x03abc\x04\x09\0\0\0\0\0\0\0\0\x01";
    assert_limit(
        named,
        None,
        Limit::ApplicationHeader,
        |limits, to| limits.application_header = to,
        3,
    );
}

#[test]
fn sections_share_one_limit() {
    let bomb = |len: u64| HandWindow {
        delta_indicator: 1,
        ..HandWindow::new(1, &lzma_start(len), &[2], &[])
    };
    let error =
        decode(None, &lzma_delta(&[bomb(97 << 20)]), &DecodeOptions::default()).unwrap_err();
    let limit = Limit::DecompressedSections;
    assert_eq!(*error.kind(), DecodeErrorKind::Limit { limit, asked: 97 << 20, allowed: 96 << 20 });
    // 60 MB in the data section leave less than 60 MB for the addresses.
    let (len, chunks) = (30 * ZEROS_CHUNK as u64, zeros_chunks(30));
    let zeros = [lzma_start(len), chunks].concat();
    let window = HandWindow { delta_indicator: 5, ..HandWindow::new(1, &zeros, &[2], &zeros) };
    let error = decode(None, &lzma_delta(&[window]), &DecodeOptions::default()).unwrap_err();
    assert_eq!(*error.kind(), DecodeErrorKind::Limit { limit, asked: 2 * len, allowed: 96 << 20 });
}

#[test]
fn limit_applies_before_bytes() {
    let header = HandWindow::new(1, &[], &[], &[]).header([200 << 20, 1, 0]);
    let mut decoder = Decoder::<&[u8]>::new(None, &DecodeOptions::default());
    let error = decoder.push(&[&delta(&[]), &header[..]].concat(), &mut Vec::new()).unwrap_err();
    assert!(matches!(error.kind(), DecodeErrorKind::Limit { limit: Limit::StoredSections, .. }));
}

/// `decode` allows one gibibyte of target unless the limit is set.
#[test]
fn in_memory_target_is_limited() {
    let delta =
        [&delta(&[])[..], &HandWindow::new((1 << 30) + 1, &[], &[], &[]).header([0; 3])].concat();
    let window = |limits: &mut DecodeLimits| limits.window = u64::MAX;
    let error = decode(None, &delta, &limited(window)).unwrap_err();
    let limit = Limit::Target;
    assert_eq!(
        *error.kind(),
        DecodeErrorKind::Limit { limit, asked: (1 << 30) + 1, allowed: 1 << 30 }
    );
    let unlimited =
        |limits: &mut DecodeLimits| (limits.window, limits.target) = (u64::MAX, Some(u64::MAX));
    let error = decode(None, &delta, &limited(unlimited)).unwrap_err();
    assert!(matches!(error.kind(), DecodeErrorKind::WindowShort { .. }), "{error}");
}

/// Three thousand bytes, 13 MiB of zeros, the same bytes: LZMA2 of liblzma with a dictionary of 16
/// MiB, cut into its seven chunks.
const FAR_MATCH: &[u8] = include_bytes!("../../fixtures/decode/far-match.lzma2");

/// Returns a delta with one window for each chunk.
fn far_match() -> Vec<u8> {
    let mut windows = Vec::new();
    let mut rest = FAR_MATCH;
    while let [control, high, low, coded_high, coded_low, ..] = *rest {
        let len = usize::from(control & 0x1f) << 16 | usize::from(high) << 8 | usize::from(low);
        let coded = usize::from(coded_high) << 8 | usize::from(coded_low);
        let (chunk, after) = rest.split_at(6 + usize::from(control >= 0xc0) + coded);
        rest = after;
        let len = len as u64 + 1;
        let (mut data, mut add) = (Vec::new(), vec![1]);
        integer(len, &mut data);
        if windows.is_empty() {
            data.extend(b"\xfd7zXZ\0\0\0\xff\x12\xd9\x41\x02\0\x21\x01\x18\0\0\0\x47\x58\x3a\x43");
        }
        data.extend(chunk);
        integer(len, &mut add);
        windows.push(HandWindow { delta_indicator: 1, ..HandWindow::new(len, &data, &add, &[]) });
    }
    lzma_delta(&windows)
}

#[test]
fn large_dictionary_decodes() {
    let target = decode(None, &far_match(), &DecodeOptions::default()).unwrap();
    let (first, rest) = target.split_at(3000);
    let (zeros, last) = rest.split_at(13 << 20);
    assert!(
        first == last && zeros.iter().all(|&byte| byte == 0) && first.iter().any(|&byte| byte != 0)
    );
}

/// The limit applies to the bytes a match needs, not to the declared dictionary.
#[test]
fn dictionary_limit_counts_needs() {
    let delta = far_match();
    let mut decoder = Decoder::<&[u8]>::new(None, &limited(|limits| limits.dictionary = 4 << 20));
    let (mut rest, mut out) = (&delta[..], Vec::new());
    let error = loop {
        out.clear();
        match decoder.push(rest, &mut out) {
            Ok(taken) => rest = &rest[taken..],
            Err(error) => break error,
        }
    };
    // The zeros are decoded, and only the last window needs discarded bytes.
    assert_eq!((error.window(), decoder.declared_dictionaries()), (Some(6), 16 << 20));
    let DecodeErrorKind::Limit { limit: Limit::Dictionary, asked, allowed } = *error.kind() else {
        panic!("{error}")
    };
    assert_eq!(allowed, 4 << 20);
    assert!((11 << 20..=13 << 20).contains(&asked), "{asked}");
    decode(None, &delta, &limited(|limits| limits.dictionary = 13 << 20)).unwrap();
}

/// A source of any length that consists of one byte value.
struct Uniform;

impl Source for Uniform {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        buf.fill((offset >> 32) as u8);
        Ok(buf.len())
    }

    fn len(&self) -> Option<u64> {
        Some(1 << 40)
    }
}

/// It is decoded only if the limit allows it.
#[test]
fn copy_window_above_4_gib() {
    let mut addresses = Vec::new();
    // By its address, back from the current one, and relative to the last one.
    integer(5 << 32, &mut addresses);
    integer((6 << 32) + 4 - (3 << 32), &mut addresses);
    integer(1 << 32, &mut addresses);
    let window = HandWindow::new(12, b"", &[20, 36, 20 + 16 * 3], &addresses).source(6 << 32, 0);
    let delta = delta(&[window]);
    let read = |span: u64| {
        let mut decoder = Decoder::new(Some(Uniform), &limited(|limits| limits.source_span = span));
        let mut out = Vec::new();
        decoder.push(&delta, &mut out).map(|_| out).map_err(|error| *error.kind())
    };
    let (asked, allowed) = (6 << 32, u64::from(u32::MAX));
    assert_eq!(
        read(allowed),
        Err(DecodeErrorKind::Limit { limit: Limit::SourceSpan, asked, allowed })
    );
    assert_eq!(read(asked), Ok([[5; 4], [3; 4], [4; 4]].concat()));
}
