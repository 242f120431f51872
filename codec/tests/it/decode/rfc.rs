//! Features of RFC 3284, xdelta3 3.2.0 and open-vcdiff that xdelta3 3.0.11 rejects or ignores.

use deltaglider_vcdiff::decode::{CodeTableFault, WholeFile};
use deltaglider_vcdiff::inspect::{CopyFrom, Operation, inspect};
use deltaglider_vcdiff::{
    DecodeErrorKind as Kind, DecodeLimits, DecodeOptions, Decoder, EncodeOptions, Limit, Secondary,
    decode, encode,
};

use super::{decoded, naive};
use crate::support::decode_inputs::input;
use crate::support::delta_by_hand::{HandWindow, delta, integer};

fn in_target(window: HandWindow) -> HandWindow {
    HandWindow { in_target: true, ..window }
}

/// Returns a delta of "abcdef", then four of these bytes and a copy of the copy.
fn target_windows() -> Vec<u8> {
    let first = HandWindow::new(6, b"abcdef", &[7], &[]).checksum(b"abcdef");
    let second =
        in_target(HandWindow::new(8, b"", &[20, 20], &[0, 4]).source(4, 1)).checksum(b"bcdebcde");
    delta(&[first, second])
}

#[test]
fn copy_from_earlier_target() {
    assert_eq!(decoded(None, &target_windows()), Ok(b"abcdefbcdebcde".to_vec()));
    assert_eq!(naive::decode(b"", &target_windows()), Some(b"abcdefbcdebcde".to_vec()));
    let delta = target_windows();
    let windows: Vec<_> =
        inspect(delta.as_slice(), &DecodeLimits::default()).unwrap().map(Result::unwrap).collect();
    let from = windows[1].instructions().map(|instruction| match instruction.unwrap().operation {
        Operation::Copy { from, .. } => from,
        other => panic!("{other:?}"),
    });
    assert_eq!(from.collect::<Vec<_>>(), [CopyFrom::Target(1), CopyFrom::Window(0)]);
}

fn pushed(delta: &[u8], history: u64) -> Result<Vec<u8>, Kind> {
    let mut options = DecodeOptions::default();
    options.limits.target_history = history;
    let mut decoder = Decoder::<&[u8]>::new(None, &options);
    let (mut target, mut rest) = (Vec::new(), delta);
    while !rest.is_empty() {
        // The caller takes every window out of the buffer.
        let mut window = Vec::new();
        let taken = decoder.push(rest, &mut window).map_err(|error| *error.kind())?;
        target.extend(window);
        rest = &rest[taken..];
    }
    decoder.finish().map_err(|error| *error.kind())?;
    Ok(target)
}

#[test]
fn target_history_is_limited() {
    assert_eq!(pushed(&target_windows(), 5), Ok(b"abcdefbcdebcde".to_vec()));
    let limit = |allowed| Err(Kind::Limit { limit: Limit::TargetHistory, asked: 5, allowed });
    assert_eq!(pushed(&target_windows(), 4), limit(4));
    assert_eq!(pushed(&target_windows(), 0), limit(0));

    // Many windows, each a copy of the last 100 bytes before it: no more of the target is kept than
    // is needed.
    let mut windows = vec![HandWindow::new(100, &[7; 100], &[1, 100], &[])];
    let mut target = vec![7; 100];
    for number in 0..50u8 {
        let next: Vec<u8> = [&target[target.len() - 100..][..99], &[number]].concat();
        let window = HandWindow::new(100, &[number], &[19, 99, 2], &[0])
            .source(100, target.len() as u64 - 100);
        windows.push(in_target(window).checksum(&next));
        target.extend(next);
    }
    assert_eq!(pushed(&delta(&windows), 100), Ok(target));
}

#[test]
fn copy_window_beyond_target() {
    let first = HandWindow::new(6, b"abcdef", &[7], &[]);
    let second = in_target(HandWindow::new(4, b"", &[20], &[0]).source(4, 3));
    let kind = Kind::TargetWindow { offset: 3, len: 4, produced: 6 };
    assert_eq!(decoded(None, &delta(&[first, second])), Err(kind));
}

/// Returns the default table in the form of RFC 3284, section 7.
fn default_table() -> Vec<u8> {
    let mut columns = vec![vec![0u8; 256]; 6];
    for code in 0..=255u8 {
        for (half, (kind, size)) in naive::code(code).into_iter().enumerate() {
            // The stored types are ADD 1, RUN 2 and COPY 3.
            columns[half][usize::from(code)] = [1, 2].get(usize::from(kind)).copied().unwrap_or(3);
            columns[2 + half][usize::from(code)] = size as u8;
            columns[4 + half][usize::from(code)] = kind.saturating_sub(2);
        }
    }
    columns.concat()
}

const NEAR: u8 = 2;
const SAME: u8 = 1;

