//! The settings of a client.

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use super::error::{Error, ErrorKind};
use super::{DeltaGlider, Inner};
use crate::domain::packing::PackingChoice;
use crate::domain::policy::{DeltaExtensions, MaxRatio, Policy};
use crate::storage::{AddressingStyle, CustomerKey, Store};
use crate::wiring::{
    CacheKey, CacheSettings, Connection, Credentials, CredentialsProvider, Limits, cache_settings,
};

/// The operation of errors in settings.
const BUILD: &str = "build a client of";

/// The default number of files that a call on many transfers at once.
const CONCURRENCY: usize = 8;

/// The settings of a [`DeltaGlider`]. What is not set comes from the environment and the profile
/// files, as in every AWS SDK. An invalid setting is reported by [`build`](Self::build).
///
/// ```
/// use deltaglider::{Cache, DeltaGlider};
///
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let dg = DeltaGlider::builder()
///     .endpoint("https://s3.example.com")
///     .region("eu-central-1")
///     .credentials("AKIAIOSFODNN7EXAMPLE", "secret")
///     .cache(Cache::memory(100 << 20))
///     .concurrency(16)
///     .max_ratio(0.3)
///     .build()
///     .await?;
/// # let _ = dg;
/// # Ok(()) }
/// ```
#[derive(Debug, Default)]
pub struct Builder {
    connection: Connection,
    policy: Policy,
    concurrency: Option<usize>,
    threads: Option<NonZeroUsize>,
    memory: Option<u64>,
    store: Option<Arc<dyn Store>>,
    error: Option<Error>,
}

impl Builder {
    pub(super) fn from_env() -> Self {
        let mut builder = Self::default();
        match cache_settings() {
            Ok(cache) => builder.connection.cache = cache,
            Err(error) => builder.fail("the environment", error),
        }
        builder.policy.max_ratio = builder.variable("DG_MAX_RATIO").unwrap_or_default();
        builder.policy.deltaspace = builder.variable("DG_DELTASPACE");
        if let Some(list) = builder.variable::<String>("DG_DELTA_EXTENSIONS") {
            builder.policy.extensions = DeltaExtensions::parse(&list);
        }
        builder.policy.packing = builder.variable("DG_REFERENCE_PACKING").unwrap_or_default();
        builder.concurrency = builder.variable::<NonZeroUsize>("DG_CONCURRENCY").map(Into::into);
        builder.threads = builder.variable("DG_THREADS");
        builder
    }

