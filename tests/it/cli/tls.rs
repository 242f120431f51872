//! Certificates of a store that the real binary accepts over TLS, and proxies.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::support::{Run, Sandbox};

/// A directory of certificates that `openssl` makes.
struct Certificates(tempfile::TempDir);

impl Certificates {
    fn new() -> Self {
        let certificates = Self(tempfile::tempdir().unwrap());
        for name in ["key", "other-key"] {
            certificates.key(name);
        }
        certificates
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn openssl(&self, arguments: &[&str]) {
        let output =
            Command::new("openssl").current_dir(self.0.path()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }

    fn key(&self, name: &str) {
        let curve = "ec_paramgen_curve:prime256v1";
        self.openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", curve, "-out", name]);
    }

    /// Creates a certificate by `openssl req -x509`: a self-signed authority.
    fn plain(&self, name: &str, subject: &str, more: &[&str]) {
        let command = ["req", "-x509", "-key", "key", "-days", "2", "-subj", subject, "-out", name];
        self.openssl(&[&command, more].concat());
    }

    /// Creates a certificate, signed by `issuer` or by itself, for `days`, with `extensions`.
    fn signed(&self, name: &str, issuer: Option<&str>, days: &str, extensions: &str) {
        self.openssl(&["req", "-new", "-key", "key", "-subj", "/CN=localhost", "-out", "request"]);
        std::fs::write(self.path("extensions"), extensions).unwrap();
        let by = match issuer {
            Some(issuer) => vec!["-CA", issuer, "-CAkey", "other-key", "-CAcreateserial"],
            None => vec!["-signkey", "key"],
        };
        let command = ["x509", "-req", "-in", "request", "-days", days, "-out", name];
        let extensions =
            if extensions.is_empty() { vec![] } else { vec!["-extfile", "extensions"] };
        self.openssl(&[&command[..], &by, &extensions].concat());
    }

    /// Starts a server on 127.0.0.1 with these certificates and this key.
    fn serve(&self, name: &str, key: &str) -> Server {
        let chain =
            CertificateDer::pem_file_iter(self.path(name)).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(self.path(key)).unwrap();
        let provider = rustls::crypto::ring::default_provider();
        let key = provider.key_provider.load_private_key(key).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions();
        // Unlike `with_single_cert`, this does not check that the key belongs to the certificate.
        let resolver = Arc::new(Always(Arc::new(CertifiedKey::new(chain, key))));
        Server::start(config.unwrap().with_no_client_auth().with_cert_resolver(resolver))
    }
}

#[derive(Debug)]
struct Always(Arc<CertifiedKey>);

impl ResolvesServerCert for Always {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// A store over TLS that has one bucket, `seen`.
struct Server {
    port: u16,
    /// The heads of all requests.
    requests: Arc<Mutex<Vec<String>>>,
}

const BUCKETS: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListAllMyBucketsResult>\
    <Owner><ID>o</ID></Owner><Buckets><Bucket><Name>seen</Name>\
    <CreationDate>2026-01-02T03:04:05.000Z</CreationDate></Bucket></Buckets>\
    </ListAllMyBucketsResult>";

impl Server {
    fn start(config: ServerConfig) -> Self {
        let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
        let server = Self { port: listener.local_addr().unwrap().port(), requests: Arc::default() };
        let requests = server.requests.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let connection = ServerConnection::new(config.clone()).unwrap();
                // A client that rejects the certificate closes the connection.
                let _ = answer(StreamOwned::new(connection, socket.unwrap()), &requests);
            }
        });
        server
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}", self.port)
    }

    fn requests(&self) -> usize {
        self.requests.lock().unwrap().len()
    }
}

fn answer(mut stream: impl io::Read + io::Write, requests: &Mutex<Vec<String>>) -> io::Result<()> {
    let head = head_of(&mut stream)?;
    requests.lock().unwrap().push(head);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nConnection: close";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{BUCKETS}", BUCKETS.len())?;
    stream.flush()
}

/// Reads up to the empty line.
fn head_of(stream: &mut impl io::Read) -> io::Result<String> {
    let (mut reader, mut head) = (BufReader::with_capacity(1, stream), String::new());
    while reader.read_line(&mut head)? > 0 && !head.ends_with("\r\n\r\n") {}
    Ok(head)
}

/// Runs `ls` on a URL, with more arguments before it.
fn ls(sandbox: &Sandbox, url: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
    let mut command = sandbox.command();
    for name in [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
        "NO_PROXY",
        "no_proxy",
    ] {
        command.env_remove(name);
    }
    command.env("AWS_ENDPOINT_URL_S3", url).env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("AWS_ACCESS_KEY_ID", "id").env("AWS_SECRET_ACCESS_KEY", "secret");
    Run::of(command.args(arguments).arg("ls").envs(variables.iter().copied()))
}

fn with_bundle(sandbox: &Sandbox, url: &str, bundle: &Path) -> Run {
    ls(sandbox, url, &["--ca-bundle", bundle.to_str().unwrap()], &[])
}

