//! Credentials of a person who signed in by `aws sso login` or `aws login`.

use std::panic::AssertUnwindSafe;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, Result, future};
use aws_smithy_runtime_api::client::result::ConnectorError;
use futures::FutureExt as _;

use super::error::find;

/// The sign-in provider of a profile: the SDK's, plus the command that renews an expired sign-in.
#[derive(Debug)]
pub(super) struct SignIn {
    profile: String,
    command: &'static str,
    inner: ProfileFileCredentialsProvider,
}

impl SignIn {
    pub(super) fn new(
        profile: &str,
        command: &'static str,
        inner: ProfileFileCredentialsProvider,
    ) -> Self {
        Self { profile: profile.to_owned(), command, inner }
    }

    async fn credentials(&self) -> Result {
        if !cfg!(feature = "sign-in") {
            return Err(CredentialsError::invalid_configuration(format!(
                "the profile {:?} needs a sign-in, \
                 and this program was built without its feature `sign-in`",
                self.profile
            )));
        }
        // The SDK panics on some invalid answers, such as a token that expired before it was
        // issued.
        let asked = AssertUnwindSafe(self.inner.provide_credentials()).catch_unwind().await;
        let given = asked.unwrap_or_else(|_| {
            Err(CredentialsError::unhandled("the answer of the sign-in service is invalid"))
        });
        match given {
            Err(source) if is_ended(&source) => {
                let (profile, command) = (self.profile.clone(), self.command);
                Err(CredentialsError::provider_error(NotSignedIn { profile, command, source }))
            }
            given => given,
        }
    }
}

impl ProvideCredentials for SignIn {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

/// Returns whether a new sign-in helps; it does not against an invalid setting or an unreachable
/// service.
fn is_ended(error: &CredentialsError) -> bool {
    !matches!(error, CredentialsError::InvalidConfiguration(_))
        && find::<ConnectorError>(error).is_none()
}

/// The error for a missing or expired sign-in.
#[derive(Debug, thiserror::Error)]
#[error("the profile {profile:?} is not signed in: run `{command} --profile {profile}`")]
struct NotSignedIn {
    profile: String,
    command: &'static str,
    source: CredentialsError,
}
