//! Compares deltas with those of xdelta3 3.0.11 without running it: by digests stored with the
//! options that made them.
use crate::support::golden;
use deltaglider_vcdiff::EncodeError;

#[test]
fn stored_cases_match_xdelta3() {
    let table = include_str!("../data/golden.txt");
    let mut compared = 0;
    for ((number, kind), stored) in golden::cases().zip(table.lines()) {
        let case = kind.case(number);
        let delta = match case.encode(10_007) {
            Ok(delta) => golden::digest(&delta),
            Err(EncodeError::InstructionBufferExhausted | EncodeError::Undecodable { .. }) => {
                golden::REFUSED.to_owned()
            }
            Err(error) => panic!("case {number}: {error}"),
        };
        assert_eq!(golden::line(number, kind, &case, &delta).trim_end(), stored);
        compared += 1;
    }
    assert_eq!(compared, golden::cases().count());
    assert_eq!(compared, table.lines().count());
}
