//! The key that signs, for combinations of environment, profile and option. aws 1.45 uses the same
//! key in each row (docs/s3.md, "Credentials").

use std::sync::{Arc, Mutex};

use crate::support::scripted_http::{Request, scripted_by};
use crate::support::{Run, Sandbox};

type Pairs = &'static [(&'static str, &'static str)];

/// The environment, `--profile`, the profile file, and the key that signs. `URL` is replaced by the
/// address of all services, `TOKEN` by the path of a file with a token.
type Row = (Pairs, Option<&'static str>, &'static str, &'static str);

const KEYS: Pairs = &[("AWS_ACCESS_KEY_ID", "ENV"), ("AWS_SECRET_ACCESS_KEY", "s")];
const KEYS_AND_P: Pairs = &[KEYS[0], KEYS[1], ("AWS_PROFILE", "p")];
const P: Pairs = &[("AWS_PROFILE", "p")];
const TOKEN: Pairs = &[
    ("AWS_WEB_IDENTITY_TOKEN_FILE", "TOKEN"),
    ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/r"),
    ("AWS_ROLE_SESSION_NAME", "session"),
];
const TOKEN_AND_P: Pairs = &[TOKEN[0], TOKEN[1], TOKEN[2], ("AWS_PROFILE", "p")];
const CONTAINER: Pairs = &[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "URL/container")];
const CONTAINER_AND_KEYS: Pairs = &[CONTAINER[0], KEYS[0], KEYS[1]];
const INSTANCE: Pairs =
    &[("AWS_EC2_METADATA_DISABLED", "false"), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "URL")];
const INSTANCE_AND_CONTAINER: Pairs = &[INSTANCE[0], INSTANCE[1], CONTAINER[0]];

const OF_DEFAULT: &str = "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = s\n";
const OF_P: &str = "[profile p]\naws_access_key_id = P\naws_secret_access_key = s\n";
const ROLE: &str = "[profile q]\naws_access_key_id = Q\naws_secret_access_key = s\n\
    [profile p]\nsource_profile = q\nrole_arn = arn:aws:iam::123456789012:role/r\n";
const ROLE_BY_ENVIRONMENT: &str =
    "[profile p]\ncredential_source = Environment\nrole_arn = arn:aws:iam::123456789012:role/r\n";
const PROCESS: &str = "[profile p]\ncredential_process = /bin/sh TOKEN.sh\n";
const PROCESS_AND_KEYS: &str = "[profile p]\ncredential_process = /bin/sh TOKEN.sh\n\
    aws_access_key_id = P\naws_secret_access_key = s\n";
const ROLE_BY_TOKEN: &str =
    "[profile p]\nweb_identity_token_file = TOKEN\nrole_arn = arn:aws:iam::123456789012:role/r\n";

const ROWS: [Row; 25] = [
    (KEYS, None, "", "ENV"),
    (KEYS, None, OF_DEFAULT, "ENV"),
    (KEYS_AND_P, None, OF_P, "ENV"),
    (KEYS, Some("p"), OF_P, "P"),
    (&[("AWS_PROFILE", "other")], Some("p"), OF_P, "P"),
    (&[], None, OF_DEFAULT, "DEFAULT"),
    (P, None, OF_P, "P"),
    (&[], Some("p"), ROLE, "ROLE-BY-Q"),
    (KEYS_AND_P, None, ROLE, "ENV"),
    (KEYS, Some("p"), ROLE, "ROLE-BY-Q"),
    (KEYS, Some("p"), ROLE_BY_ENVIRONMENT, "ROLE-BY-ENV"),
    (&[], Some("p"), PROCESS, "PROCESS"),
    (KEYS, Some("p"), PROCESS, "PROCESS"),
    (&[], Some("p"), PROCESS_AND_KEYS, "PROCESS"),
    (TOKEN, None, "", "TOKEN"),
    (TOKEN, None, OF_DEFAULT, "TOKEN"),
    (TOKEN_AND_P, None, OF_P, "TOKEN"),
    (TOKEN_AND_P, None, ROLE, "ROLE-BY-Q"),
    (TOKEN, Some("p"), OF_P, "P"),
    (&[], Some("p"), ROLE_BY_TOKEN, "TOKEN"),
    (CONTAINER, None, OF_DEFAULT, "DEFAULT"),
    (CONTAINER_AND_KEYS, None, "", "ENV"),
    (CONTAINER, None, "", "CONTAINER"),
    (INSTANCE_AND_CONTAINER, None, "", "CONTAINER"),
    (INSTANCE, None, "", "INSTANCE"),
];

