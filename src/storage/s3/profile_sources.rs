//! The credential sources of profiles in the profile files.
//!
//! The SDK decides which profile refers to which. What it does not support, or not as required
//! here, is passed to it as a credential source, which takes precedence over everything else in a
//! profile: processes, sign-ins, and roles that need an MFA code.

use aws_config::profile::{Profile, ProfileFileCredentialsProvider, ProfileSet};

use super::credential_process::Process;
use super::role_with_code::RoleWithCode;
use super::services::Services;
use super::settings::Profiles;
use super::sign_in::SignIn;

/// Returns the provider of the chosen profile.
pub(super) fn of_profiles(
    profiles: &Profiles,
    services: &Services,
) -> ProfileFileCredentialsProvider {
    of_profile(profiles, services, &profiles.chosen, "", &[])
}

/// Returns whether the chosen profile leads to a role that needs a code.
pub(super) fn ask_for_code(profiles: &Profiles) -> bool {
    first_with_code(&profiles.all, &profiles.chosen, &[]).is_some()
}

/// Returns whether the chosen profile is that of a role, which takes precedence over a web identity
/// token in the environment.
pub(super) fn is_role(profiles: &Profiles) -> bool {
    profiles.get("role_arn").is_some() && profiles.get("web_identity_token_file").is_none()
}

/// Returns the provider of a profile, which `text` may define. The profiles in `passed` lead to it.
fn of_profile(
    profiles: &Profiles,
    services: &Services,
    name: &str,
    text: &str,
    passed: &[&str],
) -> ProfileFileCredentialsProvider {
    let mut provider = ProfileFileCredentialsProvider::builder().configure(&services.config());
    let mut sources = text.to_owned();
    let mut names: Vec<&str> = profiles.all.profiles().collect();
    names.sort_unstable();
    for name in names {
        let Some(profile) = profiles.all.get_profile(name) else { continue };
        if let Some((source, process)) = process_of(profile) {
            sources += &source;
            provider = provider.with_custom_provider(process_name(name), process);
        } else if let Some((source, sign_in)) = sign_in_of(profile, services) {
            sources += &source;
            provider = provider.with_custom_provider(source_name("sign-in", name), sign_in);
        }
    }
    let mut first = name;
    if let Some(found) = first_with_code(&profiles.all, name, passed) {
        const ROLE: &str = "deltaglider-role";
        sources += &format!("[{ROLE}]\ncredential_source = {ROLE}\n");
        match found.before {
            Some(before) => sources += &format!("[{before}]\nsource_profile = {ROLE}\n"),
            None => first = ROLE,
        }
        let (base, text) = base_of(found.role);
        let base = of_profile(profiles, services, &base, &text, &found.passed);
        provider = provider
            .with_custom_provider(ROLE, RoleWithCode::new(found.role, base, services.clone()));
    }
    provider.profile_files(profiles.files_with(&sources)).profile_name(first).build()
}

/// Returns the name of a profile's process, used for its credential source and its synthetic
/// profile.
fn process_name(profile: &str) -> String {
    source_name("process", profile)
}