    /// Returns the value of a variable; `None` if it is not set or empty.
    fn variable<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
        &mut self,
        name: &str,
    ) -> Option<T> {
        let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
        match value.to_string_lossy().parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.fail(name, error);
                None
            }
        }
    }

    /// Keeps the first error of a setting.
    fn fail(&mut self, what: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) {
        let error = || Error::new(ErrorKind::InvalidInput, BUILD, what, error);
        self.error.get_or_insert_with(error);
    }

    /// Sets the URL of the store: `https://…`, `http://…`, or `file:PATH` for an embedded store.
    /// By default it is that of `AWS_ENDPOINT_URL_S3`, `AWS_ENDPOINT_URL` or the profile, else AWS.
    #[must_use]
    pub fn endpoint(mut self, url: impl Into<String>) -> Self {
        self.connection.endpoint_url = Some(url.into());
        self
    }

    /// Uses the embedded store in this directory, for one machine and any number of processes.
    #[must_use]
    pub fn embedded(mut self, directory: impl AsRef<Path>) -> Self {
        match directory.as_ref().to_str() {
            Some(path) => self.endpoint(format!("file:{path}")),
            None => {
                let path = directory.as_ref().display().to_string();
                self.fail(&path, "the path is not UTF-8");
                self
            }
        }
    }

    /// Uses a store of the caller's own in place of an endpoint.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Sets the region of the buckets.
    #[must_use]
    pub fn region(mut self, name: impl Into<String>) -> Self {
        self.connection.region = Some(name.into());
        self
    }

    /// Sets the profile of the AWS configuration files.
    #[must_use]
    pub fn profile(mut self, name: impl Into<String>) -> Self {
        self.connection.profile = Some(name.into());
        self
    }

    /// Sets an access key to sign with.
    #[must_use]
    pub fn credentials(self, id: impl Into<String>, secret: impl Into<String>) -> Self {
        self.keys(Credentials {
            access_key_id: id.into(),
            secret_access_key: secret.into(),
            session_token: None,
        })
    }

    /// Sets the session token of temporary credentials, after [`credentials`](Self::credentials).
    #[must_use]
    pub fn session_token(mut self, token: impl Into<String>) -> Self {
        match &mut self.connection.credentials {
            Some(keys) => keys.session_token = Some(token.into()),
            None => self.fail("the store", "a session token needs an access key"),
        }
        self
    }

    fn keys(mut self, keys: Credentials) -> Self {
        self.connection.credentials = Some(keys);
        self
    }

    /// Sets a source of credentials, which is asked again before they expire.
    #[must_use]
    pub fn credentials_provider(mut self, provider: impl CredentialsProvider + 'static) -> Self {
        self.connection.provider = Some(Arc::new(provider));
        self
    }

    /// Sends requests without credentials, for public buckets.
    #[must_use]
    pub fn anonymous(mut self) -> Self {
        self.connection.no_sign_request = true;
        self
    }

    /// Sets a customer's key of 32 bytes (SSE-C), with which all objects are encrypted.
    #[must_use]
    pub fn customer_key(mut self, key: &[u8]) -> Self {
        match CustomerKey::new(key) {
            Ok(key) => self.connection.customer_key = Some(key),
            Err(error) => self.fail("the store", error),
        }
        self
    }

    /// Trusts the certificates in this file (PEM) instead of the system's.
    #[must_use]
    pub fn ca_bundle(mut self, file: impl Into<PathBuf>) -> Self {
        self.connection.ca_bundle = Some(file.into());
        self
    }

    /// Accepts any certificate of the store. Anyone on the path to it can then read and change the
    /// traffic.
    #[must_use]
    pub fn accept_any_certificate(mut self) -> Self {
        self.connection.no_verify_ssl = true;
        self
    }

    /// Sets the position of the bucket's name in URLs.
    #[must_use]
    pub fn addressing_style(mut self, style: AddressingStyle) -> Self {
        self.connection.addressing_style = Some(style);
        self
    }

    /// Sets the maximum number of attempts of a failing request.
    #[must_use]
    pub fn max_attempts(mut self, attempts: NonZeroU32) -> Self {
        self.connection.max_attempts = Some(attempts);
        self
    }

    /// Sets the cache of references.
    #[must_use]
    pub fn cache(mut self, cache: Cache) -> Self {
        match cache.0 {
            Ok(settings) => self.connection.cache = settings,
            Err(error) => self.fail("the cache", error),
        }
        self
    }

    /// Sets the directory for temporary files; by default the system's. They are sealed and have no
    /// name.
    #[must_use]
    pub fn temporary_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.connection.spool_dir = Some(directory.into());
        self
    }

    /// Sets the maximum size of a delta as a share of its file, above 0 and at most 1; 0.5 by
    /// default. A file whose delta would be longer is stored as it is.
    #[must_use]
    pub fn max_ratio(mut self, ratio: f64) -> Self {
        match MaxRatio::new(ratio) {
            Some(ratio) => self.policy.max_ratio = ratio,
            None => self.fail("the policy", "a ratio is above 0 and at most 1"),
        }
        self
    }

    /// Sets the extensions of files that are stored as deltas, such as `.zip,.tar`.
    #[must_use]
    pub fn delta_extensions(mut self, list: &str) -> Self {
        self.policy.extensions = DeltaExtensions::parse(list);
        self
    }

    /// Sets the prefix whose references all files share; by default each prefix has its own.
    #[must_use]
    pub fn deltaspace(mut self, prefix: impl Into<String>) -> Self {
        self.policy.deltaspace = Some(prefix.into());
        self
    }

    /// Sets the compression of new references, where it saves a tenth: `auto` (gzip), `none`,
    /// `gzip` or `xz`, also by prefix, such as `auto,s3://bucket/raw/=none`; `auto` by default.
    #[must_use]
    pub fn reference_packing(mut self, choice: &str) -> Self {
        match choice.parse::<PackingChoice>() {
            Ok(packing) => self.policy.packing = packing,
            Err(error) => self.fail("the policy", error),
        }
        self
    }

    /// Sets the number of files that a call on many transfers at once; 8 by default.
    #[must_use]
    pub fn concurrency(mut self, files: usize) -> Self {
        self.concurrency = Some(files);
        self
    }

    /// Sets the maximum number of threads that encode; by default one for each core, and four at
    /// most. Each takes up to 250 MiB.
    #[must_use]
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Sets the number of bytes that all decoders and one encoder share; 256 MiB by default. An
    /// operation waits until its part is free; one that needs more than all runs alone. A server
    /// that reads many deltas at once needs 20 to 80 MiB for each.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Opens the store and the cache. Sends no request to the store.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for an invalid setting; [`ErrorKind::Local`] if the cache or an
    /// embedded store cannot be opened.
    pub async fn build(self) -> Result<DeltaGlider, Error> {
        let Self { connection, policy, concurrency, threads, memory, store, error } = self;
        if let Some(error) = error {
            return Err(error);
        }
        let service = match store {
            Some(store) => connection.service_on(store, policy)?,
            None => connection.service(policy).await?,
        };
        let service = match (threads, memory) {
            (threads, Some(memory)) => service.with_memory(threads, memory),
            (Some(threads), None) => service.with_threads(threads),
            (None, None) => service,
        };
        let (service, concurrency) =
            (RwLock::new(service), concurrency.unwrap_or(CONCURRENCY).max(1));
        Ok(DeltaGlider { inner: Arc::new(Inner { service, connection, concurrency }) })
    }
}

/// A cache of references, which deltas are made against and decoded with. Entries are encrypted.
#[derive(Debug)]
pub struct Cache(Result<CacheSettings, String>);

impl Cache {
    /// The lifetime of an entry.
    const LIFETIME: Duration = Duration::from_secs(24 * 3600);

    /// Returns a cache of at most this many bytes in memory.
    pub fn memory(bytes: u64) -> Self {
        Self(Ok(CacheSettings::Memory(Self::limits(bytes))))
    }

    /// Returns a cache of at most this many bytes in files of this process alone, in the system's
    /// directory for temporary files. This is the default, with 4 GiB.
    pub fn temporary(bytes: u64) -> Self {
        Self(Ok(CacheSettings::Ephemeral { folder: None, limits: Self::limits(bytes) }))
    }

    /// Returns a cache of at most this many bytes in a directory that outlives this process. `key`
    /// names and seals the entries: 32 bytes in base64.
    pub fn persistent(directory: impl Into<PathBuf>, key: &str, bytes: u64) -> Self {
        let folder = directory.into();
        Self(match CacheKey::parse(key) {
            Ok(key) => Ok(CacheSettings::Persistent { folder, key, limits: Self::limits(bytes) }),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Returns no cache: each call fetches what it needs, and holds at most `memory` bytes of it in
    /// memory; the rest goes to sealed temporary files.
    pub fn none(memory: u64) -> Self {
        Self(Ok(CacheSettings::Off { memory }))
    }

    fn limits(bytes: u64) -> Limits {
        Limits { bytes, ttl: Self::LIFETIME }
    }
}
