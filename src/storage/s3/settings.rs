//! The client's settings from options, environment and profile files, read before the SDK sees
//! them.
//!
//! The SDK panics on some values of these settings and ignores others. An empty value counts as
//! unset.

use std::env::VarError;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use aws_config::BehaviorVersion;
use aws_config::profile::ProfileSet;
use aws_credential_types::Credentials;
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use hyper_util::client::proxy::matcher::Matcher;

use super::error::Cause;
use super::{AddressingStyle, NoAddressingStyle, S3Config};
use crate::domain::endpoint::Sources;

/// The region if none is configured; it finds the buckets of all regions.
const DEFAULT_REGION: &str = "us-east-1";
const DEFAULT_PROFILE: &str = "default";

/// The error for an invalid setting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {why}")]
pub struct S3SettingError {
    /// The option, the variable, or the file and its line.
    origin: String,
    why: String,
}

impl S3SettingError {
    pub(super) fn new(origin: impl Into<String>, why: impl Into<String>) -> Self {
        Self { origin: origin.into(), why: why.into() }
    }
}

/// The profile files and the chosen profile.
pub(super) struct Profiles {
    texts: Vec<(EnvConfigFileKind, String)>,
    pub(super) all: ProfileSet,
    pub(super) chosen: String,
    /// Set if an option chose the profile, which then is the only source of credentials.
    pub(super) by_option: bool,
    /// The paths of the files, for messages.
    paths: Vec<PathBuf>,
}

impl Profiles {
    /// Reads the profile files.
    pub(super) async fn read(config: &S3Config) -> Result<Self, S3SettingError> {
        let option = config.profile.as_deref().map(|name| ("--profile", name.to_owned()));
        let variable = || Ok(variable("AWS_PROFILE")?.map(|name| ("AWS_PROFILE", name)));
        let named = option.map_or_else(variable, |option| Ok(Some(option)))?;
        let (mut texts, mut paths) = (Vec::new(), Vec::new());
        let sources = Sources {
            endpoint_url: None,
            profile: None,
            variable: &|name| std::env::var_os(name),
            file: &|path: &Path| std::fs::read_to_string(path),
        };
        for (kind, path) in [
            (EnvConfigFileKind::Config, sources.config_file()),
            (EnvConfigFileKind::Credentials, sources.credentials_file()),
        ] {
            let Some(path) = path else { continue };
            let Some(text) = text_of(&path)? else { continue };
            let text = [(kind, text)];
            let loaded = load(&files_of(&text, ""), DEFAULT_PROFILE).await;
            loaded.map_err(|why| S3SettingError::new(path.display().to_string(), why))?;
            texts.extend(text);
            paths.push(path);
        }
        let chosen = named.as_ref().map_or(DEFAULT_PROFILE, |(_, name)| name).to_owned();
        let all = load(&files_of(&texts, ""), &chosen)
            .await
            .map_err(|why| S3SettingError::new("the profile files", why))?;
        let profiles = Self { texts, all, chosen, by_option: config.profile.is_some(), paths };
        match named {
            Some((origin, name))
                if name != DEFAULT_PROFILE && profiles.all.get_profile(&name).is_none() =>
            {
                Err(profiles.without(origin, &name))
            }
            _ => Ok(profiles),
        }
    }

    fn without(&self, origin: &str, name: &str) -> S3SettingError {
        let paths: Vec<String> = self.paths.iter().map(|path| path.display().to_string()).collect();
        let place = match &*paths {
            [] => "there are no profile files".to_owned(),
            paths => format!("it is not in {}", paths.join(" or ")),
        };
        S3SettingError::new(origin, format!("the profile {name:?} does not exist: {place}"))
    }

    /// Returns the files, with `credentials` appended to the credentials file.
    pub(super) fn files_with(&self, credentials: &str) -> EnvConfigFiles {
        files_of(&self.texts, credentials)
    }

    /// Returns a non-empty property of the chosen profile, with its origin for messages.
    fn property(&self, name: &str) -> Option<(String, String)> {
        let value = self.all.get(name).map(str::trim).filter(|value| !value.is_empty())?;
        Some((format!("{name} of the profile {}", self.chosen), value.to_owned()))
    }

