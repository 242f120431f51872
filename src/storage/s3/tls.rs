//! Which certificate authorities are trusted.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use aws_smithy_http_client::tls::{TlsContext, TrustStore};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// The authorities in `bundle` and no other; without one those of the system (or of `SSL_CERT_FILE` and `SSL_CERT_DIR` and no
/// other), and the compiled-in ones of Mozilla, since an image made from nothing has none.
pub(super) fn context(bundle: Option<&Path>) -> Result<TlsContext, String> {
    let certificates = match bundle {
        Some(path) => bundled(path)?,
        None => {
            // Both variables are read by the loader, which then asks the system no more.
            let chosen = ["SSL_CERT_FILE", "SSL_CERT_DIR"].iter().any(|name| std::env::var_os(name).is_some());
            let native = rustls_native_certs::load_native_certs();
            if chosen && native.certs.is_empty() {
                let errors: Vec<String> = native.errors.iter().map(ToString::to_string).collect();
                return Err(format!("SSL_CERT_FILE or SSL_CERT_DIR gives no certificate: {}", errors.join("; ")));
            }
            let compiled_in = if chosen { &[] } else { webpki_root_certs::TLS_SERVER_ROOT_CERTS };
            native.certs.into_iter().chain(compiled_in.iter().cloned()).collect()
        }
    };
    let trusted: BTreeSet<&[u8]> =
        certificates.iter().filter(|der| is_usable(der)).map(|certificate| certificate.as_ref()).collect();
    if trusted.is_empty() {
        return Err("there is no usable certificate authority".to_owned());
    }
    let mut store = TrustStore::empty();
    store.add_pem_certificate(pem(trusted));
    TlsContext::builder().with_trust_store(store).build().map_err(|error| error.to_string())
}

fn bundled(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let named = |what: &dyn std::fmt::Display| format!("the CA bundle {}: {what}", path.display());
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| named(&error))?;
    let certificates: Vec<_> = certificates.collect::<Result<_, _>>().map_err(|error| named(&error))?;
    if certificates.iter().any(is_usable) { Ok(certificates) } else { Err(named(&"no usable certificate in it")) }
}

/// The SDK panics on a certificate its verifier cannot read, and stores of systems hold such.
fn is_usable(certificate: &CertificateDer<'_>) -> bool {
    RootCertStore::empty().add(certificate.clone().into_owned()).is_ok()
}

/// The one form the SDK takes certificates in.
fn pem<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut text = String::new();
    for certificate in certificates {
        let encoded = aws_smithy_types::base64::encode(certificate);
        // Writing to a String does not fail.
        let _ = writeln!(text, "-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----");
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_http_client::tls::Provider;
    use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

    #[test]
    fn every_compiled_in_authority_is_usable_and_survives_the_way_to_the_sdk() {
        let ders = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
        assert!(ders.len() > 50 && ders.iter().all(is_usable));
        let pem = pem(ders.iter().map(|der| der.as_ref()));
        let back: Vec<CertificateDer<'_>> = CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().unwrap();
        assert_eq!(back, ders);
    }

    #[test]
    fn a_bundle_that_is_missing_or_holds_no_certificate_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle.pem");
        assert!(context(Some(&path)).unwrap_err().contains("bundle.pem"));
        let unusable = [b"".to_vec(), b"no certificate".to_vec(), pem([b"not DER".as_slice()])];
        for content in unusable {
            std::fs::write(&path, &content).unwrap();
            let error = context(Some(&path)).unwrap_err();
            assert!(error.contains("bundle.pem"), "{error}");
        }
        let one = webpki_root_certs::TLS_SERVER_ROOT_CERTS.first().unwrap();
        std::fs::write(&path, pem([one.as_ref(), b"not DER".as_slice()])).unwrap();
        // Only here would the SDK panic.
        let connector = aws_smithy_http_client::Connector::builder()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(context(Some(&path)).unwrap());
        drop(connector.build());
    }
}
