//! Credentials from a `credential_process` of the profile files: run as `aws` runs it, but without
//! our own secrets.
//!
//! The SDK's own provider passes on the whole environment, including keys of the cache, accepts any
//! amount of output, and waits without limit.

use std::fmt;
use std::io::{self, IsTerminal as _};
use std::process::Stdio;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result, future};
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use zeroize::Zeroizing;

use crate::domain::Timestamp;

/// The maximum run time of a process: long enough for a person with a second factor.
pub(super) const TIMEOUT: Duration = Duration::from_secs(60);
/// The maximum size of a process's output in bytes; credentials take a few thousand.
const MAX_OUTPUT: u64 = 64 << 10;
/// The maximum number of bytes shown of a failed process's error output.
const MAX_SHOWN: usize = 500;
/// The prefix of our own variables, some of which hold keys.
const OWN_VARIABLES: &[u8] = b"DG_";

/// A shell command that prints credentials.
pub(super) struct Process {
    command: String,
    timeout: Duration,
}

impl Process {
    pub(super) fn new(command: &str) -> Self {
        Self { command: command.to_owned(), timeout: TIMEOUT }
    }
}

/// Hides the command: its arguments may be secrets.
impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Process(..)")
    }
}

impl ProvideCredentials for Process {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

impl Process {
    async fn credentials(&self) -> Result {
        let ran = tokio::time::timeout(self.timeout, self.run()).await;
        let output =
            ran.map_err(|_| failed(format!("it took longer than {} s", self.timeout.as_secs())))??;
        parse(&output)
    }

    async fn run(&self) -> std::result::Result<Zeroizing<Vec<u8>>, CredentialsError> {
        let mut command = if cfg!(windows) {
            let mut command = tokio::process::Command::new("cmd.exe");
            command.arg("/C");
            command
        } else {
            let mut command = tokio::process::Command::new("sh");
            command.arg("-c");
            command
        };
        // The process may prompt a person; piped input is a file to store.
        let input = if io::stdin().is_terminal() { Stdio::inherit() } else { Stdio::null() };
        command
            .arg(&self.command)
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(OWN_VARIABLES) {
                command.env_remove(name);
            }
        }
        let mut child =
            command.spawn().map_err(|error| failed(format!("it cannot be run: {error}")))?;
        let (out, err) = futures::join!(read(child.stdout.take()), read(child.stderr.take()));
        let (out, err) = out
            .and_then(|out| Ok((out, err?)))
            .map_err(|error| failed(format!("reading failed: {error}")))?;
        if out.len() as u64 > MAX_OUTPUT {
            return Err(failed(format!("it printed more than {MAX_OUTPUT} bytes")));
        }
        let status =
            child.wait().await.map_err(|error| failed(format!("waiting failed: {error}")))?;
        if !status.success() {
            let message = String::from_utf8_lossy(err.get(..MAX_SHOWN).unwrap_or(&err));
            return Err(failed(format!("it ended with {status}: {}", message.trim())));
        }
        Ok(out)
    }
}

/// Reads to the end, or one byte more than the limit.
async fn read(pipe: Option<impl AsyncRead + Unpin>) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    if let Some(pipe) = pipe {
        pipe.take(MAX_OUTPUT + 1).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

fn failed(why: String) -> CredentialsError {
    CredentialsError::provider_error(format!("credential_process: {why}"))
}

/// Parses credentials as specified in "Sourcing credentials with an external process" of the AWS
/// CLI user guide.
fn parse(output: &[u8]) -> Result {
    // Never shows the parser's message: it may quote a secret.
    let fields: Map<String, Value> = serde_json::from_slice(output)
        .map_err(|_| failed("it did not print a JSON object".to_owned()))?;
    let field = |name: &str| {
        fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    let text = |name: &str| field(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if field("Version").and_then(Value::as_u64) != Some(1) {
        return Err(failed("it did not print Version 1".to_owned()));
    }
    let needed = |name: &str| text(name).ok_or_else(|| failed(format!("it did not print {name}")));
    let mut credentials = Credentials::builder()
        .access_key_id(needed("AccessKeyId")?)
        .secret_access_key(needed("SecretAccessKey")?)
        .provider_name("CredentialProcess");
    credentials.set_session_token(text("SessionToken").map(str::to_owned));
    if let Some(expiration) = text("Expiration") {
        let expiry = expiry(expiration)
            .ok_or_else(|| failed("Expiration is not a time of ISO 8601".to_owned()))?;
        credentials.set_expiry(Some(expiry));
    }
    Ok(credentials.build())
}

fn expiry(text: &str) -> Option<SystemTime> {
    let seconds = Timestamp::parse(text)?.unix_seconds();
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn run(command: &str) -> Result {
        Process { command: command.to_owned(), timeout: Duration::from_secs(30) }
            .credentials()
            .await
    }

    #[tokio::test]
    async fn credentials_are_parsed() {
        let printed = r#"{"Version":1,"AccessKeyId":"id","SecretAccessKey":"key",
            "SessionToken":"token","Expiration":"2026-01-02T03:04:05+01:00"}"#;
        let credentials = run(&format!("echo noise >&2; echo '{printed}'")).await.unwrap();
        assert_eq!((credentials.access_key_id(), credentials.secret_access_key()), ("id", "key"));
        assert_eq!(credentials.session_token(), Some("token"));
        let expiry = credentials.expiry().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(expiry.as_secs(), 1_767_319_445);
        for (printed, why) in [
            ("{}", "Version"),
            (r#"{"Version":2,"AccessKeyId":"id","SecretAccessKey":"hush"}"#, "Version"),
            (r#"{"Version":1,"SecretAccessKey":"hush"}"#, "AccessKeyId"),
            (
                r#"{"Version":1,"AccessKeyId":"id","SecretAccessKey":"hush","Expiration":"soon"}"#,
                "Expiration",
            ),
            (r#"{"Version":1,"AccessKeyId":"id","SecretAccessKey":hush}"#, "JSON"),
        ] {
            let error =
                crate::service::chain(&run(&format!("echo '{printed}'")).await.unwrap_err());
            assert!(error.contains(why) && !error.contains("hush"), "{error}");
        }
    }

    #[tokio::test]
    async fn output_and_time_are_bounded() {
        let error = crate::service::chain(&run("yes").await.unwrap_err());
        assert!(error.contains("it printed more than 65536 bytes"), "{error}");
        let error = crate::service::chain(&run("echo no entry >&2; exit 3").await.unwrap_err());
        assert!(error.contains("exit status: 3: no entry"), "{error}");
        let endless =
            Process { command: "exec sleep 600".to_owned(), timeout: Duration::from_millis(50) };
        let error = crate::service::chain(&endless.credentials().await.unwrap_err());
        assert!(error.contains("it took longer"), "{error}");
    }
}