    /// Returns a non-empty property of the chosen profile.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.property(name).map(|(_, value)| value)
    }

    /// Returns the value of a variable, or else of a property, with its origin for messages.
    fn first(
        &self,
        name: &str,
        property: &str,
    ) -> Result<Option<(String, String)>, S3SettingError> {
        Ok(variable(name)?
            .map(|value| (name.to_owned(), value))
            .or_else(|| self.property(property)))
    }

    /// Returns the region of the option, of the environment, of the profile, or the default one,
    /// which knows all buckets of AWS.
    pub(super) fn region(&self, config: &S3Config) -> Result<String, S3SettingError> {
        let mut found =
            config.region.as_deref().map(|name| ("--region".to_owned(), name.trim().to_owned()));
        for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
            if found.is_none() {
                found = variable(name)?.map(|value| (name.to_owned(), value));
            }
        }
        let Some((origin, region)) = found.or_else(|| self.property("region")) else {
            return Ok(DEFAULT_REGION.to_owned());
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if region.is_empty() || !region.bytes().all(is_name) {
            return Err(S3SettingError::new(origin, format!("{region:?} is no name of a region")));
        }
        Ok(region)
    }

    /// Returns the configured number of attempts of a request; `None` if no setting has it. The
    /// retry mode has no effect: each mode sends fewer requests to a store that asks for it.
    pub(super) fn attempts(
        &self,
        option: Option<NonZeroU32>,
    ) -> Result<Option<u32>, S3SettingError> {
        if let Some((origin, mode)) = self.first("AWS_RETRY_MODE", "retry_mode")? {
            let modes = ["standard", "adaptive", "legacy"];
            if !modes.contains(&mode.to_ascii_lowercase().as_str()) {
                return Err(S3SettingError::new(
                    origin,
                    format!("{mode:?} is no retry mode: {} are", modes.join(", ")),
                ));
            }
        }
        if option.is_some() {
            return Ok(option.map(NonZeroU32::get));
        }
        let Some((origin, attempts)) = self.first("AWS_MAX_ATTEMPTS", "max_attempts")? else {
            return Ok(None);
        };
        match attempts.parse::<NonZeroU32>() {
            Ok(number) => Ok(Some(number.get())),
            Err(_) => Err(S3SettingError::new(
                origin,
                format!("{attempts:?} is not a number of attempts: 1 or more"),
            )),
        }
    }
}

impl Profiles {
    /// Returns the addressing style of the option, else of the profile.
    pub(super) fn addressing_style(
        &self,
        option: Option<AddressingStyle>,
    ) -> Result<AddressingStyle, S3SettingError> {
        if let Some(style) = option {
            return Ok(style);
        }
        // The nested settings of `s3` are lines of its value.
        let lines = self.get("s3").unwrap_or_default();
        let values = lines.lines().filter_map(|line| line.split_once('='));
        let Some((_, style)) =
            values.into_iter().find(|(name, _)| name.trim() == "addressing_style")
        else {
            return Ok(AddressingStyle::default());
        };
        let origin = format!("addressing_style of s3 of the profile {}", self.chosen);
        style
            .trim()
            .parse()
            .map_err(|error: NoAddressingStyle| S3SettingError::new(origin, error.to_string()))
    }
}

/// Returns the version of the SDK's defaults that this crate relies on.
pub(super) fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// Returns the trimmed value of a variable; `None` if nothing is left.
pub(super) fn variable(name: &str) -> Result<Option<String>, S3SettingError> {
    match std::env::var(name) {
        Ok(value) => Ok(Some(value.trim().to_owned()).filter(|value| !value.is_empty())),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(S3SettingError::new(name, "it is not UTF-8")),
    }
}

/// Returns the access key in the environment.
pub(super) fn keys_of_environment() -> Result<Option<Credentials>, S3SettingError> {
    const ID: &str = "AWS_ACCESS_KEY_ID";
    const SECRET: &str = "AWS_SECRET_ACCESS_KEY";
    const TOKEN: &str = "AWS_SESSION_TOKEN";
    let (id, secret) = match (key_part(ID)?, key_part(SECRET)?) {
        (Some(id), Some(secret)) => (id, secret),
        (None, None) => return Ok(None),
        (Some(_), None) => {
            return Err(S3SettingError::new(ID, format!("it is set and {SECRET} is not")));
        }
        (None, Some(_)) => {
            return Err(S3SettingError::new(SECRET, format!("it is set and {ID} is not")));
        }
    };
    Ok(Some(Credentials::new(id, secret, key_part(TOKEN)?, None, "Environment")))
}

/// Returns a part of a key, which must be valid in a header.
fn key_part(name: &str) -> Result<Option<String>, S3SettingError> {
    let value = variable(name)?;
    if value.as_ref().is_some_and(|value| !value.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err(S3SettingError::new(
            name,
            "its value contains white space or another invalid character",
        ));
    }
    Ok(value)
}

/// Returns the proxies of the environment. `*` in `NO_PROXY` disables all, as in curl.
pub(super) fn proxies() -> Option<Matcher> {
    let exceptions = ["NO_PROXY", "no_proxy"].map(|name| std::env::var(name).unwrap_or_default());
    let is_none = exceptions.iter().any(|list| list.split(',').any(|host| host.trim() == "*"));
    if is_none { None } else { Some(Matcher::from_env()) }
}

/// Returns the text of a file without a byte order mark; `None` if it does not exist.
fn text_of(path: &Path) -> Result<Option<String>, S3SettingError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim_start_matches('\u{feff}').to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(S3SettingError::new(
            path.display().to_string(),
            format!("it cannot be read: {error}"),
        )),
    }
}

/// Returns profile files with these contents; later ones extend earlier ones.
fn files_of(texts: &[(EnvConfigFileKind, String)], credentials: &str) -> EnvConfigFiles {
    let all = EnvConfigFiles::builder().with_contents(EnvConfigFileKind::Config, "");
    let all = texts.iter().fold(all, |all, (kind, text)| all.with_contents(*kind, text));
    all.with_contents(EnvConfigFileKind::Credentials, credentials).build()
}

async fn load(files: &EnvConfigFiles, chosen: &str) -> Result<ProfileSet, String> {
    let chosen = Some(chosen.to_owned().into());
    let loaded =
        aws_config::profile::load(&Default::default(), &Default::default(), files, chosen).await;
    loaded.map_err(|error| Cause::of(&error).to_string())
}