const AUTHORITY: &str = "basicConstraints=critical,CA:TRUE\nsubjectAltName=DNS:localhost";

#[test]
fn bundled_authority_is_trusted() {
    let (sandbox, certificates) = (Sandbox::new(), Certificates::new());
    certificates.plain("plain", "/CN=localhost", &["-addext", "subjectAltName=DNS:localhost"]);
    let server = certificates.serve("plain", "key");
    let (url, bundle) = (server.url("localhost"), certificates.path("plain"));
    with_bundle(&sandbox, &url, &bundle).succeeds().says("seen");
    ls(&sandbox, &url, &[], &[("AWS_CA_BUNDLE", bundle.to_str().unwrap())]).succeeds().says("seen");
    ls(&sandbox, &url, &[], &[("SSL_CERT_FILE", bundle.to_str().unwrap())]).succeeds().says("seen");
    sandbox.write("../.aws/config", format!("[profile own]\nca_bundle = {}\n", bundle.display()));
    ls(&sandbox, &url, &[], &[("AWS_PROFILE", "own")]).succeeds().says("seen");
    assert_eq!(server.requests(), 4);
    // One request for the answer, none to ask again.
    ls(&sandbox, &url, &["--debug"], &[]).fails(1, &["not trusted", "--ca-bundle FILE"]);
    assert_eq!(server.requests(), 4);
}

/// The common name counts only if there are no alternative names.
#[test]
fn common_name_is_the_fallback() {
    let (sandbox, certificates) = (Sandbox::new(), Certificates::new());
    for (subject, more, works) in [
        ("/O=Stores/CN=localhost", &[][..], true),
        ("/CN=LocalHost", &[], true),
        ("/CN=elsewhere.test", &[], false),
        // With alternative names, the common name does not count.
        ("/CN=localhost", &["-addext", "subjectAltName=DNS:elsewhere.test"], false),
        ("/CN=elsewhere.test", &["-addext", "subjectAltName=DNS:localhost"], true),
    ] {
        certificates.plain("plain", subject, more);
        let server = certificates.serve("plain", "key");
        let run = with_bundle(&sandbox, &server.url("localhost"), &certificates.path("plain"));
        if works {
            run.succeeds().says("seen");
        } else {
            let run = run.fails(1, &["for another host", "elsewhere.test"]);
            assert!(!run.err.contains("--ca-bundle"), "{run:?}");
            assert_eq!(server.requests(), 0);
        }
    }
    certificates.plain("plain", "/CN=127.0.0.1", &[]);
    let server = certificates.serve("plain", "key");
    with_bundle(&sandbox, &server.url("127.0.0.1"), &certificates.path("plain"))
        .succeeds()
        .says("seen");
    with_bundle(&sandbox, &server.url("localhost"), &certificates.path("plain"))
        .fails(1, &["for another host"]);
}

#[test]
fn bundled_certificate_may_expire() {
    let (sandbox, certificates) = (Sandbox::new(), Certificates::new());
    for (days, works) in [("2", true), ("-1", false)] {
        certificates.signed("dated", None, days, AUTHORITY);
        let server = certificates.serve("dated", "key");
        let run = with_bundle(&sandbox, &server.url("localhost"), &certificates.path("dated"));
        if works {
            run.succeeds().says("seen");
        } else {
            run.fails(1, &["not valid at this time", "expired"]);
            assert_eq!(server.requests(), 0);
        }
    }
}

#[test]
fn namesake_is_not_trusted() {
    let (sandbox, certificates) = (Sandbox::new(), Certificates::new());
    // The key and the subject are the same, but the certificate is another one.
    for name in ["one", "two"] {
        certificates.plain(name, "/CN=localhost", &["-addext", "subjectAltName=DNS:localhost"]);
    }
    let server = certificates.serve("one", "key");
    let url = server.url("localhost");
    with_bundle(&sandbox, &url, &certificates.path("two"))
        .fails(1, &["not trusted", "--ca-bundle FILE"]);
    assert_eq!(server.requests(), 0);
    let both = [certificates.path("two"), certificates.path("one")]
        .map(|path| std::fs::read(path).unwrap());
    std::fs::write(certificates.path("both"), both.concat()).unwrap();
    with_bundle(&sandbox, &url, &certificates.path("both")).succeeds().says("seen");
}

#[test]
fn server_needs_the_key() {
    let (sandbox, certificates) = (Sandbox::new(), Certificates::new());
    certificates.plain("plain", "/CN=localhost", &[]);
    let server = certificates.serve("plain", "other-key");
    let url = server.url("localhost");
    with_bundle(&sandbox, &url, &certificates.path("plain")).fails(1, &["does not hold the key"]);
    ls(&sandbox, &url, &["--no-verify-ssl"], &[]).fails(1, &["does not hold the key"]);
    assert_eq!(server.requests(), 0);
}

