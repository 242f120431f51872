//! Files longer than clients send at once and than decoders like to hold: they are deltas too, they
//! come back, and memory does not grow with them.

use std::process::Command;
use std::time::Duration;

use crate::support::{Run, Sandbox, edited, noise};
use s3_server::{ACCESS_KEY, SECRET_KEY, Server};

const MIB: usize = 1 << 20;

/// More than goes in one request, and than a target window has.
const LARGE: usize = 72 * MIB;

/// Runs a command to its end, which must be a good one; the most memory that was resident in MiB.
#[cfg(target_os = "linux")]
pub(super) fn peak(command: &mut Command) -> u64 {
    let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    let (status, mut kib) = (format!("/proc/{}/status", child.id()), 0);
    let ended = loop {
        let told = std::fs::read_to_string(&status).unwrap_or_default();
        let most =
            told.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        kib = most.map_or(kib, |most| most.parse().unwrap());
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(ended.success() && kib > 0, "{ended}, {kib} KiB");
    kib / 1024
}

/// Long noise, quickly: every piece of it differs from the others.
fn long_noise(len: usize) -> Vec<u8> {
    let piece = noise(MIB, 1);
    (0..len / MIB)
        .flat_map(|n| {
            piece.iter().map(move |byte| byte.wrapping_add(n as u8).rotate_left(n as u32 % 8))
        })
        .collect()
}

/// Facts, 14; faults, 12.
#[test]
#[cfg(target_os = "linux")]
fn a_file_that_is_sent_in_parts_is_a_delta_too_and_is_never_held_whole() {
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
    assert!(server.requests_of("UploadPart") > 1, "the reference goes in parts");
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
    // The tool this takes the place of had 7.7 times the file.
    assert!(up.iter().chain(&down).all(|most| *most < 400), "{up:?}, {down:?}");
}

/// Faults, 2: a limit that counts reference and delta together, or how much a small delta gives, is
/// one of the put too.
#[test]
fn what_a_put_accepted_a_get_gives_back_however_long_it_is_and_however_short_its_delta() {
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
