//! Sources that lend their bytes give the same results as sources that are read, without a read.

use deltaglider_vcdiff::{DecodeOptions, Decoder};
use proptest::prelude::*;

use crate::support::case::{Case, Lent, MaybePiped};

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn lent_source_gives_same_delta(case in 1..1_000_000u64) {
        let case = Case::new(case, false);
        prop_assert_eq!(case.encode_lent(10_007).ok(), case.encode(10_007).ok());
    }

    #[test]
    fn lent_source_gives_same_target(case in 1..1_000_000u64) {
        let case = Case::new(case, false);
        let Ok(delta) = case.encode(usize::MAX) else { return Ok(()) };
        let source = case.source.as_deref().map(|bytes| Lent(MaybePiped { bytes, piped: false }));
        let mut decoder = Decoder::new(source, &DecodeOptions::default());
        let (mut rest, mut target) = (&delta[..], Vec::new());
        while !rest.is_empty() {
            let taken = decoder.push(rest, &mut target).unwrap();
            rest = &rest[taken..];
        }
        decoder.finish().unwrap();
        prop_assert!(target == case.target);
    }
}

/// Sources larger than the source window, whose blocks are evicted one by one.
#[test]
fn lent_source_beyond_window() {
    for number in 1..=12 {
        let case = Case::new(number, true);
        assert_eq!(case.encode_lent(10_007).ok(), case.encode(10_007).ok(), "case {number}");
    }
}
