//! Memory of concurrent downloads: it does not grow with their number, whatever their deltas
//! declare.
#![cfg(target_os = "linux")]

use std::io::Write as _;

use deltaglider::domain::{BucketName, Key, ObjectName, Sha256Digest};
use deltaglider::storage::{Attributes, ObjectStore as _, PutBody, PutOptions};
use deltaglider_vcdiff::{DecodeOptions, EncodeOptions, Level};

use super::large_files::peak;
use crate::support::{Sandbox, edited, noise};

const MIB: usize = 1 << 20;

/// The limit that the README promises, in MiB.
const PROMISED_MIB: u64 = 400;

/// A delta and the file that it makes of the reference.
struct Sample {
    name: &'static str,
    delta: Vec<u8>,
    file: Vec<u8>,
}

fn varint(out: &mut Vec<u8>, value: usize) {
    let groups = (0..5).rev().map(|group| value >> (7 * group)).skip_while(|&rest| rest == 0);
    let mut bytes: Vec<u8> = groups.map(|group| group as u8 | 0x80).collect();
    if bytes.is_empty() {
        bytes.push(0);
    }
    *bytes.last_mut().unwrap() &= 0x7f;
    out.extend(bytes);
}

/// Encodes a window of `target` bytes over a source of `source` bytes (none if 0), with the data
/// section compressed or not.
fn window(
    target: usize,
    source: usize,
    data: &[u8],
    compressed: bool,
    instructions: &[u8],
    addresses: &[u8],
) -> Vec<u8> {
    let mut body = Vec::new();
    varint(&mut body, target);
    body.push(u8::from(compressed));
    [data, instructions, addresses].iter().for_each(|section| varint(&mut body, section.len()));
    [data, instructions, addresses].iter().for_each(|section| body.extend_from_slice(section));
    let mut window = vec![u8::from(source > 0)];
    if source > 0 {
        varint(&mut window, source);
        varint(&mut window, 0);
    }
    varint(&mut window, body.len());
    window.extend(body);
    window
}

/// Returns a delta of 36 bytes with one RUN in each of two windows: an ordinary one of 1 MiB, which
/// is written at once, and one of 64 MiB.
fn long_runs() -> Sample {
    let mut delta = vec![0xd6, 0xc3, 0xc4, 0, 0];
    let mut file = Vec::new();
    for (byte, len) in [(b'y', MIB), (b'z', 64 * MIB)] {
        let mut run = vec![0];
        varint(&mut run, len);
        delta.extend(window(len, 0, &[byte], false, &run, &[]));
        file.resize(file.len() + len, byte);
    }
    Sample { name: "runs", delta, file }
}

/// Returns a delta of one window of 64 MiB: an LZMA section with a dictionary of 8 MiB, and copies
/// from each block of the source that a decoder keeps.
fn long_section(reference: &[u8]) -> Sample {
    let blocks = 512;
    let (mut instructions, mut addresses, mut file) = (Vec::new(), Vec::new(), Vec::new());
    for block in 0..blocks {
        // COPY of 4 bytes in mode 0: the address is counted from the start of the source.
        instructions.push(20);
        varint(&mut addresses, block << 16);
        file.extend_from_slice(&reference[block << 16..][..4]);
    }
    let new = 64 * MIB - file.len();
    instructions.push(1);
    varint(&mut instructions, new);
    file.resize(64 * MIB, 0);
    let mut data = Vec::new();
    varint(&mut data, new);
    data.extend(lzma_section(new));
    let mut delta = vec![0xd6, 0xc3, 0xc4, 0, 1, 2];
    delta.extend(window(64 * MIB, reference.len(), &data, true, &instructions, &addresses));
    Sample { name: "section", delta, file }
}

