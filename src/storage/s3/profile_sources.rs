//! Where the profiles of the profile files get credentials from.
//!
//! Which profile leads to which is the SDK's decision. What it does not do, or not as it must be
//! done here, is named to it as a credential source, which comes before everything else that a
//! profile says: processes, sign-ins, and roles that need a code.

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

/// Whether the chosen profile leads to a role that needs a code.
pub(super) fn ask_for_code(profiles: &Profiles) -> bool {
    first_with_code(&profiles.all, &profiles.chosen, &[]).is_some()
}

/// Whether the chosen profile is that of a role, which comes before a token in the environment.
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

/// The name of a profile's process as a credential source, and of a profile that has nothing else.
fn process_name(profile: &str) -> String {
    source_name("process", profile)
}

/// The name of a credential source of a profile. The SDK tells no cases apart in names of sources,
/// and does in those of profiles.
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

/// Returns the process of a profile, where the SDK would run it, and what makes it the profile's
/// credential source.
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

/// Whether the SDK asks something else that the profile has.
fn comes_before_process(profile: &Profile) -> bool {
    let before =
        ["credential_source", "web_identity_token_file", "sso_account_id", "login_session"];
    before.iter().chain(&SSO).any(|key| profile.get(key).is_some())
}

/// What makes a profile one of IAM Identity Center.
const SSO: [&str; 2] = ["sso_session", "sso_start_url"];

/// Returns the sign-in of a profile, where the SDK would ask for it, and what makes it the
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

/// A role that needs a code, on the way from a profile to its credentials.
struct Found<'a> {
    role: &'a Profile,
    /// The profile that names it as its source.
    before: Option<&'a str>,
    /// All profiles on the way to it, itself included.
    passed: Vec<&'a str>,
}

/// Returns the first role that needs a code on the way from a profile to its credentials. The SDK
/// would leave the code out.
fn first_with_code<'a>(all: &'a ProfileSet, name: &str, passed: &[&'a str]) -> Option<Found<'a>> {
    let (mut before, mut passed) = (None, passed.to_vec());
    let mut role = all.get_profile(name)?;
    loop {
        // The SDK finds a loop, and says so.
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

/// Returns the profile whose credentials a role is assumed with, and its text where no file has it.
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
