//! The properties that hold for any input. The fuzz targets call them, and so does `fuzz_corpus`
//! with stored inputs.

use deltaglider_vcdiff::encode::DjwLevel;
use deltaglider_vcdiff::inspect::inspect;
use deltaglider_vcdiff::rewrite::{RecodeOptions, merge, recode};
use deltaglider_vcdiff::{
    DecodeError, DecodeErrorKind, DecodeLimits, DecodeOptions, Decoder, EncodeError, EncodeOptions,
    Encoder, Level, Secondary, decode, encode,
};

/// Splits off a source, whose length is in the first two bytes, and returns the source and the
/// rest.
fn split(input: &[u8]) -> (&[u8], &[u8]) {
    let Some((len, rest)) = input.split_first_chunk::<2>() else { return (&[], input) };
    rest.split_at(usize::from(u16::from_le_bytes(*len)).min(rest.len()))
}

fn limited() -> DecodeOptions {
    let mut options = DecodeOptions::default();
    options.limits.window = 1 << 18;
    options.limits.target = Some(1 << 20);
    options.limits.sections = 1 << 19;
    options.limits.instructions = 1 << 16;
    options.limits.source_reads = 1 << 26;
    options.limits.target_history = 1 << 20;
    options
}

/// Returns the target decoded from pieces of `len` bytes, each window into a buffer that already
/// holds other bytes.
fn in_pieces(source: &[u8], delta: &[u8], len: usize, filling: u8) -> Result<Vec<u8>, DecodeError> {
    let mut decoder = Decoder::new(Some(source), &limited());
    let mut target = Vec::new();
    for mut piece in delta.chunks(len) {
        while !piece.is_empty() {
            let mut out = vec![filling; 5000];
            out.truncate(3);
            let before = out.clone();
            let pushed = decoder.push(piece, &mut out);
            assert_eq!(out[..3], before);
            assert!(pushed.is_ok() || out.len() == 3, "an error gives no bytes");
            piece = &piece[pushed?..];
            target.extend(&out[3..]);
        }
    }
    decoder.finish()?;
    Ok(target)
}

/// Checks that any delta is decoded or rejected in the same way, however it is cut and whatever the
/// buffers held, and inspection agrees.
pub fn decode_any(input: &[u8]) {
    let (source, delta) = split(input);
    let whole = decode(Some(source), delta, &limited());
    for (len, filling) in [(1 + input.len() % 50, 0xa5), (usize::MAX, 0)] {
        let pieces = in_pieces(source, delta, len, filling);
        match (&whole, &pieces) {
            (Ok(whole), Ok(pieces)) => assert!(whole == pieces),
            (Err(whole), Err(pieces)) => assert_eq!(whole.kind(), pieces.kind()),
            _ => panic!("whole {whole:?}, in pieces {pieces:?}"),
        }
    }
    let inspected = inspect(delta, &limited().limits).and_then(|windows| {
        let mut len = 0;
        for window in windows {
            let window = window?;
            for instruction in window.instructions() {
                len += instruction?.size;
            }
        }
        Ok(len)
    });
    if let Ok(target) = &whole {
        assert_eq!(inspected.unwrap(), target.len() as u64);
    }
}

/// Checks that no delta, however hostile, produces more than the limits allow.
pub fn decode_within_limits(input: &[u8]) {
    let (source, delta) = split(input);
    let mut options = DecodeOptions::default();
    let mut limits = DecodeLimits::default();
    // Lower than the seeds ask for, so that a missing limit is detected.
    (limits.window, limits.target, limits.sections, limits.instructions) = (40, Some(60), 200, 100);
    options.limits = limits;
    options.verify_checksum = false;
    let mut decoder = Decoder::new(Some(source), &options);
    let (mut out, mut rest) = (Vec::new(), delta);
    while !rest.is_empty() {
        let before = out.len();
        let Ok(taken) = decoder.push(rest, &mut out) else { break };
        assert!(taken > 0 && out.len() - before <= 40);
        rest = &rest[taken..];
    }
    assert!(out.len() <= 60);
}