/// Encodes zeros as one LZMA section: an .xz stream up to the end of its chunks, without its
/// closing parts.
fn lzma_section(zeros: usize) -> Vec<u8> {
    let encoder = xz::stream::Stream::new_easy_encoder(6, xz::stream::Check::None).unwrap();
    let mut encoder = xz::write::XzEncoder::new_stream(Vec::new(), encoder);
    (0..zeros.div_ceil(MIB))
        .for_each(|n| encoder.write_all(&vec![0; MIB.min(zeros - n * MIB)]).unwrap());
    let stream = encoder.finish().unwrap();
    let mut at = 12 + (usize::from(stream[12]) + 1) * 4;
    loop {
        let size = |at: usize| usize::from(stream[at]) << 8 | usize::from(stream[at + 1]);
        at += match stream[at] {
            0 => return stream[..at].to_vec(),
            1 | 2 => 4 + size(at + 1),
            control => 6 + usize::from(control >= 0xc0) + size(at + 3),
        };
    }
}

/// LZMA2 of liblzma with a dictionary of 64 MiB: 3,000 bytes, 40 MiB of zeros, the same 3,000
/// bytes.
const FAR_MATCH: &[u8] = include_bytes!("far-match.lzma2");

/// Returns a delta of windows of up to 2 MiB from one LZMA stream; the last has a match 40 MiB
/// back.
fn large_dictionary() -> Sample {
    let mut start =
        b"\xfd7zXZ\0\0\0\xff\x12\xd9\x41\x02\0\x21\x01\x1c\0\0\0\x10\xcf\x58\xcc".to_vec();
    let mut delta = vec![0xd6, 0xc3, 0xc4, 0, 1, 2];
    let mut rest = FAR_MATCH;
    while !rest.is_empty() {
        let size = |at: usize| usize::from(rest[at]) << 8 | usize::from(rest[at + 1]);
        let len = 1 + (usize::from(rest[0] & 0x1f) << 16) + size(1);
        let (chunk, after) = rest.split_at(6 + usize::from(rest[0] >= 0xc0) + size(3));
        let (mut data, mut add) = (Vec::new(), vec![1]);
        varint(&mut data, len);
        data.append(&mut start);
        data.extend_from_slice(chunk);
        varint(&mut add, len);
        delta.extend(window(len, 0, &data, true, &add, &[]));
        rest = after;
    }
    let file = deltaglider_vcdiff::decode(None, &delta, &DecodeOptions::default()).unwrap();
    assert!(file[..3000] == file[3000 + 40 * MIB..]);
    Sample { name: "dictionary", delta, file }
}

/// Encodes two versions as this tool and xdelta3 do: windows of 8 MiB, sections compressed by LZMA.
fn ordinary(reference: &[u8]) -> Sample {
    let mut file = reference[..24 * MIB].to_vec();
    for (n, piece) in file.chunks_mut(40_000).enumerate() {
        piece[..2_000].copy_from_slice(&noise(2_000, n as u64));
    }
    file = edited(&file, 3);
    let delta =
        deltaglider_vcdiff::encode(Some(reference), &file, &EncodeOptions::at_level(Level::BEST))
            .unwrap();
    Sample { name: "ordinary", delta, file }
}

fn long_noise(len: usize) -> Vec<u8> {
    let piece = noise(MIB, 1);
    (0..len / MIB)
        .flat_map(|n| {
            piece
                .iter()
                .map(move |byte| byte.wrapping_mul(2 * n as u8 + 1).rotate_left(n as u32 % 8))
        })
        .collect()
}

