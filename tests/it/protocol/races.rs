//! Processes that store the first files of a folder concurrently, on stores of every kind:
//! `DGTEST_ROUNDS` rounds (2 by default).

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::{Run, Sandbox, edited, names_below, noise, text};
use s3_server::{ACCESS_KEY, Conditions, SECRET_KEY, Server};

const PROCESSES: u64 = 8;

fn rounds() -> u64 {
    std::env::var("DGTEST_ROUNDS").map_or(2, |rounds| rounds.parse().unwrap())
}

/// Stores another version of one file from each process. Afterwards each version can be read, and
/// the next one becomes a delta. Returns the number of versions that became references.
fn race(sandbox: &Sandbox, endpoint: &str) -> u64 {
    let command = || {
        let mut command: Command = sandbox.command();
        command.env("AWS_ENDPOINT_URL_S3", endpoint).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        if let Some(value) = std::env::var_os("DG_CONDITIONAL_WRITES") {
            command.env("DG_CONDITIONAL_WRITES", value);
        }
        command
    };
    Run::of(command().args(["mb", "s3://race"])).succeeds();
    let mut references = 0;
    for round in 0..rounds() {
        // Every other one is stored packed.
        let first = if round % 2 == 0 { text(60_000, round) } else { noise(60_000, round) };
        // Without a digit, which would make the folders versions that share one deltaspace.
        let letter = |n: u64| char::from(b'a' + (n % 26) as u8);
        let folder = format!("{}{}", letter(round / 26), letter(round));
        for process in 0..PROCESSES {
            let version = [edited(&first, process), noise(1_000, 1_000 + process)].concat();
            sandbox.write(&format!("in/{folder}/app-{process}.zip"), version);
        }
        let start = |process| -> Child {
            let file = format!("in/{folder}/app-{process}.zip");
            let mut command = command();
            command
                .args(["cp", &file, &format!("s3://race/{folder}/")])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped());
            command.spawn().unwrap()
        };
        let processes: Vec<Child> = (0..PROCESSES).map(start).collect();
        for process in processes {
            let run = Run::from(process.wait_with_output().unwrap()).succeeds();
            references += u64::from(run.out.contains("(reference: "));
        }
        Run::of(command().args([
            "cp",
            "-r",
            &format!("s3://race/{folder}/"),
            &format!("out/{folder}"),
        ]))
        .succeeds();
        let (stored, back) = (format!("in/{folder}"), format!("out/{folder}"));
        assert_eq!(
            names_below(&sandbox.path(&stored)),
            names_below(&sandbox.path(&back)),
            "round {round}"
        );
        for name in names_below(&sandbox.path(&stored)) {
            let same =
                |folder: &str| sandbox.read(&Path::new(folder).join(&name).to_string_lossy());
            assert!(same(&stored) == same(&back), "round {round}: {name}");
        }
        sandbox.write("next.zip", edited(&first, 99));
        let next = format!("s3://race/{folder}/app-next.zip");
        Run::of(command().args(["cp", "next.zip", &next])).succeeds().says("(delta: ");
    }
    println!(
        "{} rounds of {PROCESSES} processes, {references} references made, nothing lost",
        rounds()
    );
    assert!(references >= rounds());
    references
}

#[test]
fn embedded_store_loses_nothing() {
    let sandbox = Sandbox::new();
    // Of concurrent writers of one reference, one wins.
    assert_eq!(race(&sandbox, &sandbox.endpoint()), rounds());
}

/// Conditions are answered, but not atomic.
#[test]
fn loose_conditions_lose_nothing() {
    let sandbox = Sandbox::new();
    let folder = tempfile::tempdir().unwrap();
    race(&sandbox, &Server::folder_at(folder.path(), 0).unwrap().url());
}

/// Conditions are ignored.
#[test]
fn no_conditions_lose_nothing() {
    let sandbox = Sandbox::new();
    let server = Server::memory_with(Conditions::Ignored).unwrap();
    race(&sandbox, &server.url());
}

#[test]
#[ignore = "needs a server named by DGTEST_RACE_URL: run by scripts/check-races"]
fn named_server_loses_nothing() {
    let sandbox = Sandbox::new();
    race(&sandbox, &std::env::var("DGTEST_RACE_URL").unwrap());
}

/// Stores three contents under one name from several processes, as deltas and directly, again and
/// again. Each put succeeds, and one of the contents is served.
fn race_for_one_name(sandbox: &Sandbox, endpoint: &str) {
    let command = || {
        let mut command: Command = sandbox.command();
        command.env("AWS_ENDPOINT_URL_S3", endpoint).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        command
    };
    Run::of(command().args(["mb", "s3://race"])).succeeds();
    let contents: Vec<Vec<u8>> = (0..3).map(|n| edited(&noise(20_000, 1), n)).collect();
    for (n, content) in contents.iter().enumerate() {
        sandbox.write(&format!("in-{n}.zip"), content.clone());
    }
    sandbox.write("base.zip", noise(20_000, 1));
    Run::of(command().args(["cp", "base.zip", "s3://race/a/"])).succeeds();
    for round in 0..2 * rounds() {
        let start = |process: u64| {
            let file = format!("in-{}.zip", (process + round) % 3);
            let mut command = command();
            command
                .arg("cp")
                .args(process.is_multiple_of(2).then_some("--no-delta"))
                .args([&file, "s3://race/a/x.zip"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let processes: Vec<Child> = (0..PROCESSES).map(start).collect();
        for process in processes {
            Run::from(process.wait_with_output().unwrap()).succeeds();
        }
        Run::of(command().args(["cp", "s3://race/a/x.zip", "back.zip"])).succeeds();
        assert!(contents.contains(&sandbox.read("back.zip")), "round {round}");
    }
}

#[test]
fn puts_of_one_name_all_succeed() {
    let sandbox = Sandbox::new();
    race_for_one_name(&sandbox, &sandbox.endpoint());
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    race_for_one_name(&sandbox, &server.url());
}