/// Returns a table of few codes, with a NOOP in front and caches of its own.
fn own_table() -> Vec<u8> {
    let mut columns = vec![vec![0u8; 256]; 6];
    let codes: [[u8; 6]; 10] = [
        // instructions, sizes, modes
        [1, 0, 0, 0, 0, 0], // ADD
        [2, 0, 0, 0, 0, 0], // RUN
        [3, 0, 0, 0, 0, 0], // COPY, self
        [3, 0, 0, 0, 1, 0], // COPY, here
        [3, 0, 3, 0, 2, 0], // COPY 3, near 0
        [3, 0, 3, 0, 3, 0], // COPY 3, near 1
        [3, 0, 5, 0, 4, 0], // COPY 5, same
        [0, 1, 0, 3, 0, 0], // NOOP, ADD 3
        [1, 3, 2, 4, 0, 0], // ADD 2, COPY 4 self
        [2, 0, 9, 0, 0, 0], // RUN 9
    ];
    for (code, entry) in codes.iter().enumerate() {
        for (column, &value) in entry.iter().enumerate() {
            columns[column][code] = value;
        }
    }
    columns.concat()
}

/// Returns a file with a code table of its own: the sizes of the caches, then the table as a delta.
fn with_table(near: u8, same: u8, table: &[u8], windows: &[HandWindow]) -> Vec<u8> {
    let mut plain = EncodeOptions::default();
    plain.secondary = Secondary::None;
    let table =
        [&[near, same][..], &encode(Some(&default_table()), table, &plain).unwrap()].concat();
    let mut file = b"\xd6\xc3\xc4\0\x06".to_vec();
    integer(table.len() as u64, &mut file);
    file.extend(table);
    file.extend(b"\x03app");
    windows.iter().for_each(|window| file.extend(window.bytes()));
    file
}

#[test]
fn application_code_table_is_used() {
    // ADD 3 abc; RUN 4 z; COPY 4 self 2; COPY 3 near 0 + 1 = 3; COPY 5 here - 9; COPY 5 same 3; ADD
    // 2 xy, COPY 4 self 0; RUN 9
    let target = ["abc", "zzzz", "czzz", "zzz", "zzczz", "zzzzc", "xy", "abcz", "---------"]
        .concat()
        .into_bytes();
    let instructions = [7, 1, 4, 2, 4, 4, 3, 5, 6, 8, 9];
    let addresses = [2, 1, 9, 3, 0];
    let window = HandWindow::new(target.len() as u64, b"abczxy-", &instructions, &addresses);
    let file = with_table(NEAR, SAME, &own_table(), &[window.checksum(&target)]);
    assert_eq!(decoded(None, &file), Ok(target));
}

/// The default table stored in the delta changes nothing.
#[test]
fn stored_default_table_works() {
    let window = HandWindow::new(10, b"wxyz", &[5, 20, 2 + 17 + 1], &[0, 1]);
    let window = HandWindow { target_len: 12, ..window };
    let file = with_table(4, 3, &default_table(), std::slice::from_ref(&window));
    assert_eq!(decoded(None, &file), decoded(None, &delta(&[window])));
    assert_eq!(decoded(None, &file), Ok(b"wxyzwxyzxyzw".to_vec()));
}

#[test]
fn code_table_may_have_no_length() {
    let window = HandWindow::new(10, b"wxyz", &[5, 20, 2 + 17 + 1], &[0, 1]);
    let windows = [HandWindow { target_len: 12, ..window }];
    let header = with_table(4, 3, &default_table(), &[]);
    let (plain, stored) = header.split_at(5);
    // The length, which open-vcdiff omits, has one byte.
    let (&length, stored) = stored.split_first().unwrap();
    assert_eq!(usize::from(length), stored.len() - b"\x03app".len());
    for version in [0, b'S'] {
        let mut file = [plain, stored].concat();
        file[3] = version;
        file.extend(windows[0].bytes());
        assert_eq!(decoded(None, &file), Ok(b"wxyzwxyzxyzw".to_vec()));
        let (mut decoder, mut out) =
            (Decoder::<&[u8]>::new(None, &DecodeOptions::default()), Vec::new());
        for byte in &file {
            decoder.push(std::slice::from_ref(byte), &mut out).unwrap();
        }
        assert_eq!(decoder.finish().unwrap().windows, 1);
        for len in 6..plain.len() + stored.len() {
            assert!(
                matches!(decoded(None, &file[..len]), Err(Kind::Truncated(_) | Kind::CodeTable(_))),
                "{len}"
            );
        }
    }
}