/// Stores a reference and `count` deltas of a sample.
#[tokio::main(flavor = "current_thread")]
async fn fill(sandbox: &Sandbox, reference: &[u8], sample: &Sample, count: usize) {
    let store = sandbox.dir_store();
    let bucket = BucketName::new("buc").unwrap();
    let digest = Sha256Digest::of(reference).to_string();
    let object = |key: &str| ObjectName::new(bucket.clone(), Key::new(key).unwrap());
    let put = async |key: &str, bytes: Vec<u8>, metadata: Vec<(&str, String)>| {
        let metadata = metadata.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let attributes = Attributes { metadata, ..Attributes::default() };
        store
            .put(&object(key), PutBody::from_bytes(bytes), &attributes, &PutOptions::default())
            .await
            .unwrap();
    };
    let tool = || ("dg-tool", "deltaglider/0.1.0".to_owned());
    let created = || ("dg-created-at", "2026-11-20T00:00:00.000000Z".to_owned());
    let of_reference = vec![
        tool(),
        created(),
        ("dg-source-name", "r".to_owned()),
        ("dg-file-sha256", digest.clone()),
        ("dg-note", "reference".to_owned()),
    ];
    put("d/reference.bin", reference.to_vec(), of_reference).await;
    let of_file = Sha256Digest::of(&sample.file).to_string();
    for n in 0..count {
        let name = format!("{n}.zip");
        let metadata = vec![
            tool(),
            created(),
            ("dg-original-name", name.clone()),
            ("dg-file-sha256", of_file.clone()),
            ("dg-file-size", sample.file.len().to_string()),
            ("dg-ref-key", "d/reference.bin".to_owned()),
            ("dg-ref-sha256", digest.clone()),
            ("dg-delta-size", sample.delta.len().to_string()),
            ("dg-delta-cmd", "xdelta3".to_owned()),
        ];
        put(&format!("d/{name}.delta"), sample.delta.clone(), metadata).await;
    }
}

/// Returns the peak memory, in MiB, of `cp -r` of `count` deltas with `at_once` transfers or the
/// default number. Checks the bytes of every file.
fn peak_of(reference: &[u8], sample: &Sample, count: usize, at_once: Option<&str>) -> u64 {
    let sandbox = Sandbox::new();
    fill(&sandbox, reference, sample, count);
    let mut command = sandbox.command();
    command.args(["cp", "-r", "s3://buc/d/", "out"]);
    if let Some(at_once) = at_once {
        command.args(["--concurrency", at_once]);
    }
    let peak = peak(&mut command);
    for n in 0..count {
        let path = sandbox.path(&format!("out/{n}.zip"));
        assert!(std::fs::read(&path).unwrap() == sample.file, "{} {n}", sample.name);
    }
    println!(
        "{count} {} deltas of {} bytes, {at_once:?} at once: {peak} MiB",
        sample.name,
        sample.delta.len()
    );
    peak
}

#[test]
fn declared_windows_do_not_add_up() {
    let reference = noise(10_000, 1);
    let peak = peak_of(&reference, &long_runs(), 8, None);
    assert!(peak <= PROMISED_MIB, "{peak} MiB");
}

#[test]
fn dictionaries_are_reserved() {
    let reference = noise(10_000, 1);
    let peak = peak_of(&reference, &large_dictionary(), 6, None);
    assert!(peak <= PROMISED_MIB, "{peak} MiB");
}

#[test]
fn ordinary_deltas_do_not_add_up() {
    let reference = long_noise(40 * MIB);
    let peak = peak_of(&reference, &ordinary(&reference), 16, Some("64"));
    assert!(peak <= PROMISED_MIB, "{peak} MiB");
}

/// `DGTEST_DELTAS` is the number of deltas in each bucket (16 by default).
#[test]
#[ignore = "takes minutes: scripts/measure-downloads"]
fn more_deltas_use_no_more_memory() {
    let count: usize = std::env::var("DGTEST_DELTAS").map_or(16, |count| count.parse().unwrap());
    let reference = long_noise(40 * MIB);
    let samples = [long_runs(), long_section(&reference), ordinary(&reference)];
    let runs = samples.iter().flat_map(|sample| [(sample, None), (sample, Some("64"))]);
    let most = runs.map(|(sample, at_once)| peak_of(&reference, sample, count, at_once)).max();
    assert!(most <= Some(PROMISED_MIB), "{most:?} MiB");
}
