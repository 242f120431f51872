//! Validation of the URL of a store.

use super::WhyNot;

/// Checks that `text` is the URL of a store: `http` or `https`, a host, and at most a port and
/// path.
pub(super) fn check(text: &str) -> Result<(), WhyNot> {
    let (scheme, rest) = text.split_once("://").ok_or(WhyNot::Form)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(WhyNot::Form);
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if authority.contains('@') {
        return Err(WhyNot::Credentials);
    }
    if path.contains(['?', '#']) {
        return Err(WhyNot::Query);
    }
    check_authority(authority)?;
    // Rejects characters that no URL may contain.
    text.parse::<http::Uri>().map(|_| ()).map_err(|_| WhyNot::Form)
}

fn check_authority(authority: &str) -> Result<(), WhyNot> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']').ok_or(WhyNot::Authority)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| WhyNot::Authority)?;
            (address, port)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    if host.is_empty() {
        return Err(WhyNot::NoHost);
    }
    let in_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let in_port = |port: &str| {
        port.bytes().all(|c| c.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|n| n > 0)
    };
    let is_valid = host.chars().all(in_host)
        && (port.is_empty() || port.strip_prefix(':').is_some_and(in_port));
    if is_valid { Ok(()) } else { Err(WhyNot::Authority) }
}

/// Returns the text as it may be displayed: without the credentials in front of the host and
/// without the query, which may hold tokens.
pub(super) fn without_secrets(text: &str) -> String {
    if text.starts_with("file:") {
        return text.to_owned();
    }
    let shown = text.split_once('?').map_or(text.to_owned(), |(url, _)| format!("{url}?…"));
    match (shown.rfind('@'), shown.find("://")) {
        (Some(at), Some(scheme)) if at > scheme => {
            let (before, after) =
                (shown.get(..scheme).unwrap_or_default(), shown.get(at..).unwrap_or_default());
            format!("{before}://***{after}")
        }
        (Some(at), _) => format!("***{}", shown.get(at..).unwrap_or_default()),
        _ => shown,
    }
}