#[test]
fn invalid_code_tables() {
    let rejected =
        |near, same, table: &[u8]| match decoded(None, &with_table(near, same, table, &[])) {
            Err(Kind::CodeTable(fault)) => fault,
            other => panic!("{other:?}"),
        };
    assert_eq!(rejected(200, 60, &own_table()), CodeTableFault::Caches { near: 200, same: 60 });
    assert_eq!(rejected(4, 3, &own_table()[1..]), CodeTableFault::Delta);
    assert_eq!(rejected(4, 3, &[&own_table()[..], &[0]].concat()), CodeTableFault::Delta);
    let mut bad = own_table();
    bad[17] = 4;
    assert_eq!(rejected(NEAR, SAME, &bad), CodeTableFault::Entry(17));
    assert_eq!(rejected(1, SAME, &own_table()), CodeTableFault::Entry(6));
    // A table within a table.
    let inner = with_table(NEAR, SAME, &own_table(), &[]);
    let mut file = b"\xd6\xc3\xc4\0\x02".to_vec();
    integer(inner.len() as u64 + 2, &mut file);
    file.extend([4, 3]);
    file.extend(inner);
    assert_eq!(decoded(None, &file), Err(Kind::CodeTable(CodeTableFault::Delta)));
}

#[cfg(feature = "blake3")]
fn armored(target: &[u8], source: &[u8], delta: &[u8]) -> Vec<u8> {
    let header =
        format!("new#{}//old#{}/", blake3::hash(target).to_hex(), blake3::hash(source).to_hex());
    let mut file = b"\xd6\xc3\xc4\0\x04".to_vec();
    integer(header.len() as u64, &mut file);
    file.extend(header.as_bytes());
    file.extend(&delta[5..]);
    file
}

#[cfg(feature = "blake3")]
#[test]
fn digests_are_verified() {
    let source = b"0123456789";
    let copy = HandWindow::new(4, b"", &[20], &[2]).source(10, 0);
    let delta = delta(&[copy.clone(), copy]);
    let file = armored(b"23452345", source, &delta);
    let mut decoder = Decoder::new(Some(&source[..]), &DecodeOptions::default());
    let mut target = Vec::new();
    let taken = decoder.push(&file, &mut target).unwrap();
    let header = decoder.header().unwrap();
    let (named, source_named) = header.files().unwrap();
    let source_named = source_named.unwrap();
    assert_eq!((&named.name[..], &source_named.name[..]), (&b"new"[..], &b"old"[..]));
    assert_eq!(source_named.blake3, Some(*blake3::hash(source).as_bytes()));
    decoder.push(&file[taken..], &mut target).unwrap();
    assert!(decoder.finish().unwrap().verified_digest);

    // A wrong source even where no copy reads it, and a delta cut at the end of a window, which
    // only the digest detects.
    assert_eq!(decoded(Some(b"0123456780"), &file), Err(Kind::Digest(WholeFile::Source)));
    let cut = &file[..file.len() - (delta.len() - 5) / 2];
    assert_eq!(decoded(Some(source), cut), Err(Kind::Digest(WholeFile::Target)));
    let mut trusting = DecodeOptions::default();
    trusting.verify_digests = false;
    assert_eq!(decode(Some(b"0123456780"), &file, &trusting).unwrap(), b"23452345");
    assert_eq!(decode(Some(source), cut, &trusting).unwrap(), b"2345");
}

#[test]
fn names_without_digests() {
    let files = |header: &str| {
        let mut file = b"\xd6\xc3\xc4\0\x04".to_vec();
        integer(header.len() as u64, &mut file);
        file.extend(header.as_bytes());
        inspect(file.as_slice(), &DecodeLimits::default()).unwrap().header().files()
    };
    let hex = "0123456789abcdefABCDEF0123456789abcdef0123456789abcdef0123456789";
    let (target, source) = files(&format!("new#{hex}/G9/old#{hex}x/Y")).unwrap();
    assert_eq!(
        (&target.name[..], &target.compression[..], target.blake3.unwrap()[10]),
        (&b"new"[..], &b"G9"[..], 0xef)
    );
    let source = source.unwrap();
    assert_eq!((source.blake3, &source.compression[..]), (None, &b"Y"[..]));
    assert!(source.name.ends_with(b"x"));
    let (target, source) = files("new#00/").unwrap();
    assert_eq!((&target.name[..], target.blake3, source), (&b"new#00"[..], None, None));
    assert!(files("anything").is_none() && files("a/b/c").is_none());
}

/// Returns a file in open-vcdiff's own format.
fn sdch(checked: bool, source: Option<(u64, u64)>, target: &[u8], sections: [&[u8]; 3]) -> Vec<u8> {
    let mut fields = Vec::new();
    integer(target.len() as u64, &mut fields);
    fields.push(0);
    sections.iter().for_each(|section| integer(section.len() as u64, &mut fields));
    if checked {
        let mut adler = adler2::Adler32::from_checksum(0);
        adler.write_slice(target);
        integer(u64::from(adler.checksum()), &mut fields);
    }
    let mut file = b"\xd6\xc3\xc4S\0".to_vec();
    file.push(u8::from(source.is_some()) | if checked { 4 } else { 0 });
    if let Some((len, offset)) = source {
        integer(len, &mut file);
        integer(offset, &mut file);
    }
    integer((fields.len() + sections.concat().len()) as u64, &mut file);
    file.extend(fields);
    file.extend(sections.concat());
    file
}