/// Returns the name of a credential source of a profile. The SDK ignores case in names of sources,
/// but not in those of profiles.
fn source_name(kind: &str, profile: &str) -> String {
    let mut name = format!("deltaglider-{kind}/");
    for letter in profile.chars() {
        if letter.is_ascii_uppercase() || letter == '%' {
            name.push('%');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// Returns the process of a profile, if the SDK would run it, and the text that makes it the
/// profile's credential source.
fn process_of(profile: &Profile) -> Option<(String, Process)> {
    let process = Process::new(profile.get("credential_process")?);
    if comes_before_process(profile) {
        return None;
    }
    let (name, source) = (profile.name(), process_name(profile.name()));
    let text = match (profile.get("role_arn"), profile.get("source_profile")) {
        (None, _) => format!("[{name}]\ncredential_source = {source}\n"),
        // The role's base is the profile itself, which cannot name both a profile and a source.
        (Some(_), Some(base)) if base == name => {
            format!(
                "[{name}]\nsource_profile = {source}\n[{source}]\ncredential_source = {source}\n"
            )
        }
        (Some(_), _) => return None,
    };
    Some((text, process))
}

/// Returns whether the profile has a source that the SDK prefers to its process.
fn comes_before_process(profile: &Profile) -> bool {
    let before =
        ["credential_source", "web_identity_token_file", "sso_account_id", "login_session"];
    before.iter().chain(&SSO).any(|key| profile.get(key).is_some())
}

/// Keys that only profiles of IAM Identity Center have.
const SSO: [&str; 2] = ["sso_session", "sso_start_url"];

/// Returns the sign-in of a profile, if the SDK would use it, and the text that makes it the
/// profile's credential source.
fn sign_in_of(profile: &Profile, services: &Services) -> Option<(String, SignIn)> {
    let before = ["credential_source", "web_identity_token_file", "role_arn"];
    if before.iter().any(|key| profile.get(key).is_some()) {
        return None;
    }
    let name = profile.name();
    let command = if SSO.iter().any(|key| profile.get(key).is_some()) {
        "aws sso login"
    } else if profile.get("login_session").is_some() {
        "aws login"
    } else {
        return None;
    };
    let inner = ProfileFileCredentialsProvider::builder().configure(&services.config());
    let inner = inner.profile_files(services.files.clone()).profile_name(name).build();
    let text = format!("[{name}]\ncredential_source = {}\n", source_name("sign-in", name));
    Some((text, SignIn::new(name, command, inner)))
}

/// A role that needs a code, on the path from a profile to its credentials.
struct Found<'a> {
    role: &'a Profile,
    /// The profile that names the role as its source.
    before: Option<&'a str>,
    /// All profiles on the path to the role, itself included.
    passed: Vec<&'a str>,
}

/// Returns the first role that needs a code on the path from a profile to its credentials. The SDK
/// would ignore the code.
fn first_with_code<'a>(all: &'a ProfileSet, name: &str, passed: &[&'a str]) -> Option<Found<'a>> {
    let (mut before, mut passed) = (None, passed.to_vec());
    let mut role = all.get_profile(name)?;
    loop {
        // The SDK detects and reports a cycle.
        let is_role =
            role.get("role_arn").is_some() && role.get("web_identity_token_file").is_none();
        if !is_role || passed.contains(&role.name()) {
            return None;
        }
        passed.push(role.name());
        let source = role.get("source_profile");
        let has_one_source = source.is_some() != role.get("credential_source").is_some();
        if has_one_source && role.get("mfa_serial").is_some_and(|serial| !serial.trim().is_empty())
        {
            return Some(Found { role, before, passed });
        }
        before = Some(role.name());
        role = all.get_profile(source.filter(|source| *source != role.name())?)?;
    }
}

/// Returns the profile whose credentials assume a role, and its text if no file defines it.
fn base_of(role: &Profile) -> (String, String) {
    const BASE: &str = "deltaglider-base";
    let of_itself =
        ["aws_access_key_id", "aws_secret_access_key", "aws_session_token", "aws_account_id"];
    let of_sign_in = [
        "sso_session",
        "sso_start_url",
        "sso_region",
        "sso_account_id",
        "sso_role_name",
        "login_session",
    ];
    let kept: Vec<&str> = match role.get("source_profile") {
        Some(source) if source != role.name() => return (source.to_owned(), String::new()),
        Some(_) if process_of(role).is_some() => return (process_name(role.name()), String::new()),
        Some(_) => of_itself.into_iter().chain(of_sign_in).collect(),
        None => vec!["credential_source"],
    };
    let lines = kept.iter().filter_map(|key| Some(format!("{key} = {}\n", role.get(key)?)));
    (BASE.to_owned(), format!("[{BASE}]\n{}", lines.collect::<String>()))
}
