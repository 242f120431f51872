//! Verification of servers' certificates.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, DnsName, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::x509::Certificate;

/// Accepts certificates signed by a trusted authority, and those that are trusted themselves.
///
/// A plain `openssl req -x509` creates a certificate that declares itself an authority. The WebPKI
/// rules allow no authority as a server, yet a user who trusts this very certificate means this
/// server.
#[derive(Debug)]
pub(super) struct Trusted {
    authorities: Arc<WebPkiServerVerifier>,
    certificates: BTreeSet<Vec<u8>>,
}

impl Trusted {
    /// Trusts these certificates; fails if none of them is usable.
    pub(super) fn new(
        certificates: &[CertificateDer<'_>],
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        // The trust stores of systems contain some that cannot be parsed.
        roots.add_parsable_certificates(
            certificates.iter().cloned().map(CertificateDer::into_owned),
        );
        if roots.is_empty() {
            return Err("there is no usable certificate authority".to_owned());
        }
        let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        Ok(Self {
            authorities: authorities.build().map_err(|error| error.to_string())?,
            certificates: certificates.iter().map(|certificate| certificate.to_vec()).collect(),
        })
    }
}

impl ServerCertVerifier for Trusted {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self.authorities.verify_server_cert(
            certificate,
            intermediates,
            host,
            ocsp_response,
            now,
        ) {
            Err(_) if self.certificates.contains(certificate.as_ref()) => {
                is_valid_now(certificate, now).and_then(|()| names(certificate, host))?;
                Ok(ServerCertVerified::assertion())
            }
            decided => decided,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.authorities.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
    }
}

fn is_valid_now(certificate: &CertificateDer<'_>, time: UnixTime) -> Result<(), Error> {
    let read = Certificate::read(certificate).ok_or(CertificateError::BadEncoding)?;
    let at = |seconds: i64| {
        UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
    };
    let (not_before, not_after) = (at(read.not_before), at(read.not_after));
    if time < not_before {
        return Err(CertificateError::NotValidYetContext { time, not_before }.into());
    }
    if time > not_after {
        return Err(CertificateError::ExpiredContext { time, not_after }.into());
    }
    Ok(())
}

/// Requires that a certificate names the host: by its alternative names, or by a common name if it
/// has none.
fn names(certificate: &CertificateDer<'_>, host: &ServerName<'_>) -> Result<(), Error> {
    let read = Certificate::read(certificate).ok_or(CertificateError::BadEncoding)?;
    if read.has_alternative_names {
        return verify_server_name(&ParsedCertificate::try_from(certificate)?, host);
    }
    if read.common_names.iter().any(|name| is_name_of(name, host)) {
        return Ok(());
    }
    let (expected, presented) =
        (host.to_owned(), read.common_names.iter().map(|name| format!("CN={name}")).collect());
    Err(CertificateError::NotValidForNameContext { expected, presented }.into())
}

/// Returns whether a common name is this host, or has `*` for its first label (RFC 6125, section
/// 6.4.3).
fn is_name_of(name: &str, host: &ServerName<'_>) -> bool {
    match (name.strip_prefix("*."), host) {
        (Some(domain), ServerName::DnsName(host)) => {
            let of_host = host.as_ref().split_once('.').map(|(_, domain)| domain);
            // No server owns a top-level domain.
            domain.contains('.')
                && of_host.is_some_and(|of_host| of_host.eq_ignore_ascii_case(domain))
        }
        (Some(_), _) => false,
        (None, ServerName::DnsName(host)) => {
            DnsName::try_from(name).is_ok_and(|name| name == *host)
        }
        (None, host) => ServerName::try_from(name).is_ok_and(|name| name == *host),
    }
}

/// Accepts every certificate. The connection is encrypted, but its peer is not authenticated.
#[derive(Debug)]
pub(super) struct Unverified(pub(super) Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        where_readable(rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            algorithms,
        ))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        where_readable(rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            algorithms,
        ))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Accepts a certificate of another version than 3, whose key the TLS library does not read.
fn where_readable(
    verified: Result<HandshakeSignatureValid, Error>,
) -> Result<HandshakeSignatureValid, Error> {
    match verified {
        Err(Error::InvalidCertificate(CertificateError::BadSignature)) => verified,
        Err(Error::InvalidCertificate(_)) => Ok(HandshakeSignatureValid::assertion()),
        verified => verified,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names_match_hosts() {
        let is_name = |name, host: &str| is_name_of(name, &ServerName::try_from(host).unwrap());
        for (name, host) in [
            ("store.test", "store.test"),
            ("Store.Test", "store.test"),
            ("*.store.test", "bucket.store.test"),
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
        ] {
            assert!(is_name(name, host), "{name} {host}");
        }
        for (name, host) in [
            ("store.test", "other.test"),
            ("store.test", "bucket.store.test"),
            ("*.store.test", "store.test"),
            ("*.store.test", "a.bucket.store.test"),
            ("*.test", "store.test"),
            ("*", "store"),
            ("*.0.0.1", "127.0.0.1"),
            ("127.0.0.1", "127.0.0.2"),
            ("store.test\0", "store.test"),
            ("", "store.test"),
        ] {
            assert!(!is_name(name, host), "{name} {host}");
        }
    }
}