/// Covers separate and interleaved sections.
#[test]
fn open_vcdiff_format_is_decoded() {
    let source = b"abcdefghijklmnop";
    let target = b"abcdwxyzefghefghefghefghzzzz";
    for checked in [false, true] {
        let apart =
            sdch(checked, Some((16, 0)), target, [b"wxyzz", &[20, 5, 20, 28, 0, 4], &[0, 4, 24]]);
        let together = [20, 0, 5, b'w', b'x', b'y', b'z', 20, 4, 28, 24, 0, 4, b'z'];
        let together = sdch(checked, Some((16, 0)), target, [b"", &together, b""]);
        for file in [&apart, &together] {
            assert_eq!(decoded(Some(source), file), Ok(target.to_vec()));
            assert_eq!(naive::decode(source, file), Some(target.to_vec()));
        }
        // With the checksum the source has to be the right one.
        assert_eq!(decoded(Some(b"Abcdefghijklmnop"), &together).is_ok(), !checked);
    }
}

/// The output of open-vcdiff 868f459 with its format flags 0 to 3: plain, interleaved, with
/// checksums, with both.
const OPEN_VCDIFF: [&str; 4] = [
    concat!(
        "d6c3c4000001814a004b822a003a09025448457468652066697273742076657273696f6e206f7a7a7a7a7a7a7a7a7a7a7a7a",
        "7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a646f6e65042362013313810e05653c",
    ),
    concat!(
        "d6c3c4530001814a004b822a000045000454484523626501337468652066697273742076657273696f6e206f7a7a7a7a7a7a",
        "7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a13810e3c05646f6e65",
    ),
    concat!(
        "d6c3c4530005814a0050822a003a09028efdbdda025448457468652066697273742076657273696f6e206f7a7a7a7a7a7a7a",
        "7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a646f6e65042362013313810e05653c",
    ),
    concat!(
        "d6c3c4530005814a0050822a000045008efdbdda020454484523626501337468652066697273742076657273696f6e206f7a",
        "7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a13810e3c05646f6e65",
    ),
];

/// Covers all formats that open-vcdiff writes.
#[test]
fn open_vcdiff_output_is_decoded() {
    let text = "the first version of a file, with some text that is long enough to be copied \
                from; and the end of it.";
    let source = text.repeat(2);
    let target = ["THE ", &source[4..120], &"z".repeat(32), &source[60..], "done"].concat();
    for (flags, hex) in OPEN_VCDIFF.iter().enumerate() {
        let delta = from_hex(hex);
        assert_eq!(
            decoded(Some(source.as_bytes()), &delta),
            Ok(target.clone().into_bytes()),
            "flags {flags}"
        );
        let other = source.replace("copied", "COPIED");
        assert_eq!(decoded(Some(other.as_bytes()), &delta).is_err(), flags >= 2, "flags {flags}");
    }
}

fn from_hex(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// The output of xdelta3 3.2.0 (9822b17) for the input "tiny", with digests in the names.
const ARMORED: &str = concat!(
    "d6c3c40004810b6e657723653537383033373563316232376363646239613061353166306238336661663531363666663565",
    "336439623235383961383663626563646437303536373764662f2f6f6c642362366562313738653331386138396131366562",
    "3261616463396364666533313330363138366236336330623130623563346538336137303734656337623866662f05140018",
    "3000060702d98114472d2d78797a710313140419000e002a",
);

/// The same for 40,000,000 zeros in one window, which 3.0.11 rejects.
const LARGE_WINDOW: &str = concat!(
    "d6c3c40004437a23383937303861626561623834333864373133336439353533386439353131643662356366633838613865",
    "393538373232626634343761363933383065343035322f04129389b400000105007dbe000100009389b400",
);

/// Deltas with digests ("armor") and with windows larger than 3.0.11 reads.
#[test]
fn xdelta3_3_2_0_is_decoded() {
    let pair = input("tiny", 1);
    let source = pair.source.unwrap();
    assert_eq!(decoded(Some(&source), &from_hex(ARMORED)), Ok(pair.target));
    let longer = [&source[..], b"x"].concat();
    assert_eq!(decoded(Some(&longer), &from_hex(ARMORED)), Err(Kind::Digest(WholeFile::Source)));
    assert!(decoded(None, &from_hex(LARGE_WINDOW)).unwrap() == vec![0; 40_000_000]);
}