#[test]
fn chains_and_leaves_are_trusted() {
    let (sandbox, certificates) = (Sandbox::new(), Certificates::new());
    let authority = [
        "req",
        "-x509",
        "-key",
        "other-key",
        "-days",
        "2",
        "-subj",
        "/CN=Authority",
        "-out",
        "authority",
    ];
    certificates.openssl(&authority);
    certificates.signed("leaf", Some("authority"), "2", "subjectAltName=DNS:localhost");
    let server = certificates.serve("leaf", "key");
    let url = server.url("localhost");
    with_bundle(&sandbox, &url, &certificates.path("authority")).succeeds().says("seen");
    with_bundle(&sandbox, &url, &certificates.path("leaf")).succeeds().says("seen");
    with_bundle(&sandbox, &server.url("127.0.0.1"), &certificates.path("authority"))
        .fails(1, &["for another host"]);
    certificates.plain("plain", "/CN=localhost", &[]);
    with_bundle(&sandbox, &url, &certificates.path("plain"))
        .fails(1, &["not trusted", "--ca-bundle FILE"]);
}

#[test]
fn no_verify_ssl_warns() {
    let (sandbox, certificates) = (Sandbox::new(), Certificates::new());
    let warning = "warning: --no-verify-ssl: the certificate of the store is not verified\n";
    certificates.signed("expired", None, "-1", "subjectAltName=DNS:elsewhere.test");
    // A certificate of version 1, which the TLS library cannot read.
    certificates.signed("old", None, "2", "");
    for name in ["expired", "old"] {
        let server = certificates.serve(name, "key");
        for variables in [&[][..], &[("DG_LOG_LEVEL", "off")]] {
            let run = ls(&sandbox, &server.url("localhost"), &["--no-verify-ssl"], variables)
                .says("seen");
            assert_eq!((run.code, run.err.as_str()), (Some(0), warning), "{name}: {run:?}");
        }
    }
    sandbox.write("a.txt", "content");
    let server = certificates.serve("expired", "key");
    let url = server.url("localhost");
    let mut command = sandbox.command();
    command
        .env("AWS_ENDPOINT_URL_S3", &url)
        .env("AWS_ACCESS_KEY_ID", "id")
        .env("AWS_SECRET_ACCESS_KEY", "secret");
    let run = Run::of(command.args([
        "--no-verify-ssl",
        "cp",
        "--quiet",
        "a.txt",
        "s3://seen/",
        "--dryrun",
    ]));
    assert_eq!(run.err, warning, "{run:?}");
    // Without TLS, there is nothing to warn about.
    sandbox.run(["--no-verify-ssl", "ls"]).succeeds();
}

/// Starts a proxy that records the heads of requests and leads every tunnel to this port of
/// 127.0.0.1.
fn proxy(port: u16) -> (String, Arc<Mutex<Vec<String>>>) {
    let (heads, listener) =
        (Arc::new(Mutex::new(Vec::new())), TcpListener::bind("127.0.0.1:0").unwrap());
    let (kept, address) = (heads.clone(), listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut client = socket.unwrap();
            let head = head_of(&mut client).unwrap();
            let is_tunnel = head.starts_with("CONNECT ");
            kept.lock().unwrap().push(head);
            if !is_tunnel {
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nConnection: close";
                write!(client, "{head}\r\nContent-Length: {}\r\n\r\n{BUCKETS}", BUCKETS.len())
                    .unwrap();
                continue;
            }
            let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").unwrap();
            for (mut from, mut to) in
                [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)]
            {
                std::thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    (format!("http://user:word@{address}"), heads)
}

#[test]
fn proxies_forward_and_tunnel() {
    let (sandbox, certificates) = (Sandbox::new(), Certificates::new());
    certificates.plain("plain", "/CN=store.test", &[]);
    let server = certificates.serve("plain", "key");
    let (proxy, heads) = proxy(server.port);
    let bundle = certificates.path("plain");
    let bundle = ["--ca-bundle", bundle.to_str().unwrap()];
    // No name server knows this host: only the proxy leads to it.
    ls(&sandbox, "https://store.test", &bundle, &[("HTTPS_PROXY", &proxy)]).succeeds().says("seen");
    ls(&sandbox, "http://store.test", &[], &[("HTTP_PROXY", &proxy)]).succeeds().says("seen");
    let heads = std::mem::take(&mut *heads.lock().unwrap());
    let [tunneled, forwarded] = heads.try_into().unwrap();
    assert!(tunneled.starts_with("CONNECT store.test:443 HTTP/1.1\r\n"), "{tunneled}");
    assert!(forwarded.starts_with("GET http://store.test/"), "{forwarded}");
    for head in [tunneled, forwarded] {
        assert!(
            head.to_ascii_lowercase().contains("proxy-authorization: basic dxnlcjp3b3jk\r\n"),
            "{head}"
        );
    }
    // The store never sees the password of the proxy, and an exception bypasses the proxy.
    assert!(!server.requests.lock().unwrap()[0].to_ascii_lowercase().contains("proxy-"));
    certificates.plain("plain", "/CN=localhost", &[]);
    let server = certificates.serve("plain", "key");
    let variables = [("HTTPS_PROXY", "http://127.0.0.1:1"), ("NO_PROXY", "localhost")];
    ls(&sandbox, &server.url("localhost"), &bundle, &variables).succeeds().says("seen");
}
