//! The cost of releases that drift away from their first one, compared with the best choice of
//! references.

use crate::support::{Run, Sandbox, edited, noise};
use deltaglider_vcdiff::{EncodeOptions, Level, encode};
use s3_server::{ACCESS_KEY, Conditions, SECRET_KEY, Server};

const RELEASES: usize = 20;

/// Returns twenty releases of 300,000 bytes; the tenth replaces four fifths of the content.
fn releases() -> Vec<Vec<u8>> {
    let mut releases = vec![noise(300_000, 1)];
    for n in 1..RELEASES {
        let mut next = edited(&releases[n - 1], n as u64);
        if n == 9 {
            next.splice(..240_000, noise(240_000, 2));
        }
        releases.push(next);
    }
    releases
}

/// Returns the fewest bytes that any choice of releases as references costs. Each other release is
/// a delta against the best earlier reference.
fn best(releases: &[Vec<u8>]) -> u64 {
    let delta = |from: usize, to: usize| {
        let options = EncodeOptions::at_level(Level::BEST);
        encode(Some(&releases[from][..]), &releases[to], &options).unwrap().len() as u64
    };
    let deltas: Vec<Vec<u64>> =
        (0..RELEASES).map(|to| (0..to).map(|from| delta(from, to)).collect()).collect();
    // The first release is always a reference: none comes before it.
    let cost = |chosen: u32| -> u64 {
        let is_reference = |n: usize| n == 0 || chosen >> n & 1 == 1;
        (0..RELEASES)
            .map(|to| match is_reference(to) {
                true => releases[to].len() as u64,
                false => (0..to)
                    .filter(|&from| is_reference(from))
                    .map(|from| deltas[to][from])
                    .min()
                    .unwrap(),
            })
            .sum()
    };
    // Any choice of at most two references besides the first; more cost more than the first alone.
    let single = (0..RELEASES).map(|a| 1 << a);
    let pairs = (0..RELEASES).flat_map(|a| (0..a).map(move |b| 1 << a | 1 << b));
    single.chain(pairs).map(cost).min().unwrap()
}

#[test]
fn drifting_releases_stay_small() {
    let sandbox = Sandbox::new();
    let server = Server::memory_with(Conditions::Atomic).unwrap();
    let command = || {
        let mut command = sandbox.command();
        command.env("AWS_ENDPOINT_URL_S3", server.url()).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        command.env("DG_CONDITIONAL_WRITES", "yes");
        command
    };
    Run::of(command().args(["mb", "s3://drift"])).succeeds();
    let releases = releases();
    let mut kinds = Vec::new();
    for (n, release) in releases.iter().enumerate() {
        sandbox.write("app.zip", release);
        let before: u64 = server.requests().values().sum();
        let run = Run::of(command().args([
            "cp",
            "app.zip",
            &format!("s3://drift/releases/1.{n}/app.zip"),
        ]))
        .succeeds();
        let requests = server.requests().values().sum::<u64>() - before;
        let kind = run.out.split(['(', ':']).nth(3).unwrap_or_default().to_owned();
        kinds.push((kind, requests));
    }
    Run::of(command().args(["cp", "-r", "s3://drift", "back"])).succeeds();
    for (n, release) in releases.iter().enumerate() {
        assert!(sandbox.read(&format!("back/releases/1.{n}/app.zip")) == *release, "{n}");
    }
    let run = Run::of(command().args(["stats", "--json", "drift"])).succeeds();
    let stats: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let stored = stats["compressed_size"].as_u64().unwrap();
    let best = best(&releases);
    println!(
        "stored {stored}, best {best}, {:.3} of it; {} references",
        stored as f64 / best as f64,
        stats["reference_objects"]
    );
    println!("kind and requests of each put: {kinds:?}");
    assert_eq!(stats["reference_objects"], 2);
    assert!(stored * 10 <= best * 13, "{stored} of {best}");
}
