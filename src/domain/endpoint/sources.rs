//! The sources of an endpoint, in order of precedence.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::profile_file::ProfileFile;
use super::{EndpointError, WhyNot};

/// The sources of an endpoint. Environment and files are passed as functions, so that resolution is
/// a pure function.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The value of `--endpoint-url`.
    pub endpoint_url: Option<&'a str>,
    /// The value of `--profile`; else `AWS_PROFILE`, else `default` is used.
    pub profile: Option<&'a str>,
    /// Returns an environment variable.
    pub variable: &'a dyn Fn(&str) -> Option<OsString>,
    /// Reads a file as text; called at most twice.
    pub file: &'a dyn Fn(&Path) -> io::Result<String>,
}

impl fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { endpoint_url, profile, .. } = self;
        let shown = endpoint_url.map(super::url::without_secrets);
        f.debug_struct("Sources")
            .field("endpoint_url", &shown)
            .field("profile", profile)
            .finish_non_exhaustive()
    }
}

impl Sources<'_> {
    /// Returns the first value that is set, and its origin.
    pub(super) fn first(&self) -> Result<Option<(String, String)>, EndpointError> {
        if let Some(text) = self.endpoint_url {
            return Ok(Some((text.to_owned(), "--endpoint-url".to_owned())));
        }
        let profile = Profile::load(self)?;
        let ignore = match self.text("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")? {
            Some(value) => Some(value),
            None => profile.get("ignore_configured_endpoint_urls").map(|(value, _)| value),
        };
        if ignore.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        for name in ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"] {
            if let Some(text) = self.text(name)? {
                return Ok(Some((text, name.to_owned())));
            }
        }
        Ok(profile.endpoint_of_s3().or_else(|| profile.get("endpoint_url")))
    }

    /// Returns a variable if it is set and not empty.
    fn set(&self, name: &str) -> Option<OsString> {
        (self.variable)(name).filter(|value| !value.is_empty())
    }

    /// Returns a variable as text if it is set and not empty; fails if it is not UTF-8.
    fn text(&self, name: &str) -> Result<Option<String>, EndpointError> {
        let not_utf8 = |value: OsString| EndpointError {
            given: super::url::without_secrets(&value.to_string_lossy()),
            origin: name.to_owned(),
            why: WhyNot::NotUtf8,
        };
        self.set(name).map(OsString::into_string).transpose().map_err(not_utf8)
    }

    /// Returns the path that a variable names, else that of the file `name` in `~/.aws`.
    fn path(&self, variable: &str, name: &str) -> Option<PathBuf> {
        let home = || self.set("HOME").or_else(|| self.set("USERPROFILE")).map(PathBuf::from);
        match self.set(variable).map(PathBuf::from) {
            Some(path) => match path.strip_prefix("~") {
                Ok(below) => home().map(|home| home.join(below)),
                Err(_) => Some(path),
            },
            None => home().map(|home| home.join(".aws").join(name)),
        }
    }

    /// Returns the path of the configuration file; `None` without a home.
    pub fn config_file(&self) -> Option<PathBuf> {
        self.path("AWS_CONFIG_FILE", "config")
    }

    /// Returns the path of the credentials file; `None` without a home.
    pub fn credentials_file(&self) -> Option<PathBuf> {
        self.path("AWS_SHARED_CREDENTIALS_FILE", "credentials")
    }

    /// Reads a profile file. An absent file counts as empty; an unreadable one is an error, since
    /// it may define the endpoint.
    fn read(&self, path: Option<PathBuf>) -> Result<(ProfileFile, PathBuf), EndpointError> {
        let Some(path) = path else { return Ok(Default::default()) };
        match (self.file)(&path) {
            Ok(text) => Ok((ProfileFile::parse(&text), path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok((ProfileFile::default(), path))
            }
            Err(error) => Err(EndpointError {
                given: path.display().to_string(),
                origin: "the profile file".to_owned(),
                why: WhyNot::File(error.to_string()),
            }),
        }
    }
}

/// The chosen profile in both files.
struct Profile {
    name: String,
    config: (ProfileFile, PathBuf),
    credentials: (ProfileFile, PathBuf),
}

