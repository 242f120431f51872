//! Untrusted text on a terminal: keys and messages of a store stay on one line and are visible.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use crate::support::{Run, Sandbox, edited, noise};

/// A name that forges a line, clears the screen, reverses the text direction and hides characters.
const HOSTILE: &str = "a\nupload: forged.zip to forged\r\u{1b}[2J\u{202e}\u{2066}\u{200b}\
    \u{85}\u{2028}\u{feff}\u{e0041}\t.zip";

/// Requires that nothing steers the terminal and that the hostile name is printed on one line.
#[track_caller]
fn is_harmless(run: &Run) {
    let text = run.out.clone() + &run.err;
    let steers = |c: char| {
        c != '\n' && c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2066}'..='\u{2069}')
            || matches!(c, '\u{feff}' | '\u{e0000}'..='\u{e007f}')
    };
    assert!(!text.contains(steers), "{run:?}");
    assert!(!text.lines().any(|line| line.starts_with("upload: forged")), "{run:?}");
    assert!(text.contains("\\nupload: forged.zip to forged\\r\\u"), "{run:?}");
    assert!(!text.contains("panicked"), "{run:?}");
}

#[test]
fn hostile_keys_are_escaped() {
    let sandbox = Sandbox::new();
    let (store, content) = (sandbox.store(), noise(50_000, 1));
    sandbox.run(["mb", "s3://two"]).succeeds();
    sandbox.put("n/base.zip", &content).succeeds();
    is_harmless(&sandbox.put(&format!("n/{HOSTILE}"), &edited(&content, 2)));
    store.foreign(&format!("{HOSTILE}/plain"), b"content");
    store.foreign(&format!("n/{HOSTILE}.txt"), b"content");
    // Two objects of one name, a delta without metadata, a copy for a URL.
    store.foreign(&format!("n/{HOSTILE}"), b"content");
    store.foreign(&format!("lost/{HOSTILE}.delta"), b"content");
    store.foreign(&format!("_tmp/{HOSTILE}"), b"content");
    store.foreign(&format!(".deltaglider/tmp/{HOSTILE}"), b"content");
    let (key, absent) = (format!("s3://buc/n/{HOSTILE}"), format!("s3://buc/absent/{HOSTILE}"));
    let (text, folder) = (format!("s3://buc/n/{HOSTILE}.txt"), format!("s3://buc/{HOSTILE}"));
    let (moved, prefix) = (format!("s3://buc/m/{HOSTILE}"), format!("buc/{HOSTILE}"));
    let commands: Vec<Vec<&str>> = vec![
        vec!["ls", "s3://buc/n/"],
        vec!["ls", "s3://buc"],
        vec!["ls", "--recursive", "--summarize", "--human-readable", "s3://buc"],
        vec!["ls", "--sizes", "stored", "s3://buc/n/"],
        vec!["--debug", "cp", &key, "out.zip"],
        vec!["cp", &key, "out/"],
        vec!["cp", "--dryrun", &key, "out/"],
        vec!["cp", &absent, "-"],
        vec!["cp", &key, &key],
        vec!["cp", &key, &moved],
        vec!["cp", "out.zip", &folder],
        vec!["cp", "--no-delta", "out.zip", &moved],
        vec!["cp", "-r", "s3://buc", "all", "--concurrency", "1"],
        vec!["cp", "-r", "s3://buc/n", "s3://two/n"],
        vec!["cp", "-r", "all", "s3://two"],
        vec!["cp", "-r", &absent, "none"],
        vec!["cp", "--json", &key, "json.zip"],
        vec!["sync", "s3://buc/n", "synced"],
        vec!["sync", "--json", "s3://buc/n", "json"],
        vec!["sync", "--dryrun", "all/n", "s3://two/sync"],
        vec!["sync", "all/n", "s3://two/sync"],
        vec!["sync", "--delete", "s3://buc/m", "synced"],
        vec!["mv", &moved, &text],
        vec!["mv", "--dryrun", "-r", "synced", "s3://two/mv"],
        vec!["verify", &text],
        vec!["verify", "-r", "s3://buc"],
        vec!["stats", &folder],
        vec!["stats", &prefix],
        vec!["repair", "buc"],
        vec!["repair", "--json", "buc"],
        vec!["repair", "--fix", "buc"],
        vec!["purge", "--dryrun", "buc"],
        vec!["presign", &key],
        vec!["migrate", "--yes", "--dryrun", "s3://buc/n", "s3://two/again"],
        vec!["migrate", "--yes", "--json", "s3://buc/n", "s3://two/again"],
        vec!["rm", "--dryrun", &key],
        vec!["rm", &key],
        vec!["rm", "--dryrun", "-r", "s3://buc/n"],
        vec!["rm", "-r", "s3://buc/n"],
        vec!["rm", "-r", &absent],
        vec!["mb", &folder],
        vec!["rb", &folder],
        vec!["put-bucket-acl", "--acl", "private", &folder],
        vec!["get-bucket-acl", &folder],
        vec!["rb", "--force", "s3://buc"],
        vec!["xdelta3", "-d", HOSTILE, "x"],
    ];
    for arguments in commands {
        println!("{arguments:?}");
        is_harmless(&sandbox.run(arguments));
    }
}

#[test]
fn hostile_keys_survive_json() {
    let sandbox = Sandbox::new();
    sandbox.store().foreign(&format!("n/{HOSTILE}"), b"content");
    let run = sandbox.run(["cp", "--json", &format!("s3://buc/n/{HOSTILE}"), "out"]);
    is_harmless(&run);
    let event: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(event["source"], format!("s3://buc/n/{HOSTILE}"));
}

#[test]
fn ordinary_keys_match_aws() {
    let sandbox = Sandbox::new();
    for key in ["a b\\c.txt", "é 日本.txt", "quotes \"'.txt"] {
        sandbox.store().foreign(key, b"content");
        let out = sandbox.run(["ls", &format!("s3://buc/{key}")]).succeeds().out;
        assert_eq!(&out[19..], format!("          7 {key}\n"));
    }
}

#[test]
fn store_messages_are_escaped() {
    let sandbox = Sandbox::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let message = "a&#10;upload: forged.zip to forged&#13;\u{202e}\u{2066}\u{200b}\u{85}";
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>Odd</Code>\
         <Message>{message}</Message></Error>"
    );
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut request = [0; 1 << 16];
            while connection.read(&mut request).is_ok_and(|len| len > 0) {
                let head = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/xml\r\n";
                write!(connection, "{head}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
            }
        }
    });
    let mut command = sandbox.command();
    command
        .env("AWS_ENDPOINT_URL_S3", url)
        .env("AWS_ACCESS_KEY_ID", "id")
        .env("AWS_SECRET_ACCESS_KEY", "secret");
    let run = Run::of(command.args(["--debug", "ls", "s3://buc"]));
    assert_eq!(run.code, Some(1), "{run:?}");
    is_harmless(&run);
}
