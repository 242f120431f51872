//! Roles that need an MFA code (`mfa_serial`), which the SDK's profiles do not support.

use std::time::{Duration, SystemTime};

use aws_config::profile::{Profile, ProfileFileCredentialsProvider};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{
    ProvideCredentials, Result, SharedCredentialsProvider, future,
};
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_sts::Client;
use tokio::sync::Mutex;

use super::services::Services;
use super::terminal;

/// The time limit for entering the code.
pub(super) const TIMEOUT: Duration = Duration::from_secs(300);

/// The role of a profile with `mfa_serial`.
#[derive(Debug)]
pub(super) struct RoleWithCode {
    profile: String,
    role_arn: String,
    serial: String,
    external_id: Option<String>,
    session_name: Option<String>,
    duration: Option<String>,
    /// The provider of the credentials that assume the role.
    base: ProfileFileCredentialsProvider,
    services: Services,
    /// The reason why the last code was rejected. A person is asked only once, not for each of many
    /// files.
    failed: Mutex<Option<String>>,
}

impl RoleWithCode {
    /// Creates the provider of a profile's role.
    pub(super) fn new(
        profile: &Profile,
        base: ProfileFileCredentialsProvider,
        services: Services,
    ) -> Self {
        let get = |name: &str| {
            profile.get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        Self {
            profile: profile.name().to_owned(),
            role_arn: get("role_arn").unwrap_or_default(),
            serial: get("mfa_serial").unwrap_or_default(),
            external_id: get("external_id"),
            session_name: get("role_session_name"),
            duration: get("duration_seconds"),
            base,
            services,
            failed: Mutex::default(),
        }
    }

    async fn credentials(&self) -> Result {
        // The lock also limits the prompts to one at a time.
        let mut failed = self.failed.lock().await;
        if let Some(why) = &*failed {
            return Err(CredentialsError::provider_error(why.clone()));
        }
        let duration = self.duration.as_ref().map(|text| text.parse::<i32>()).transpose();
        let duration = duration.map_err(|_| {
            let (profile, text) = (&self.profile, self.duration.as_deref().unwrap_or_default());
            CredentialsError::invalid_configuration(format!(
                "duration_seconds of the profile {profile} is not a number: {text:?}"
            ))
        })?;
        // Fetched before the prompt, which would be useless without it.
        let base = self.base.provide_credentials().await?;
        let assumed = match self.ask().await {
            Ok(code) => self.assume(base, code, duration).await,
            Err(error) => Err(error),
        };
        assumed.map_err(|why| {
            *failed = Some(why.clone());
            CredentialsError::provider_error(why)
        })
    }

    async fn ask(&self) -> std::result::Result<String, String> {
        let asked = tokio::time::timeout(
            TIMEOUT,
            terminal::ask(format!("Enter MFA code for {}: ", self.serial)),
        );
        let answer = asked
            .await
            .map_err(|_| format!("no MFA code was entered in {} s", TIMEOUT.as_secs()))?;
        let answer = answer.map_err(|error| {
            format!(
                "the profile {:?} needs an MFA code (mfa_serial), \
                 and there is no terminal to ask for it ({error}): run the command at a terminal, \
                 or with temporary credentials in the environment",
                self.profile
            )
        })?;
        let code = answer.trim();
        if code.is_empty() {
            Err("no MFA code was entered".to_owned())
        } else {
            Ok(code.to_owned())
        }
    }

    async fn assume(
        &self,
        base: Credentials,
        code: String,
        duration: Option<i32>,
    ) -> std::result::Result<Credentials, String> {
        let config = self.services.client_config(&self.profile);
        let config = config.credentials_provider(SharedCredentialsProvider::new(base));
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let name =
            self.session_name.clone().unwrap_or_else(|| format!("deltaglider-{}", now.as_secs()));
        let call = Client::new(&config.load().await)
            .assume_role()
            .role_arn(&self.role_arn)
            .role_session_name(name)
            .serial_number(&self.serial)
            .token_code(code)
            .set_external_id(self.external_id.clone())
            .set_duration_seconds(duration);
        let role = &self.role_arn;
        let answer = call.send().await.map_err(|error| match (error.code(), error.message()) {
            (Some(code), Some(message)) => {
                format!("cannot assume the role {role}: {code}: {message}")
            }
            _ => format!("cannot assume the role {role}: {}", super::error::Cause::of(&error)),
        })?;
        let given = answer.credentials.ok_or_else(|| {
            format!("cannot assume the role {role}: the answer has no credentials")
        })?;
        let expiry = SystemTime::try_from(given.expiration).map_err(|_| {
            format!("cannot assume the role {role}: the expiration in the answer is not a time")
        })?;
        let mut credentials = Credentials::builder()
            .access_key_id(given.access_key_id)
            .secret_access_key(given.secret_access_key)
            .session_token(given.session_token)
            .provider_name("RoleWithCode");
        credentials.set_expiry(Some(expiry));
        Ok(credentials.build())
    }
}

impl ProvideCredentials for RoleWithCode {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}
