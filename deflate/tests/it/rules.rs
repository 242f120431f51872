//! Each rule against its naive twin, and against what it wrote when it got its number.

use std::fmt::Write as _;

use deltaglider_deflate::{
    BitWriter, Corrections, Family, GnuDeflater, GnuLevel, Limits, Rule, Span, Token, rebuild,
    segments,
};

use crate::support::{inputs, naive};

const GOLDEN: &str = include_str!("../data/golden.txt");

/// Returns the stream that a rule makes of a text, in one segment.
fn stream(rule: Rule, text: &[u8]) -> Vec<u8> {
    let span = Span::new(text, 0, text.len(), 0, 0).unwrap();
    let mut bits = BitWriter::at(0);
    rebuild(rule.into(), &span, &Corrections::default(), true, &mut bits).unwrap();
    bits.finish()
}

/// Returns the tokens of a stream; those of stored blocks are not known.
fn tokens(stream: &[u8]) -> Vec<Token> {
    let (segments, _) = segments(stream, &Limits::default()).unwrap();
    let blocks = segments.into_iter().flat_map(|segment| segment.blocks);
    blocks.flat_map(|block| block.tokens).collect()
}

fn compare(rule: Rule, text: &[u8]) {
    let (tokens, twin) = (tokens(&stream(rule, text)), naive::tokens(rule, text));
    let first = tokens.iter().zip(&twin).position(|(a, b)| a != b);
    assert!(
        tokens == twin,
        "{rule:?}: token {first:?} of {} and {}: {:?}",
        tokens.len(),
        twin.len(),
        first.map(|first| (tokens[first], twin[first]))
    );
}

#[test]
fn rules_match_naive_twins() {
    let text = [inputs::words(9000, 5), vec![b'z'; 700], inputs::words(3000, 6)].concat();
    for rule in Rule::all() {
        compare(rule, &text);
    }
}

#[test]
fn twins_agree_beyond_the_window() {
    let text = inputs::words(80_000, 7);
    for family in [Family::Zlib, Family::Chromium, Family::Gzip, Family::Go, Family::Miniz] {
        for level in [2, 3, 4, 6, 9] {
            compare(Rule::new(family, level, 8).unwrap(), &text);
        }
    }
}

/// The greatest distance depends on whether a candidate is the first one.
#[test]
fn twins_agree_at_the_greatest_distance() {
    let filling = inputs::words(33_000, 14);
    let families = [Family::Zlib, Family::Go, Family::Libdeflate, Family::ZlibNg, Family::Miniz];
    for gap in (32_500..=32_512).chain(32_762..=32_770) {
        let mut text = filling.clone();
        text[100..120].copy_from_slice(b"#FARTHEST-CANDIDATE#");
        text[150..160].copy_from_slice(b"#FARTHEST-");
        text.truncate(150 + gap);
        text.extend(b"#FARTHEST-CANDIDATE# and on");
        for family in families {
            compare(Rule::new(family, 7, 8).unwrap(), &text);
            compare(Rule::new(family, 7, 8).unwrap(), &text[50..]);
        }
    }
}

#[test]
fn zlib_ng_twin_agrees_beyond_the_window() {
    let text = [inputs::words(90_000, 11), vec![0; 3000], inputs::words(70_000, 12)].concat();
    for level in 5..=8 {
        compare(Rule::new(Family::ZlibNg, level, 8).unwrap(), &text);
    }
}

#[test]
fn libdeflate_twin_agrees_beyond_blocks() {
    let text = [inputs::words(20_000, 8), b"ab".repeat(3000), inputs::words(14_000, 9)].concat();
    for level in 1..=9 {
        compare(Rule::new(Family::Libdeflate, level, 8).unwrap(), &text);
    }
}

/// The writer of whole GNU gzip streams and the rule agree.
#[test]
fn gnu_deflater_matches_its_rule() {
    let text = inputs::mixed(400_000, 10);
    for (level, number) in [(GnuLevel::Default, 6), (GnuLevel::Best, 9)] {
        let rule = Rule::new(Family::Gzip, number, 8).unwrap();
        let mut deflater = GnuDeflater::new(Vec::new(), level);
        for piece in text.chunks(10_007) {
            deflater.write(piece).unwrap();
        }
        assert!(deflater.finish().unwrap() == stream(rule, &text), "{level:?}");
    }
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Compares the stream of every rule with the stored one; `UPDATE_GOLDEN=1` adds new rules.
///
/// A stored line never changes: objects depend on it. Each was compared with what the compressor
/// itself wrote. They are equal but for zlib-ng's levels 5 and 6, which forget a match where the
/// buffer of their caller is full.
#[test]
fn rules_write_what_they_wrote() {
    let text = inputs::mixed(400_000, 10);
    let mut found = String::new();
    for rule in Rule::all() {
        let stream = stream(rule, &text);
        writeln!(found, "{} {} {:016x}", rule.number(), stream.len(), fnv(&stream)).unwrap();
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/golden.txt");
        return std::fs::write(path, &found).unwrap();
    }
    assert!(found == GOLDEN, "expected\n{GOLDEN}\nfound\n{found}");
}
