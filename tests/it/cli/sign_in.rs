//! Credentials of an interactive sign-in: IAM Identity Center, `aws login` and MFA codes. The
//! services are test doubles on this machine.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use s3_server::{ACCESS_KEY, SECRET_KEY, Server};
use serde_json::json;

use crate::support::scripted_http::{Request, scripted_by};
use crate::support::{Run, Sandbox};

/// A store, and services whose answers a test sets.
struct Stage {
    sandbox: Sandbox,
    store: Server,
    services: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

type Answer = (&'static str, String);

impl Stage {
    fn new(answer: impl Fn(&Request) -> Answer + Send + 'static) -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = requests.clone();
        let services = scripted_by(move |request| {
            let (status, body) = answer(request);
            kept.lock().unwrap().push(Request {
                method: request.method.clone(),
                path: request.path.clone(),
                query: request.query.clone(),
                body: request.body.clone(),
                headers: request.headers.clone(),
            });
            (status, String::new(), body)
        });
        Self { sandbox: Sandbox::new(), store: Server::memory().unwrap(), services, requests }
    }

    fn command(&self) -> Command {
        let mut command = self.sandbox.command();
        command
            .env("AWS_ENDPOINT_URL_S3", self.store.url())
            .env("AWS_EC2_METADATA_DISABLED", "true");
        for service in ["SSO", "SSO_OIDC", "SIGNIN", "STS"] {
            command.env(format!("AWS_ENDPOINT_URL_{service}"), &self.services);
        }
        command
    }

    fn config(&self, text: &str) {
        self.sandbox.write("../.aws/config", text);
    }

    fn ls(&self, profile: &str) -> Run {
        Run::of(self.command().args(["--profile", profile, "ls"]))
    }

    /// Returns the methods and paths of the requests to the services since the last call.
    fn asked(&self) -> Vec<String> {
        self.taken().iter().map(|request| format!("{} {}", request.method, request.path)).collect()
    }

    fn taken(&self) -> Vec<Request> {
        std::mem::take(&mut *self.requests.lock().unwrap())
    }

    /// Caches a token as `aws` does.
    fn cache(&self, folder: &str, name: &str, content: &serde_json::Value) {
        let path =
            self.sandbox.write(&format!("../.aws/{folder}/cache/{name}.json"), content.to_string());
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn cached(&self, folder: &str, name: &str) -> serde_json::Value {
        serde_json::from_slice(&self.sandbox.read(&format!("../.aws/{folder}/cache/{name}.json")))
            .unwrap()
    }
}

/// The name of the session and its SHA-1.
const SESSION: (&str, &str) = ("dev-session", "6a8732fe3624aef043e5f7811b597bd5e2a56b39");
/// The URL of the start page and its SHA-1.
const START: (&str, &str) =
    ("https://start.test/start", "8f5f88472d93311799e4d7c40100ad6d95a1f793");
/// The ARN of the login and its SHA-256.
const LOGIN: (&str, &str) = (
    "arn:aws:iam::123456789012:user/ann",
    "143b1fc18f5ca9bb89e81d9a77fe53029e237039039ccab734b6fb08284f7780",
);
const LATER: &str = "2099-01-01T00:00:00Z";
const BEFORE: &str = "2020-01-01T00:00:00Z";

fn sso_config() -> String {
    let role = "sso_account_id = 123456789012\nsso_role_name = Reader\n";
    let at = format!("sso_start_url = {}\nsso_region = eu-west-3\n", START.0);
    format!(
        "[sso-session {}]\n{at}[profile new]\nsso_session = {}\n{role}[profile old]\n{at}{role}\
         [profile role]\nrole_arn = arn:aws:iam::123456789012:role/Deploy\nsource_profile = new\n",
        SESSION.0, SESSION.0
    )
}

/// Answers as IAM Identity Center: the portal and the token service.
fn identity_center(request: &Request) -> Answer {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/federation/credentials") => {
            if !matches!(
                request.header("x-amz-sso_bearer_token"),
                Some("right-token\r" | "right-token")
            ) {
                return (
                    "401 Unauthorized",
                    json!({"message": "Session token not found or invalid"}).to_string(),
                );
            }
            assert_eq!(request.query, "role_name=Reader&account_id=123456789012");
            ("200 OK", json!({"roleCredentials": role_credentials()}).to_string())
        }
        ("POST", "/token") => {
            let asked: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
            let right = json!({
                "clientId": "id", "clientSecret": "hush", "grantType": "refresh_token",
                "refreshToken": "renew",
            });
            assert_eq!(asked, right);
            let token = json!({
                "accessToken": "right-token", "expiresIn": 3600, "refreshToken": "renew-2",
                "tokenType": "Bearer",
            });
            ("200 OK", token.to_string())
        }
        _ => sts(request),
    }
}

fn role_credentials() -> serde_json::Value {
    json!({
        "accessKeyId": ACCESS_KEY, "secretAccessKey": SECRET_KEY, "sessionToken": "session",
        "expiration": 4_070_908_800_000_u64,
    })
}

/// Answers as STS, which accepts one code.
fn sts(request: &Request) -> Answer {
    let form = String::from_utf8(request.body.clone()).unwrap();
    if !form.starts_with("Action=AssumeRole&") {
        return ("404 Not Found", "{}".to_owned());
    }
    if form.contains("SerialNumber=") && !form.contains("&TokenCode=123456") {
        let error = "<Error><Type>Sender</Type><Code>AccessDenied</Code><Message>\
            MultiFactorAuthentication failed with invalid MFA one time pass code.\
            </Message></Error>";
        return (
            "403 Forbidden",
            format!("<ErrorResponse>{error}<RequestId>r</RequestId></ErrorResponse>"),
        );
    }
    let keys = format!(
        "<AccessKeyId>{ACCESS_KEY}</AccessKeyId><SecretAccessKey>{SECRET_KEY}</SecretAccessKey>"
    );
    let keys = format!(
        "<Credentials>{keys}<SessionToken>s</SessionToken><Expiration>{LATER}</Expiration>\
         </Credentials>"
    );
    let user = "<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/R/s</Arn>\
                <AssumedRoleId>A:s</AssumedRoleId></AssumedRoleUser>";
    let answer = format!(
        "<AssumeRoleResponse><AssumeRoleResult>{user}{keys}</AssumeRoleResult>\
         </AssumeRoleResponse>"
    );
    ("200 OK", answer)
}

fn sso_token(token: &str, expires: &str) -> serde_json::Value {
    json!({"accessToken": token, "expiresAt": expires, "region": "eu-west-3", "startUrl": START.0})
}

#[test]
fn identity_center_signs_in() {
    let stage = Stage::new(identity_center);
    stage.config(&sso_config());
    stage.cache("sso", SESSION.1, &sso_token("right-token", LATER));
    stage.cache("sso", START.1, &sso_token("right-token", LATER));
    for profile in ["new", "old"] {
        stage.ls(profile).succeeds();
        assert_eq!(stage.asked(), ["GET /federation/credentials"], "{profile}");
    }
    stage.ls("role").succeeds();
    let [portal, role] = stage.taken().try_into().unwrap();
    assert_eq!((portal.path.as_str(), role.path.as_str()), ("/federation/credentials", "/"));
    // Several requests to the store need one to the portal.
    stage.sandbox.write("a.zip", [7; 5000]);
    Run::of(stage.command().args(["--profile", "new", "mb", "s3://buc"])).succeeds();
    assert_eq!(stage.asked().len(), 1);
    Run::of(stage.command().args(["--profile", "new", "cp", "a.zip", "s3://buc/"])).succeeds();
    assert_eq!(stage.asked().len(), 1);
}

#[test]
fn ended_session_is_renewed() {
    let stage = Stage::new(identity_center);
    stage.config(&sso_config());
    let mut token = sso_token("ended-token", BEFORE);
    for (key, value) in [
        ("clientId", "id"),
        ("clientSecret", "hush"),
        ("refreshToken", "renew"),
        ("registrationExpiresAt", LATER),
    ] {
        token[key] = value.into();
    }
    stage.cache("sso", SESSION.1, &token);
    stage.ls("new").succeeds();
    assert_eq!(stage.asked(), ["POST /token", "GET /federation/credentials"]);
    let cached = stage.cached("sso", SESSION.1);
    assert_eq!(
        (&cached["accessToken"], &cached["refreshToken"]),
        (&json!("right-token"), &json!("renew-2"))
    );
    let path = stage.sandbox.path(&format!("../.aws/sso/cache/{}.json", SESSION.1));
    assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    // The next run reads it from the cache.
    stage.ls("new").succeeds();
    assert_eq!(stage.asked(), ["GET /federation/credentials"]);
}

#[test]
fn missing_sign_in_names_command() {
    let stage = Stage::new(identity_center);
    stage.config(&sso_config());
    for profile in ["new", "old"] {
        let command = format!("`aws sso login --profile {profile}`");
        stage.ls(profile).fails(1, &["not signed in", &command]);
    }
    stage.ls("role").fails(1, &["`aws sso login --profile new`"]);
    assert_eq!(stage.asked(), [""; 0]);
    // An ended session without a refresh token.
    stage.cache("sso", SESSION.1, &sso_token("ended-token", BEFORE));
    let run = stage.ls("new").fails(1, &["`aws sso login --profile new`"]);
    assert!(!run.err.contains("ended-token"), "{run:?}");
    assert_eq!(stage.asked(), [""; 0]);
    // A session that has ended only by the answer of the service.
    for (profile, name) in [("new", SESSION.1), ("old", START.1)] {
        stage.cache("sso", name, &sso_token("ended-token", LATER));
        let command = format!("`aws sso login --profile {profile}`");
        let run = stage.ls(profile).fails(1, &[&command]);
        assert!(!run.err.contains("ended-token"), "{run:?}");
    }
    // A new sign-in would not help here.
    let mut command = stage.command();
    command.env("AWS_ENDPOINT_URL_SSO", "http://127.0.0.1:1").args(["--profile", "new", "ls"]);
    let run = Run::of(&mut command).fails(1, &["credentials could not be loaded", "refused"]);
    assert!(!run.err.contains("sso login"), "{run:?}");
}

/// Returns the cached login of `aws login`, with a key that openssl makes.
fn login(expires: &str) -> serde_json::Value {
    let made = Command::new("openssl")
        .args(["ecparam", "-name", "prime256v1", "-genkey", "-noout"])
        .output()
        .unwrap();
    json!({
        "accessToken": {
            "accessKeyId": ACCESS_KEY, "secretAccessKey": SECRET_KEY, "sessionToken": "session",
            "accountId": "123456789012", "expiresAt": expires,
        },
        "tokenType": "aws_sigv4",
        "refreshToken": "renew",
        "idToken": "identity",
        "clientId": "arn:aws:signin:::devtools/same-device",
        "dpopKey": String::from_utf8(made.stdout).unwrap(),
    })
}

#[test]
fn console_login_is_renewed() {
    let stage = Stage::new(|request| {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/token"));
        // A proof by the key of the login (RFC 9449) has three parts.
        assert_eq!(request.header("dpop").map(|proof| proof.split('.').count()), Some(3));
        let asked: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        let client = "arn:aws:signin:::devtools/same-device";
        assert_eq!(
            asked,
            json!({"clientId": client, "grantType": "refresh_token", "refreshToken": "renew"})
        );
        let keys = json!({
            "accessKeyId": ACCESS_KEY, "secretAccessKey": SECRET_KEY, "sessionToken": "session",
        });
        let answer = json!({
            "accessToken": keys, "expiresIn": 900, "refreshToken": "renew-2",
            "tokenType": "aws_sigv4",
        });
        ("200 OK", answer.to_string())
    });
    stage.config(&format!("[profile ann]\nlogin_session = {}\nregion = eu-west-3\n", LOGIN.0));
    stage.ls("ann").fails(1, &["not signed in", "`aws login --profile ann`"]);
    stage.cache("login", LOGIN.1, &login(LATER));
    stage.ls("ann").succeeds();
    assert_eq!(stage.asked(), [""; 0]);
    let mut ended = login(BEFORE);
    ended["accessToken"]["secretAccessKey"] = "ended".into();
    stage.cache("login", LOGIN.1, &ended);
    stage.ls("ann").succeeds();
    assert_eq!(stage.asked(), ["POST /v1/token"]);
    assert_eq!(stage.cached("login", LOGIN.1)["refreshToken"], "renew-2");
}

#[test]
fn rejected_login_names_command() {
    let stage = Stage::new(|_| {
        let error = json!({"error": "TOKEN_EXPIRED", "message": "expired"});
        ("401 Unauthorized", error.to_string())
    });
    stage.config(&format!("[default]\nlogin_session = {}\n", LOGIN.0));
    stage.cache("login", LOGIN.1, &login(BEFORE));
    let run = stage.ls("default").fails(1, &["`aws login --profile default`"]);
    assert!(!run.err.contains("renew"), "{run:?}");
}

/// Returns roles that need a code: by keys, by another such role, and by the profile's own keys.
fn mfa_config() -> String {
    let keys = format!("aws_access_key_id = {ACCESS_KEY}\naws_secret_access_key = {SECRET_KEY}\n");
    let role = |name: &str| format!("role_arn = arn:aws:iam::123456789012:role/{name}\n");
    let device = "mfa_serial = arn:aws:iam::123456789012:mfa/ann\n";
    let (deploy, next, own) = (role("Deploy"), role("Next"), role("Own"));
    format!(
        "[profile base]\n{keys}[profile deploy]\n{deploy}{device}source_profile = base\n\
         external_id = ext\nduration_seconds = 1800\n\
         [profile next]\n{next}source_profile = deploy\n\
         [profile own]\n{own}{device}source_profile = own\n{keys}\
         [profile environment]\n{deploy}{device}credential_source = Environment\n"
    )
}

/// Runs the binary at a terminal and enters `typed` at the prompt. The terminal's output is in
/// `out`.
fn at_terminal(stage: &Stage, arguments: &str, typed: &str) -> Run {
    let binary = stage.command();
    // A suite that runs in the background ignores interrupts, and so would the binary.
    let mut command = Command::new("env");
    command.args(["--default-signal=INT", "script"]);
    command.envs(binary.get_envs().filter_map(|(name, value)| Some((name, value?))));
    for (name, _) in binary.get_envs().filter(|(_, value)| value.is_none()) {
        command.env_remove(name);
    }
    // The code is read from the terminal, not from standard input.
    let line = format!("{} {arguments} < /dev/null", binary.get_program().to_str().unwrap());
    command.current_dir(stage.sandbox.work()).args(["-qec", &line, "/dev/null"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut shown, mut byte) = (Vec::new(), [0]);
    let out = child.stdout.as_mut().unwrap();
    while !shown.ends_with(b"/ann: ") && out.read(&mut byte).unwrap() > 0 {
        shown.push(byte[0]);
    }
    // Kept open to the end, since the terminal would get an end of file after the input.
    let mut keyboard = child.stdin.take().unwrap();
    // A run that never prompts may have ended.
    let _ = keyboard.write_all(typed.as_bytes());
    let mut output = child.wait_with_output().unwrap();
    drop(keyboard);
    output.stdout.splice(..0, shown);
    Run::from(output)
}

/// Returns the form fields of a request to STS.
fn form(request: &Request) -> Vec<String> {
    String::from_utf8(request.body.clone()).unwrap().split('&').map(str::to_owned).collect()
}

#[test]
fn code_is_asked_at_terminal() {
    let stage = Stage::new(sts);
    stage.config(&mfa_config());
    const QUESTION: &str = "Enter MFA code for arn:aws:iam::123456789012:mfa/ann: ";
    for (profile, roles) in
        [("deploy", &["Deploy"][..]), ("next", &["Deploy", "Next"]), ("own", &["Own"])]
    {
        let run = at_terminal(&stage, &format!("--profile {profile} ls"), "123456\n");
        assert_eq!(run.code, Some(0), "{run:?}");
        assert_eq!(run.out.matches(QUESTION).count(), 1, "{run:?}");
        let asked: Vec<Vec<String>> = stage.taken().iter().map(form).collect();
        assert_eq!(asked.len(), roles.len(), "{asked:?}");
        for (asked, role) in asked.iter().zip(roles) {
            let arn = format!("RoleArn=arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2F{role}");
            assert!(asked.contains(&arn), "{asked:?}");
        }
        let with_code = |name: &str| asked[0].iter().any(|field| field == name);
        assert!(with_code("TokenCode=123456"), "{asked:?}");
        assert!(
            with_code("SerialNumber=arn%3Aaws%3Aiam%3A%3A123456789012%3Amfa%2Fann"),
            "{asked:?}"
        );
        let more = ["ExternalId=ext", "DurationSeconds=1800"].map(with_code);
        assert_eq!(more, [profile != "own"; 2], "{asked:?}");
    }
    // Many requests to the store need one prompt.
    for name in ["a.zip", "b.zip", "c.zip", "d.zip"] {
        stage.sandbox.write(&format!("many/{name}"), [7; 5000]);
    }
    let run = at_terminal(&stage, "--profile deploy mb s3://buc", "123456\n");
    assert_eq!(run.code, Some(0), "{run:?}");
    let run = at_terminal(&stage, "--profile deploy cp -r many s3://buc/many", "123456\n");
    assert_eq!((run.code, run.out.matches(QUESTION).count()), (Some(0), 1), "{run:?}");
}

#[test]
fn wrong_code_is_asked_for_once() {
    let stage = Stage::new(sts);
    stage.config(&mfa_config());
    for name in ["a.txt", "b.txt", "c.txt"] {
        stage.sandbox.write(&format!("many/{name}"), "content");
    }
    let run = at_terminal(&stage, "--profile deploy cp -r many s3://buc/", "654321\n123456\n");
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(run.out.matches("Enter MFA code").count(), 1, "{run:?}");
    assert!(
        run.out.contains("MultiFactorAuthentication failed with invalid MFA one time pass code"),
        "{run:?}"
    );
    let run = at_terminal(&stage, "--profile deploy ls", "\n");
    assert!(run.code == Some(1) && run.out.contains("no MFA code was entered"), "{run:?}");
}

#[test]
fn interrupt_ends_the_question() {
    let stage = Stage::new(sts);
    stage.config(&mfa_config());
    let run = at_terminal(&stage, "--profile deploy ls", "\u{3}");
    assert_eq!(run.code, Some(130), "{run:?}");
    assert_eq!(stage.asked(), [""; 0]);
}

#[test]
fn code_needs_a_terminal() {
    let stage = Stage::new(sts);
    stage.config(&mfa_config());
    let binary = stage.command();
    // A new session has no terminal.
    let mut command = Command::new("setsid");
    command
        .arg("--wait")
        .arg(binary.get_program())
        .args(["--profile", "deploy", "ls"])
        .stdin(Stdio::null());
    command
        .envs(binary.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .current_dir(stage.sandbox.work());
    Run::of(&mut command).fails(1, &["the profile \"deploy\" needs an MFA code", "no terminal"]);
    assert_eq!(stage.asked(), [""; 0]);
}