impl Profile {
    fn load(sources: &Sources<'_>) -> Result<Self, EndpointError> {
        let name = match sources.profile {
            Some(name) => Some(name.to_owned()),
            None => sources
                .text("AWS_PROFILE")?
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty()),
        };
        Ok(Self {
            name: name.unwrap_or_else(|| "default".to_owned()),
            config: sources.read(sources.config_file())?,
            credentials: sources.read(sources.credentials_file())?,
        })
    }

    /// Returns a property of the profile and its origin. The credentials file takes precedence, as
    /// in the SDKs.
    fn get(&self, property: &str) -> Option<(String, String)> {
        let prefixed = format!("profile {}", self.name);
        // In the configuration file, only the default profile may omit the word `profile`.
        let bare = Some("default").filter(|default| self.name == *default);
        let sections = [
            (&self.credentials, Some(self.name.as_str())),
            (&self.config, Some(&prefixed)),
            (&self.config, bare),
        ];
        sections.into_iter().find_map(|((file, path), section)| {
            let section = section?;
            let value = file.get(section, property)?;
            Some((value.to_owned(), format!("{property} of [{section}] in {}", path.display())))
        })
    }

    /// Returns the `s3` endpoint of the profile's `services` section and its origin.
    fn endpoint_of_s3(&self) -> Option<(String, String)> {
        let (services, _) = self.get("services")?;
        let (file, path) = &self.config;
        let section = format!("services {services}");
        let value = file.get(&section, "s3.endpoint_url")?;
        Some((
            value.to_owned(),
            format!("the s3 endpoint_url of [{section}] in {}", path.display()),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::endpoint::Endpoint;

    const CONFIG: &str = "\
[default]
endpoint_url = http://default
[profile both]
services = local
endpoint_url = http://profile
[profile plain]
endpoint_url = http://plain
[profile other-service]
services = no-s3
endpoint_url = http://general
[profile deaf]
ignore_configured_endpoint_urls = True
endpoint_url = http://deaf
[profile bad]
endpoint_url = localhost:9000
[services local]
s3 =
  endpoint_url = http://service
[services no-s3]
dynamodb =
  endpoint_url = http://dynamodb
";
    const CREDENTIALS: &str = "\
[plain]
aws_access_key_id = AKID
[stored]
endpoint_url = file:/srv/store
[profile stored]
endpoint_url = http://not-here
";

    /// Resolves with these variables; the files of `HOME=/home/me` are the two above.
    fn resolve(
        endpoint_url: Option<&str>,
        profile: Option<&str>,
        variables: &[(&str, &str)],
    ) -> Result<Endpoint, EndpointError> {
        let variable = |name: &str| {
            variables.iter().find(|(set, _)| *set == name).map(|(_, value)| value.into())
        };
        let file = |path: &Path| match path.to_str() {
            Some("/home/me/.aws/config" | "/etc/aws-config") => Ok(CONFIG.to_owned()),
            Some("/home/me/.aws/credentials" | "/home/me/keys") => Ok(CREDENTIALS.to_owned()),
            Some("/denied") => Err(io::ErrorKind::PermissionDenied.into()),
            _ => Err(io::ErrorKind::NotFound.into()),
        };
        Endpoint::resolve(&Sources { endpoint_url, profile, variable: &variable, file: &file })
    }

    fn url(text: &str) -> Result<Endpoint, EndpointError> {
        Ok(Endpoint::Url(text.to_owned()))
    }

    const HOME: (&str, &str) = ("HOME", "/home/me");
    const S3: (&str, &str) = ("AWS_ENDPOINT_URL_S3", "http://s3-variable");
    const ALL: (&str, &str) = ("AWS_ENDPOINT_URL", "http://variable");
    const IGNORE: (&str, &str) = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");

    #[test]
    fn the_first_that_is_set_decides() {
        let both = Some("both");
        assert_eq!(resolve(Some("http://flag"), both, &[HOME, S3, ALL]), url("http://flag"));
        assert_eq!(resolve(None, both, &[HOME, S3, ALL]), url("http://s3-variable"));
        assert_eq!(resolve(None, both, &[HOME, ALL]), url("http://variable"));
        assert_eq!(resolve(None, both, &[HOME]), url("http://service"));
        assert_eq!(resolve(None, Some("plain"), &[HOME]), url("http://plain"));
        assert_eq!(resolve(None, Some("other-service"), &[HOME]), url("http://general"));
        assert_eq!(resolve(None, None, &[HOME]), url("http://default"));
        assert_eq!(resolve(None, Some("no such profile"), &[HOME]), Ok(Endpoint::Aws));
        assert_eq!(resolve(None, None, &[]), Ok(Endpoint::Aws));
    }

    /// An empty variable counts as unset; an empty option is an error.
    #[test]
    fn empty_variable_counts_as_unset() {
        let empty =
            [HOME, ("AWS_ENDPOINT_URL_S3", ""), ("AWS_ENDPOINT_URL", ""), ("AWS_PROFILE", "")];
        assert_eq!(resolve(None, None, &empty), url("http://default"));
        assert!(resolve(Some(""), None, &empty).is_err());
    }

    #[test]
    fn profile_option_beats_variable() {
        let variable = ("AWS_PROFILE", "both");
        assert_eq!(resolve(None, Some("plain"), &[HOME, variable]), url("http://plain"));
        assert_eq!(resolve(None, None, &[HOME, variable]), url("http://service"));
    }

    #[test]
    fn the_files_can_be_elsewhere() {
        assert_eq!(
            resolve(None, None, &[("AWS_CONFIG_FILE", "/etc/aws-config")]),
            url("http://default")
        );
        assert_eq!(
            resolve(None, None, &[HOME, ("AWS_CONFIG_FILE", "/nowhere")]),
            Ok(Endpoint::Aws)
        );
        let keys = ("AWS_SHARED_CREDENTIALS_FILE", "~/keys");
        let stored = Ok(Endpoint::Embedded("/srv/store".into()));
        assert_eq!(resolve(None, Some("stored"), &[HOME, keys]), stored);
        assert_eq!(resolve(None, Some("stored"), &[HOME]), stored);
        assert_eq!(resolve(None, None, &[("USERPROFILE", "/home/me")]), url("http://default"));
    }

    /// Configured endpoints can be ignored, the option cannot.
    #[test]
    fn ignore_setting_spares_option() {
        assert_eq!(resolve(None, Some("both"), &[HOME, S3, ALL, IGNORE]), Ok(Endpoint::Aws));
        assert_eq!(resolve(None, Some("deaf"), &[HOME, S3]), Ok(Endpoint::Aws));
        assert_eq!(resolve(Some("http://flag"), Some("deaf"), &[HOME, IGNORE]), url("http://flag"));
        let not = (IGNORE.0, "false");
        assert_eq!(resolve(None, Some("deaf"), &[HOME, S3, not]), url("http://s3-variable"));
    }

    /// An invalid value is an error that names its source, and never means AWS.
    #[test]
    fn invalid_value_names_its_source() {
        let error = resolve(None, None, &[HOME, ("AWS_ENDPOINT_URL_S3", "localhost:9000"), ALL])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("localhost:9000") && error.contains("AWS_ENDPOINT_URL_S3"),
            "{error}"
        );
        let error = resolve(None, Some("bad"), &[HOME]).unwrap_err().to_string();
        assert!(
            error.contains("localhost:9000")
                && error.contains("[profile bad] in /home/me/.aws/config"),
            "{error}"
        );
    }

    /// An unreadable profile file is an error and never means AWS.
    #[test]
    fn unreadable_profile_is_an_error() {
        for variable in ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"] {
            let error = resolve(None, None, &[(variable, "/denied")]).unwrap_err().to_string();
            assert!(error.contains("/denied"), "{error}");
        }
        assert_eq!(
            resolve(Some("http://flag"), None, &[("AWS_CONFIG_FILE", "/denied")]),
            url("http://flag")
        );
    }

    #[cfg(unix)]
    #[test]
    fn non_utf8_variable_is_an_error() {
        use std::os::unix::ffi::OsStringExt as _;
        let variable = |name: &str| {
            (name == "AWS_ENDPOINT_URL").then(|| OsString::from_vec(b"http://\xff".to_vec()))
        };
        let file = |_: &Path| Err(io::ErrorKind::NotFound.into());
        let sources =
            Sources { endpoint_url: None, profile: None, variable: &variable, file: &file };
        let error = Endpoint::resolve(&sources).unwrap_err().to_string();
        assert!(error.contains("AWS_ENDPOINT_URL") && error.contains("UTF-8"), "{error}");
    }
}
