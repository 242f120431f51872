//! A `sync` of unchanged files transfers no body, counted at the server: `DGTEST_FILES` files (300
//! by default).

use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::support::{Run, Sandbox, edited, noise};
use s3_server::{ACCESS_KEY, SECRET_KEY, Server};

#[test]
fn unchanged_files_cost_no_body() {
    let files: u64 = std::env::var("DGTEST_FILES").map_or(300, |files| files.parse().unwrap());
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let run = |arguments: &[&str]| {
        let mut command = sandbox.command();
        command.env("AWS_ENDPOINT_URL_S3", server.url()).env("AWS_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        Run::of(command.args(arguments)).succeeds()
    };
    let first = noise(400, 1);
    for n in 0..files {
        // Six of ten files become deltas.
        let name = if n % 10 < 6 {
            format!("in/{}/app-{n}.zip", n % 7)
        } else {
            format!("in/{}/file-{n}.txt", n % 7)
        };
        sandbox.write(&name, edited(&first, n));
    }
    run(&["mb", "s3://buc"]);
    run(&["mb", "s3://other"]);
    // Counts bodies of files only: an index holds sizes and digests, no content.
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let seen = bodies.clone();
    server.script(move |call| {
        let looks = ["ListObjectsV2", "HeadObject"].contains(&call.operation);
        if !looks && !call.key.is_some_and(|key| key.contains(".deltaglider/index/")) {
            seen.lock().unwrap().push(format!("{} {:?}", call.operation, call.key));
        }
        None
    });
    for (from, to) in [("in", "s3://buc/x"), ("s3://buc/x", "out"), ("s3://buc/x", "s3://other")] {
        run(&["sync", from, to, "--quiet"]);
        bodies.lock().unwrap().clear();
        for by in [&[][..], &["--checksum"], &["--size-only"]] {
            let (before, began) = (server.requests(), Instant::now());
            let synced = run(&[&["sync", from, to], by].concat());
            assert_eq!(synced.out, format!("0 changed, {files} unchanged\n"));
            let mut asked = server.requests();
            asked.retain(|operation, count| {
                *count -= before.get(operation).copied().unwrap_or_default();
                *count > 0
            });
            println!("{from} to {to} {by:?}: {:.1} s, {asked:?}", began.elapsed().as_secs_f64());
            let bodies = std::mem::take(&mut *bodies.lock().unwrap());
            assert!(bodies.is_empty(), "{bodies:?}");
        }
    }
}
