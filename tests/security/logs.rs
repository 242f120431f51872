//! Log and output: even at the most verbose level they contain no key, secret or content, in any
//! encoding.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::stage::{Binary, KEY, entries};
use crate::support::{Run, edited};

/// Returns the encodings in which a secret may have been written.
fn forms(secret: &[u8]) -> Vec<String> {
    let hex = |upper: bool| -> String {
        secret
            .iter()
            .map(|byte| if upper { format!("{byte:02X}") } else { format!("{byte:02x}") })
            .collect()
    };
    let numbers = secret.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut forms = vec![hex(false), hex(true), numbers];
    // Base64 depends on the offset modulo three.
    for skip in 0..3 {
        let whole = &secret[skip..secret.len() - (secret.len() - skip) % 3];
        forms.extend([STANDARD.encode(whole), URL_SAFE_NO_PAD.encode(whole)]);
    }
    forms
}

/// Log and output hold no key, no secret and no content.
#[test]
fn output_holds_no_secret() {
    let binary = Binary::new();
    let third = edited(&binary.second, 3);
    binary.sandbox.write("3.zip", &third);
    let mut output = Vec::new();
    let mut run = |arguments: &[&str]| {
        let mut command = binary.command(arguments);
        command
            .env("DG_LOG_LEVEL", "trace")
            .env("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY");
        let run = Run::of(&mut command);
        assert!(!run.err.is_empty() || arguments[0] == "cache", "{run:?}");
        output.extend_from_slice(run.err.as_bytes());
        output.extend_from_slice(run.out.as_bytes());
    };
    run(&["cp", "s3://buc/a/2.zip", "out.zip"]);
    run(&["cp", "3.zip", "s3://buc/a/3.zip"]);
    run(&["verify", "s3://buc/a/3.zip"]);
    run(&["cache", "info"]);
    // Includes the messages about a damaged entry.
    let entry = entries(&binary.cache()).remove(0);
    let mut bytes = fs::read(&entry).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&entry, bytes).unwrap();
    run(&["cp", "s3://buc/a/1.zip", "out.zip"]);
    run(&["cp", "s3://buc/a/1.zip", "out.zip"]);
    run(&["cache", "verify", "--json"]);
    let mut secrets = forms(&STANDARD.decode(KEY).unwrap());
    secrets.extend([
        KEY.to_owned(),
        KEY.trim_end_matches('=').to_owned(),
        "wJalrXUtnFEMIK7MDENG".to_owned(),
    ]);
    for content in [&binary.first, &binary.second, &third] {
        for at in [0, 1000, 150_000, content.len() - 24] {
            secrets.extend(forms(&content[at..at + 24]));
        }
    }
    assert!(secrets.iter().all(|secret| secret.len() >= 16));
    let text = String::from_utf8_lossy(&output);
    assert!(text.contains("damaged") && text.contains("DEBUG"), "{text}");
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} was printed");
    }
    for window in binary.first.chunks_exact(24).chain(third.chunks_exact(24)) {
        assert!(find(&output, window).is_none(), "content was printed");
    }
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}