/// Checks that encoded data is decoded unchanged, whatever the options; also recoded and merged.
pub fn round_trip(input: &[u8]) {
    let Some((&[level, kind, window], rest)) = input.split_first_chunk::<3>() else { return };
    let (source, target) = split(rest);
    let mut options = EncodeOptions::at_level(Level::new(level % 10).unwrap());
    options.secondary = match kind % 13 {
        0 => Secondary::None,
        1 => Secondary::Lzma,
        2 => Secondary::Fgk,
        level => Secondary::Djw(DjwLevel::new(level - 3).unwrap()),
    };
    options.window = (1 << 14) + usize::from(window) * 7;
    options.checksum = kind & 0x80 == 0;
    options.instruction_buffer = if window & 1 == 0 { 1 << 15 } else { 5 + u32::from(window) };
    let delta = match encode(Some(source), target, &options) {
        Ok(delta) => delta,
        Err(EncodeError::Undecodable { .. }) if options.secondary == Secondary::Fgk => return,
        Err(EncodeError::InstructionBufferExhausted) if options.instruction_buffer < 20 => return,
        Err(error) => panic!("{error}"),
    };
    assert!(decode(Some(source), &delta, &DecodeOptions::default()).unwrap() == target);
    let recoded = recode(&delta, &RecodeOptions::default()).unwrap();
    assert!(decode(Some(source), &recoded, &DecodeOptions::default()).unwrap() == target);
    let back = encode(Some(target), source, &EncodeOptions::default()).unwrap();
    let merged = merge(&[&delta, &back], &RecodeOptions::default()).unwrap();
    assert!(decode(Some(source), &merged, &DecodeOptions::default()).unwrap() == source);
}

/// Checks that the delta does not depend on how the target is cut into pushes.
pub fn chunking(input: &[u8]) {
    let (source, piece) = split(input);
    // Windows are at least 16 KiB, inputs of a fuzzer shorter.
    let target = piece.repeat(40_000 / (piece.len() + 1));
    let mut options = EncodeOptions::at_level(Level::new(input.len() as u8 % 10).unwrap());
    options.window = 1 << 14;
    let mut whole = None;
    for len in [usize::MAX, 1 + input.len() % 1000, 1 << 14] {
        let mut encoder = Encoder::new(Some(source), &options).unwrap();
        let mut delta = Vec::new();
        for mut piece in target.chunks(len) {
            while !piece.is_empty() {
                piece = &piece[encoder.push(piece, &mut delta).unwrap()..];
            }
        }
        encoder.finish(&mut delta).unwrap();
        assert!(*whole.get_or_insert_with(|| delta.clone()) == delta);
    }
}

/// Compresses the bytes as a section, which must decode to the same bytes, and decodes the bytes as
/// a section, which must succeed or fail cleanly.
fn section(secondary: Secondary, input: &[u8]) {
    let mut options = EncodeOptions::at_level(Level::FASTEST);
    options.secondary = secondary;
    let delta = encode(None, input, &options).unwrap();
    assert!(decode(None, &delta, &DecodeOptions::default()).unwrap() == input);

    // One window of one ADD, whose compressed data section is the input.
    let Some((len, stored)) = input.split_first_chunk::<2>() else { return };
    let len = u16::from_le_bytes(*len) & 0x3fff;
    let integer =
        |value: usize| [0x80 | (value >> 14) as u8, 0x80 | (value >> 7) as u8, value as u8 & 0x7f];
    let section = [&integer(usize::from(len))[1..], stored].concat();
    let add = [&[1][..], &integer(usize::from(len))[1..]].concat();
    let fields =
        [&integer(usize::from(len))[..], &[1], &integer(section.len()), &[add.len() as u8, 0]]
            .concat();
    let encoding = fields.len() + section.len() + add.len();
    let header = [0xd6, 0xc3, 0xc4, 0, 1, secondary.id().unwrap(), 0];
    let delta = [&header[..], &integer(encoding), &fields, &section, &add].concat();
    match decode(None, &delta, &limited()) {
        Ok(target) => assert_eq!(target.len(), usize::from(len)),
        Err(error) => assert!(!matches!(error.kind(), DecodeErrorKind::EncodingLength { .. })),
    }
}

/// Checks [`section`] for LZMA.
pub fn lzma(input: &[u8]) {
    section(Secondary::Lzma, input);
}

/// Checks [`section`] for DJW, with one code and with several.
pub fn djw(input: &[u8]) {
    section(Secondary::Djw(DjwLevel::DEFAULT), input);
    section(Secondary::Djw(DjwLevel::BEST), input);
}

/// Checks [`section`] for FGK.
pub fn fgk(input: &[u8]) {
    section(Secondary::Fgk, input);
}

/// Inspects headers and integers of any kind after the magic.
pub fn header(input: &[u8]) {
    let delta = [b"\xd6\xc3\xc4", input].concat();
    let Ok(windows) = inspect(delta.as_slice(), &limited().limits) else { return };
    assert!(windows.header_len() <= delta.len() as u64);
    let _ = windows.header().files();
    for window in windows.map_while(Result::ok) {
        assert!(window.delta_offset() < delta.len() as u64);
        let stored = window.stored();
        assert!(stored.data + stored.instructions + stored.addresses <= delta.len() as u64);
    }
}
