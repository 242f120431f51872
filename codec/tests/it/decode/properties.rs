//! The decoder compared with the naive one, on random and on damaged deltas.

use proptest::prelude::*;

use super::{decoded, naive};
use crate::support::decode_inputs::{FIXTURES, fixture, input};
use crate::support::delta_by_hand::{HandWindow, delta, integer};

#[derive(Clone, Debug)]
enum Step {
    Add(Vec<u8>),
    Run(u8, u16),
    Copy { mode: u8, at: u32, size: u16 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Step::Add),
        (any::<u8>(), 0..300u16).prop_map(|(byte, size)| Step::Run(byte, size)),
        (0..9u8, any::<u32>(), 0..300u16).prop_map(|(mode, at, size)| Step::Copy {
            mode,
            at,
            size
        }),
    ]
}

/// Returns a window of these steps, each with a separate size. Addresses of mode 0 and 1 are valid,
/// those of the other modes arbitrary.
fn window(steps: &[Step], copy: Option<(u64, u64)>) -> HandWindow {
    let copy_len = copy.map_or(0, |(len, _)| len);
    let mut window = HandWindow { source: copy, ..HandWindow::default() };
    for step in steps {
        let here = copy_len + window.target_len;
        let (code, size) = match step {
            Step::Add(bytes) => {
                window.data.extend(bytes);
                (1, bytes.len() as u64)
            }
            Step::Run(byte, size) => {
                window.data.push(*byte);
                (0, u64::from(*size))
            }
            Step::Copy { .. } if here == 0 => continue,
            Step::Copy { mode, at, size } => {
                let address = u64::from(*at) % here;
                let available = if address < copy_len { copy_len - address } else { u64::MAX };
                match mode {
                    0 => integer(address, &mut window.addresses),
                    1 => integer(here - address, &mut window.addresses),
                    2..=5 => integer(u64::from(*at % 40), &mut window.addresses),
                    _ => window.addresses.push(if at % 3 == 0 { *at as u8 } else { 0 }),
                }
                (19 + 16 * mode, available.min(u64::from(*size)))
            }
        };
        window.instructions.push(code);
        integer(size, &mut window.instructions);
        window.target_len += size;
    }
    window
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_codes_match_naive(
        source in prop::collection::vec(any::<u8>(), 0..2000),
        windows in prop::collection::vec(
            (prop::collection::vec(step(), 0..30), any::<[u16; 2]>()),
            1..4,
        ),
    ) {
        let windows: Vec<HandWindow> = windows.iter().map(|(steps, [len, offset])| {
            let offset = u64::from(*offset) % (source.len() as u64 + 1);
            let len = u64::from(*len) % (source.len() as u64 - offset + 2);
            window(steps, (len > 0).then_some((len, offset)))
        }).collect();
        let delta = delta(&windows);
        prop_assert_eq!(decoded(Some(&source), &delta).ok(), naive::decode(&source, &delta));
    }

    #[test]
    fn random_bytes_match_naive(
        body in prop::collection::vec(0..32u8, 0..60),
    ) {
        let delta = [b"\xd6\xc3\xc4\0\0".as_slice(), &body].concat();
        let expected = naive::decode(b"0123456789", &delta);
        prop_assert_eq!(decoded(Some(b"0123456789"), &delta).ok(), expected);
    }
}

#[test]
fn some_random_deltas_are_valid() {
    let steps =
        [Step::Add(b"ab".to_vec()), Step::Copy { mode: 1, at: 1, size: 30 }, Step::Run(7, 3)];
    let delta = delta(&[window(&steps, Some((5, 2)))]);
    assert!(naive::decode(b"0123456789", &delta).is_some());
}

#[test]
fn damaged_deltas_match_naive() {
    let (mut compared, mut right) = (0, 0);
    for (file, name, _) in
        FIXTURES.iter().filter(|(file, ..)| file.starts_with("tiny") && !file.contains("lzma"))
    {
        let (pair, delta) = (input(name, 1), fixture(file));
        let source = pair.source.unwrap_or_default();
        assert_eq!(naive::decode(&source, &delta), Some(pair.target));
        for at in 0..delta.len() {
            for byte in 0..=255 {
                let mut damaged = delta.clone();
                damaged[at] = byte;
                let expected = naive::decode(&source, &damaged);
                assert_eq!(
                    decoded(Some(&source), &damaged).ok(),
                    expected,
                    "{file}: {byte:#x} at {at}"
                );
                compared += 1;
                right += usize::from(expected.is_some());
            }
        }
    }
    assert!(compared > 10_000 && right > 1000, "{right} of {compared}");
}
