//! The TLS configuration of all connections and the trusted certificates.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::verifier::{Trusted, Unverified};

/// Returns a configuration that trusts only the certificates in `bundle`. Without a bundle, it
/// trusts those of the system and the compiled-in ones of Mozilla (a minimal container image has no
/// others), or only those of `SSL_CERT_FILE` and `SSL_CERT_DIR` if set.
pub(super) fn verified(bundle: Option<&Path>) -> Result<ClientConfig, String> {
    let certificates = match bundle {
        Some(path) => bundled(path)?,
        None => {
            // The loader reads both variables, and if one is set, not the system's certificates.
            let chosen = ["SSL_CERT_FILE", "SSL_CERT_DIR"]
                .iter()
                .any(|name| std::env::var_os(name).is_some());
            let native = rustls_native_certs::load_native_certs();
            if chosen && native.certs.is_empty() {
                let errors: Vec<String> = native.errors.iter().map(ToString::to_string).collect();
                return Err(format!(
                    "SSL_CERT_FILE or SSL_CERT_DIR gives no certificate: {}",
                    errors.join("; ")
                ));
            }
            let compiled_in = if chosen { &[] } else { webpki_root_certs::TLS_SERVER_ROOT_CERTS };
            native.certs.into_iter().chain(compiled_in.iter().cloned()).collect()
        }
    };
    let provider = provider();
    config(Arc::new(Trusted::new(&certificates, provider.clone())?), provider)
}

/// Returns a configuration that accepts every certificate.
pub(super) fn unverified() -> Result<ClientConfig, String> {
    let provider = provider();
    config(Arc::new(Unverified(provider.clone())), provider)
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn config(
    verifier: Arc<dyn ServerCertVerifier>,
    provider: Arc<CryptoProvider>,
) -> Result<ClientConfig, String> {
    let versions =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.map_err(|error| error.to_string())?;
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

fn bundled(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let named = |what: &dyn std::fmt::Display| format!("the CA bundle {}: {what}", path.display());
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| named(&error))?;
    let certificates: Vec<_> =
        certificates.collect::<Result<_, _>>().map_err(|error| named(&error))?;
    if certificates.iter().any(is_usable) {
        Ok(certificates)
    } else {
        Err(named(&"no usable certificate in it"))
    }
}

fn is_usable(certificate: &CertificateDer<'_>) -> bool {
    RootCertStore::empty().add(certificate.clone().into_owned()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(der: &[u8]) -> String {
        let encoded = aws_smithy_types::base64::encode(der);
        format!("-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n")
    }

    #[test]
    fn builtin_authorities_are_usable() {
        let ders = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
        assert!(ders.len() > 50 && ders.iter().all(is_usable));
    }

    /// The error names the file, whether it is missing or has no usable certificate.
    #[test]
    fn bad_ca_bundle_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle.pem");
        assert!(verified(Some(&path)).unwrap_err().contains("bundle.pem"));
        for content in ["", "no certificate", &pem(b"not DER")] {
            std::fs::write(&path, content).unwrap();
            let error = verified(Some(&path)).unwrap_err();
            assert!(error.contains("bundle.pem"), "{error}");
        }
        let one = webpki_root_certs::TLS_SERVER_ROOT_CERTS.first().unwrap();
        std::fs::write(&path, pem(one) + &pem(b"not DER")).unwrap();
        verified(Some(&path)).unwrap();
    }
}