fn json(key: &str) -> String {
    format!(
        "{{\"Code\":\"Success\",\"Version\":1,\"AccessKeyId\":\"{key}\",\
         \"SecretAccessKey\":\"s\",\"Token\":\"t\",\
         \"Expiration\":\"2099-01-01T00:00:00Z\"}}"
    )
}

fn assumed(call: &str, key: &str) -> String {
    format!(
        "<{call}Response><{call}Result><Credentials><AccessKeyId>{key}</AccessKeyId>\
         <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
         <Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></{call}Result>\
         </{call}Response>"
    )
}

/// Returns the key of a request's signature.
fn signer(request: &Request) -> Option<String> {
    let key = request.header("authorization")?.split("credential=").nth(1)?.split('/').next()?;
    Some(key.to_ascii_uppercase())
}

/// Starts STS, the container and metadata services, and a store that records the signing keys.
fn services() -> (String, Arc<Mutex<Vec<String>>>) {
    let signers = Arc::new(Mutex::new(Vec::new()));
    let kept = signers.clone();
    let url = scripted_by(move |request| {
        let body = String::from_utf8_lossy(&request.body);
        let answer = match &*request.path {
            "/latest/api/token" => "TOKEN".to_owned(),
            "/latest/meta-data/iam/security-credentials/" => "role".to_owned(),
            path if path.starts_with("/latest/") => json("INSTANCE"),
            "/container" => json("CONTAINER"),
            _ if body.contains("Action=AssumeRoleWithWebIdentity") => {
                assumed("AssumeRoleWithWebIdentity", "TOKEN")
            }
            _ if body.contains("Action=AssumeRole") => {
                assumed("AssumeRole", &format!("ROLE-BY-{}", signer(request).unwrap_or_default()))
            }
            _ => {
                kept.lock().unwrap().extend(signer(request));
                "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>".to_owned()
            }
        };
        ("200 OK", "x-aws-ec2-metadata-token-ttl-seconds: 21600\r\n".to_owned(), answer)
    });
    (url, signers)
}

#[test]
fn same_key_signs_as_with_aws() {
    let (url, signers) = services();
    for (environment, option, profiles, expected) in ROWS {
        let sandbox = Sandbox::new();
        let token = sandbox.write("token", "a.web.token");
        sandbox.write("token.sh", format!("echo '{}'", json("PROCESS")));
        let filled =
            |text: &str| text.replace("TOKEN", token.to_str().unwrap()).replace("URL", &url);
        let config = sandbox.write("config", filled(profiles));
        let mut command = sandbox.command();
        for name in ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_STS"] {
            command.env(name, &url);
        }
        command
            .env("AWS_CONFIG_FILE", config)
            .env("AWS_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            command.env_remove(name);
        }
        command.envs(environment.iter().map(|(name, value)| (name, filled(value))));
        command.args(option.map(|name| format!("--profile={name}"))).args(["ls", "s3://buc/"]);
        let run = Run::of(&mut command).fails(0, &[]);
        let signed = std::mem::take(&mut *signers.lock().unwrap());
        assert!(
            signed.iter().all(|key| key == expected) && !signed.is_empty(),
            "{expected}: {signed:?} {run:?}"
        );
    }
}
