//! The inspection of deltas.

use std::error::Error as _;
use std::io;

use deltaglider_vcdiff::decode::{Part, Section};
use deltaglider_vcdiff::inspect::{
    CopyFrom, CopyWindow, Instruction, Operation, SectionLengths, Window, inspect,
};
use deltaglider_vcdiff::{DecodeErrorKind, DecodeLimits};

use crate::support::decode_inputs::{FIXTURES, fixture, input};
use crate::support::delta_by_hand::{HandWindow, delta};

/// The example of xdelta3's documentation, field by field.
#[test]
fn documented_delta_is_inspected() {
    let delta = [
        b"\xd6\xc3\xc4\x00\x04\x07t1//s1/".as_slice(),
        b"\x05\x32\x00\x17\x48\x00\x04\x08\x02\x74\x1d\x17\x31",
        b"xxzq\x03\x13\x14\x00\x13\x13\x1e\x02\x00\x14",
    ]
    .concat();
    let mut inspection = inspect(delta.as_slice(), &DecodeLimits::default()).unwrap();
    assert_eq!(inspection.header_len(), 13);
    assert_eq!(inspection.header().secondary, None);
    assert_eq!(inspection.header().application.as_deref(), Some(&b"t1//s1/"[..]));
    let window = inspection.next().unwrap().unwrap();
    assert!(inspection.next().is_none());
    assert_eq!((window.number(), window.delta_offset(), window.target_offset()), (0, 13, 0));
    assert_eq!((window.indicator(), window.delta_indicator()), (5, 0));
    assert_eq!(window.copy_window(), Some(CopyWindow { offset: 0, len: 50 }));
    assert_eq!((window.encoding_len(), window.target_len()), (23, 72));
    let lengths = SectionLengths { data: 4, instructions: 8, addresses: 2 };
    assert_eq!((window.stored(), window.decompressed()), (lengths, lengths));
    assert_eq!(window.checksum(), Some(0x741d_1731));
    let instructions: Vec<Instruction<'_>> = window.instructions().map(Result::unwrap).collect();
    let single = |offset, code, size, operation| Instruction {
        offset,
        code,
        second: false,
        size,
        operation,
    };
    let copy = |from| Operation::Copy { mode: 0, from: CopyFrom::Source(from) };
    assert_eq!(
        instructions,
        [
            single(0, 3, 2, Operation::Add { bytes: b"xx" }),
            single(2, 19, 20, copy(0)),
            single(22, 0, 19, Operation::Run { byte: b'z' }),
            single(41, 19, 30, copy(20)),
            single(71, 2, 1, Operation::Add { bytes: b"q" }),
        ]
    );
}

/// Both instructions of a double code are listed, and copies from the source are distinguished from
/// copies from the target.
#[test]
fn double_codes_are_split() {
    let first = HandWindow::new(3, b"xyz", &[4], &[]);
    let second = HandWindow::new(15, b"ab", &[163, 247, 21], &[10, 51, 60]).source(60, 100);
    let windows: Vec<_> = inspect(delta(&[first, second]).as_slice(), &DecodeLimits::default())
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!((windows[1].number(), windows[1].target_offset()), (1, 3));
    let shown: Vec<_> = windows[1]
        .instructions()
        .map(Result::unwrap)
        .map(|instruction| {
            (
                instruction.offset,
                instruction.code,
                instruction.second,
                instruction.size,
                instruction.operation,
            )
        })
        .collect();
    let copy = |from| Operation::Copy { mode: 0, from };
    assert_eq!(
        shown,
        [
            (3, 163, false, 1, Operation::Add { bytes: b"a" }),
            (4, 163, true, 4, copy(CopyFrom::Source(110))),
            (8, 247, false, 4, copy(CopyFrom::Source(151))),
            (12, 247, true, 1, Operation::Add { bytes: b"b" }),
            (13, 21, false, 5, copy(CopyFrom::Window(0))),
        ]
    );
}

#[test]
fn instructions_rebuild_target() {
    for (file, name, _) in FIXTURES {
        let (pair, delta) = (input(name, 1), fixture(file));
        let source = pair.source.unwrap_or_default();
        let mut target = Vec::new();
        for window in inspect(delta.as_slice(), &DecodeLimits::default()).unwrap() {
            let window = window.unwrap();
            let start = target.len();
            assert_eq!(window.target_offset(), start as u64);
            for instruction in window.instructions().map(Result::unwrap) {
                assert_eq!(instruction.offset, target.len() as u64);
                let size = instruction.size as usize;
                match instruction.operation {
                    Operation::Add { bytes } => target.extend(bytes),
                    Operation::Run { byte } => target.extend(vec![byte; size]),
                    Operation::Copy { from: CopyFrom::Source(from), .. } => {
                        target.extend(&source[from as usize..from as usize + size]);
                    }
                    Operation::Copy { from: CopyFrom::Target(_), .. } => {
                        panic!("xdelta3 never writes VCD_TARGET")
                    }
                    Operation::Copy { from: CopyFrom::Window(from), .. } => {
                        (0..size)
                            .for_each(|step| target.push(target[start + from as usize + step]));
                    }
                }
            }
            assert_eq!((target.len() - start) as u64, window.target_len());
        }
        assert!(target == pair.target, "{file}");
    }
}

