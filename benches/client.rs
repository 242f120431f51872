//! Compares streams with files through the client: time and peak memory of a put and a get of a
//! large file, as a delta and as it is, each in a process of its own on an embedded store.
//!
//!     cargo bench --bench client [-- MIB]
//!
//! Linux only: the peak of memory is that of /proc.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed step ends the measurement")]

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use deltaglider::{Body, DeltaGlider};
use futures::TryStreamExt as _;

/// The default size of the file in MiB.
const MIB: u64 = 1024;

/// The measured calls. The first of each pair uses files, the second streams.
const CALLS: [(&str, &str); 4] =
    [("put-file", "zip"), ("put-stream", "zip"), ("get-file", "zip"), ("get-stream", "zip")];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    if let [call, extension, folder] = arguments.as_slice() {
        return measured(call, extension, Path::new(folder));
    }
    let mib = arguments.first().map_or(MIB, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    write(&folder.path().join("first"), mib, 0);
    write(&folder.path().join("file"), mib, 1);
    println!("{mib} MiB            seconds    peak MiB");
    run(folder.path(), "base", "zip");
    for (call, extension) in CALLS.into_iter().chain(CALLS.map(|(call, _)| (call, "bin"))) {
        run(folder.path(), call, extension);
    }
}

/// Writes a file of noise; another `version` differs in one block of 64.
fn write(path: &Path, mib: u64, version: u64) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for block in 0..mib * 16 {
        let mut bytes = Vec::with_capacity(64 << 10);
        while bytes.len() < 64 << 10 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        if block % 64 == 0 {
            bytes.iter_mut().step_by(97).for_each(|byte| *byte ^= version as u8);
        }
        file.write_all(&bytes).unwrap();
    }
    file.flush().unwrap();
}

/// Runs a call in a process of its own.
fn run(folder: &Path, call: &str, extension: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([call, extension]).arg(folder);
    assert!(command.status().unwrap().success(), "{call}");
}

#[tokio::main]
async fn measured(call: &str, extension: &str, folder: &Path) {
    let dg = DeltaGlider::builder().embedded(folder.join("store")).build().await.unwrap();
    let _ = dg.create_bucket("bucket").await;
    let (path, object) = (folder.join("file"), format!("s3://bucket/file.{extension}"));
    let begun = Instant::now();
    match call {
        "base" => {
            dg.upload(folder.join("first"), "s3://bucket/first.zip").await.unwrap();
            return;
        }
        "put-file" => drop(dg.upload(&path, object).await.unwrap()),
        "put-stream" => {
            let file = tokio::fs::File::open(&path).await.unwrap();
            drop(dg.put(object, Body::reader(file)).await.unwrap());
        }
        "get-file" => drop(dg.download(object, folder.join("back")).await.unwrap()),
        "get-stream" => to_file(&dg, &object, folder.join("back")).await,
        other => panic!("{other} is no call"),
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("{call:10} .{extension} {seconds:10.2} {:11}", peak() >> 10);
}

/// Writes the pieces of a stream to a file, as a caller would.
async fn to_file(dg: &DeltaGlider, object: &str, path: PathBuf) {
    let mut file = tokio::fs::File::create(path).await.unwrap();
    let mut stream = dg.get(object).await.unwrap();
    while let Some(piece) = stream.try_next().await.unwrap() {
        tokio::io::AsyncWriteExt::write_all(&mut file, &piece).await.unwrap();
    }
    file.sync_all().await.unwrap();
}

/// Returns the peak of this process's memory in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
