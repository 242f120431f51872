//! The log: steps on request, on standard error, and never a secret.

use std::process::Command;

use crate::support::{Run, Sandbox, edited, noise};
use s3_server::{ACCESS_KEY, SECRET_KEY, Server};

/// The default level logs nothing of a run that succeeds.
#[test]
fn debug_logs_every_step() {
    let sandbox = Sandbox::new();
    sandbox.put("a-1.zip", &noise(5_000, 1)).succeeds();
    sandbox.write("a-2.zip", edited(&noise(5_000, 1), 1));
    let run = sandbox.run(["--debug", "cp", "a-2.zip", "s3://buc/"]);
    assert_eq!(run.code, Some(0));
    for step in
        ["DEBUG", "put object=s3://buc/a-2.zip", "fetch the reference", "s3://buc/a-2.zip.delta"]
    {
        assert!(run.err.contains(step), "{step}: {run:?}");
    }
    assert!(!run.out.contains("DEBUG"));
    for (level, logs) in
        [("debug", true), ("DEBUG", true), ("info", false), ("off", false), ("", false)]
    {
        let run = Run::of(sandbox.command().env("DG_LOG_LEVEL", level).args([
            "cp",
            "s3://buc/a-2.zip",
            "out",
        ]));
        assert_eq!((run.code, run.err.contains("DEBUG")), (Some(0), logs), "{level:?}: {run:?}");
    }
}

#[test]
fn no_secret_is_printed() {
    let (sandbox, server) = (Sandbox::new(), Server::memory().unwrap());
    let token = "session-token-of-the-test";
    let over_http = |secret: &str| -> Command {
        let mut command = sandbox.command();
        command.env("AWS_ENDPOINT_URL_S3", server.url()).env("DG_LOG_LEVEL", "trace");
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", secret);
        command
    };
    sandbox.write("a.zip", noise(5_000, 1));
    let mut printed = String::new();
    for (secret, token_of, code) in [(SECRET_KEY, "", 0), ("a-wrong-secret", token, 1)] {
        for arguments in [
            ["mb", "s3://buc", "--debug"],
            ["cp", "a.zip", "s3://buc/"],
            ["ls", "s3://buc", "--recursive"],
        ] {
            let mut command = over_http(secret);
            if !token_of.is_empty() {
                command.env("AWS_SESSION_TOKEN", token_of);
            }
            let run = Run::of(command.args(arguments));
            assert_eq!(run.code, Some(code), "{run:?}");
            printed += &run.out;
            printed += &run.err;
        }
    }
    assert!(printed.contains("put object=s3://buc/a.zip"), "{printed}");
    for secret in [SECRET_KEY, "a-wrong-secret", token, "Signature=", "x-amz-security-token"] {
        assert!(!printed.contains(secret), "{secret}: {printed}");
    }
}