/// The error is the same as that of decoding.
#[test]
fn inspection_ends_at_first_error() {
    let bad = HandWindow::new(2, b"abc", &[3], &[]);
    let file = delta(&[bad]);
    let mut inspection = inspect(file.as_slice(), &DecodeLimits::default()).unwrap();
    let window = inspection.next().unwrap().unwrap();
    let mut instructions = window.instructions();
    assert!(instructions.next().unwrap().is_ok());
    let error = instructions.next().unwrap().unwrap_err();
    assert_eq!(*error.kind(), DecodeErrorKind::SectionLeft { section: Section::Data, left: 1 });
    assert!(instructions.next().is_none());

    let mut inspection = inspect(&file[..file.len() - 1], &DecodeLimits::default()).unwrap();
    assert!(inspection.next().unwrap().is_err());
    assert!(inspection.next().is_none());
    assert!(inspect(&b"\xd6\xc3"[..], &DecodeLimits::default()).is_err());
}

/// A reader that returns one byte at a time, then fails.
struct Dripping<'a>(&'a [u8], Option<io::ErrorKind>);

impl io::Read for Dripping<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        match (self.0.split_first(), self.1) {
            (Some((&byte, rest)), _) => {
                (to[0], self.0) = (byte, rest);
                Ok(1)
            }
            (None, Some(kind)) => Err(kind.into()),
            (None, None) => Ok(0),
        }
    }
}

/// A delta read byte by byte gives the same windows, and the headers alone equal those of the
/// windows.
#[test]
fn short_reads_change_nothing() {
    for (file, _, _) in FIXTURES {
        let delta = fixture(file);
        let limits = DecodeLimits::default();
        let describe = |window: Window| {
            let instructions: Vec<String> =
                window.instructions().map(|step| format!("{:?}", step.unwrap())).collect();
            (format!("{:?}", *window), window.decompressed(), instructions)
        };
        let whole: Vec<_> = inspect(delta.as_slice(), &limits)
            .unwrap()
            .map(|window| describe(window.unwrap()))
            .collect();
        let dripped = inspect(Dripping(&delta, None), &limits).unwrap();
        assert!(
            dripped.map(|window| describe(window.unwrap())).eq(whole.iter().cloned()),
            "{file}"
        );
        let headers = inspect(Dripping(&delta, None), &limits).unwrap().headers();
        assert!(
            headers
                .map(|header| format!("{:?}", header.unwrap()))
                .eq(whole.into_iter().map(|description| description.0)),
            "{file}"
        );
    }
}

/// A header is returned before its sections are read, whatever they hold.
#[test]
fn headers_precede_their_sections() {
    let windows =
        [HandWindow::new(3, b"abc", &[4], &[]), HandWindow::new(2, b"", &[0xff; 9], &[0xff; 9])];
    let file = delta(&windows);
    let end = file.len() as u64;
    let cut = &file[..file.len() - 10];
    let mut headers = inspect(cut, &DecodeLimits::default()).unwrap().headers();
    assert_eq!(headers.next().unwrap().unwrap().target_len(), 3);
    let second = headers.next().unwrap().unwrap();
    assert_eq!((second.number(), second.target_offset(), second.stored().instructions), (1, 3, 9));
    let error = headers.next().unwrap().unwrap_err();
    assert_eq!(*error.kind(), DecodeErrorKind::Truncated(Part::Sections { missing: 10 }));
    assert_eq!((error.window(), error.offset()), (Some(1), end - 10));
    assert!(headers.next().is_none());
    assert_eq!(
        inspect(file.as_slice(), &DecodeLimits::default()).unwrap().headers().flatten().count(),
        2
    );
}

#[test]
fn read_error_is_not_truncation() {
    let file = delta(&[HandWindow::new(3, b"abc", &[4], &[])]);
    for len in 0..file.len() {
        let read = inspect(
            Dripping(&file[..len], Some(io::ErrorKind::TimedOut)),
            &DecodeLimits::default(),
        );
        let error = match read {
            Ok(mut windows) => windows.next().unwrap().unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(*error.kind(), DecodeErrorKind::DeltaRead(io::ErrorKind::TimedOut), "{len}");
        assert!(error.source().is_some());
    }
}
