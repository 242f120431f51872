//! Every limit, and what is rejected for it.

use std::io::Write as _;

use deltaglider_deflate::{Limit, Limits, ParseErrorKind, Rule, segments};
use flate2::Compression;
use flate2::write::DeflateEncoder;

use crate::support::{inputs, properties};

fn zeros(len: usize) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(9));
    encoder.write_all(&vec![0; len]).unwrap();
    encoder.finish().unwrap()
}

fn exceeded(stream: &[u8], limits: &Limits) -> Limit {
    match segments(stream, limits).unwrap_err().kind() {
        ParseErrorKind::Limit { limit, needed, allowed } => {
            assert!(needed > allowed);
            limit
        }
        kind => panic!("{kind}"),
    }
}

#[test]
fn each_limit_rejects() {
    let stream = zeros(3 << 20);
    let defaults = Limits::default;
    assert!(segments(&stream, &defaults()).is_ok());
    assert_eq!(exceeded(&stream, &defaults().with_ratio(100)), Limit::Ratio);
    assert_eq!(exceeded(&stream, &defaults().with_text(1 << 20)), Limit::Text);
    assert_eq!(exceeded(&stream, &defaults().with_block_text(1 << 16)), Limit::BlockText);
    assert_eq!(exceeded(&stream, &defaults().with_block_tokens(100)), Limit::BlockTokens);
    // Empty stored blocks that are not last.
    let empty = [0, 0, 0, 0xff, 0xff].repeat(20);
    assert_eq!(exceeded(&empty, &defaults().with_empty_blocks(10)), Limit::EmptyBlocks);
}

/// Two letters give every search thousands of candidates.
#[test]
fn bounded_search_still_rebuilds() {
    let mut random = inputs::Random(13);
    let text: Vec<u8> = (0..60_000).map(|_| b'a' + (random.next() % 2) as u8).collect();
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::new(9));
    encoder.write_all(&text).unwrap();
    let stream = encoder.finish().unwrap();
    let (segments, _) = segments(&stream, &Limits::default()).unwrap();
    for rule in Rule::all().filter(|rule| rule.level() >= 8 && rule.memory() == 8) {
        assert!(properties::rebuilt(rule.into(), &segments) == stream, "{rule:?}");
    }
}
