//! Files longer than one request and one target window: they become deltas too, download correctly,
//! and need no more memory.

use std::process::Command;
use std::time::Duration;

use crate::support::{Run, Sandbox, edited, noise};
use s3_server::{ACCESS_KEY, SECRET_KEY, Server};

const MIB: usize = 1 << 20;

/// More bytes than one request or one target window holds.
const LARGE: usize = 72 * MIB;

/// Runs a command, which must succeed. Returns its peak resident memory in MiB.
#[cfg(target_os = "linux")]
pub(super) fn peak(command: &mut Command) -> u64 {
    let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    let (status, mut kib) = (format!("/proc/{}/status", child.id()), 0);
    let ended = loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let most =
            text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        kib = most.map_or(kib, |most| most.parse().unwrap());
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(ended.success() && kib > 0, "{ended}, {kib} KiB");
    kib / 1024
}

/// Returns long noise quickly: all of its pieces differ.
fn long_noise(len: usize) -> Vec<u8> {
    let piece = noise(MIB, 1);
    (0..len / MIB)
        .flat_map(|n| {
            piece.iter().map(move |byte| byte.wrapping_add(n as u8).rotate_left(n as u32 % 8))
        })
        .collect()
}

/// Facts, 14; faults, 12: a file that is sent in parts becomes a delta and is never held in memory
/// whole.
#[test]
#[cfg(target_os = "linux")]
fn multipart_file_is_a_delta() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let command = |arguments: &[&str]| {
        let mut command = sandbox.command();
        command.env("AWS_ENDPOINT_URL_S3", server.url()).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        command.args(arguments);
        command
    };
    Run::of(&mut command(&["mb", "s3://buc"])).succeeds();
    let first = long_noise(LARGE);
    let second = edited(&first, 2);
    sandbox.write("a-1.zip", &first);
    sandbox.write("a-2.zip", &second);
    let up = ["a-1.zip", "a-2.zip"].map(|name| peak(&mut command(&["cp", name, "s3://buc/"])));
    assert!(server.requests_of("UploadPart") > 1, "the reference is sent in parts");
    let listed = Run::of(&mut command(&["ls", "--sizes", "stored", "s3://buc"])).succeeds().out;
    let stored: u64 =
        listed.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok()).sum();
    assert!(stored < (LARGE + LARGE / 4) as u64, "{listed}");
    let down = ["a-1.zip", "a-2.zip"].map(|name| {
        let most = peak(&mut command(&["cp", &format!("s3://buc/{name}"), "back"]));
        assert!(sandbox.read("back") == sandbox.read(name), "{name}");
        most
    });
    println!(
        "a file of {} MiB: {up:?} MiB resident on the way up, {down:?} on the way down",
        LARGE / MIB
    );
    // The Python tool needed 7.7 times the size of the file.
    assert!(up.iter().chain(&down).all(|most| *most < 400), "{up:?}, {down:?}");
}

/// Faults, 2: a get returns whatever a put accepted, however long the file and however short its
/// delta. A limit on the bytes of reference and delta together, or on the output of a small delta,
/// must apply to the put too.
#[test]
fn accepted_file_can_be_read() {
    let sandbox = Sandbox::new();
    let first = vec![7; 40 * MIB];
    let mut second = vec![7; 150 * MIB];
    second[100 * MIB..101 * MIB].copy_from_slice(&noise(MIB, 2));
    for (name, content) in [("a-1.zip", &first), ("a-2.zip", &second)] {
        sandbox.put(name, content).succeeds();
    }
    let short = |name: &str| sandbox.store().read(&format!("{name}.delta")).len() < 2 * MIB;
    assert!(short("a-1.zip") && short("a-2.zip"));
    for (name, content) in [("a-1.zip", first), ("a-2.zip", second)] {
        sandbox.run(["cp", &format!("s3://buc/{name}"), "back"]).succeeds();
        assert!(sandbox.read("back") == content, "{name}");
    }
}
