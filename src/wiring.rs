//! Composition root: the only module that chooses the store and cache implementations.

use std::fmt;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cache::{FolderCache, MemoryCache, ReferenceCache, WorkingCopies};
use crate::domain::endpoint::{Endpoint, EndpointError, Sources};
use crate::domain::policy::Policy;
use crate::service::{DeltaService, Settings};
use crate::storage::{
    AddressingStyle, ConditionalWrites, CustomerKey, DirStore, S3Config, S3SettingError, S3Store,
    StorageError, StorageErrorKind, Store, UnknownConditionalWrites,
};

pub use crate::cache::{
    CacheAdmin, CacheError, CacheKey, CacheSettings, Cleared, KeyError, LegacyCache, Limits,
    SettingError, Survey, Verified,
};
pub use crate::storage::{
    CredentialsProvider, ProviderError, Regions, S3Credentials as Credentials,
};

/// Connection settings of a store. Unset fields are taken from the environment and the profile
/// files, as in every AWS SDK.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// `--endpoint-url`; see [`Endpoint`] for the fallbacks.
    pub endpoint_url: Option<String>,
    /// The region of the buckets.
    pub region: Option<String>,
    /// The profile in the AWS configuration files.
    pub profile: Option<String>,
    /// The keys to sign with.
    pub credentials: Option<Credentials>,
    /// The caller's own source of keys, used if there are no `credentials`.
    pub provider: Option<Arc<dyn CredentialsProvider>>,
    /// True if requests are sent without credentials.
    pub no_sign_request: bool,
    /// A file of CA certificates (PEM) to trust instead of the system's.
    pub ca_bundle: Option<PathBuf>,
    /// True if the store's TLS certificate is not verified; see [`S3Config`].
    pub no_verify_ssl: bool,
    /// Position of the bucket name in URLs; see [`S3Config`].
    pub addressing_style: Option<AddressingStyle>,
    /// True if the bucket owner is given full control of all objects; see [`S3Config`].
    pub owner_control: bool,
    /// The maximum number of attempts of a failing request; see [`S3Config`].
    pub max_attempts: Option<NonZeroU32>,
    /// Settings of the reference cache.
    pub cache: CacheSettings,
    /// The customer-provided key (SSE-C) that objects are encrypted with. References encrypted with
    /// it are kept in no shared cache.
    pub customer_key: Option<CustomerKey>,
    /// The directory for temporary files; else the system's (`TMPDIR`).
    pub spool_dir: Option<PathBuf>,
    /// Wraps the store before it is used.
    pub decorator: StoreDecorator,
}

/// A function that wraps the store of a [`Connection`], for instance to count or log its calls. The
/// default wraps nothing.
#[derive(Clone, Default)]
pub struct StoreDecorator(Option<Arc<Decorate>>);

type Decorate = dyn Fn(Arc<dyn Store>) -> Arc<dyn Store> + Send + Sync;

impl StoreDecorator {
    /// Creates a decorator that replaces every store by `decorate(store)`.
    pub fn new(
        decorate: impl Fn(Arc<dyn Store>) -> Arc<dyn Store> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(decorate)))
    }

    fn wrap(&self, store: Arc<dyn Store>) -> Arc<dyn Store> {
        match &self.0 {
            Some(decorate) => decorate(store),
            None => store,
        }
    }
}

impl fmt::Debug for StoreDecorator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "StoreDecorator(…)" } else { "StoreDecorator" })
    }
}

/// The variable that states whether conditional writes of the store are atomic: `yes`, `no`, or
/// `auto` (the default). See [`ConditionalWrites`].
const CONDITIONAL_WRITES: &str = "DG_CONDITIONAL_WRITES";
/// The variable that keeps `migrate` from querying the EC2 metadata service for the region of this
/// machine.
const NO_EC2_DETECTION: &str = "DG_DISABLE_EC2_DETECTION";

/// Errors of [`Connection`].
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// The endpoint setting is invalid.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// An environment variable has an invalid value.
    #[error("{name}: {source}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// The error that shows the invalid value.
        source: UnknownConditionalWrites,
    },
    /// A setting of the S3 client is invalid.
    #[error(transparent)]
    Setting(#[from] S3SettingError),
    /// The store could not be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The cache could not be opened.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Reads the cache settings from the environment of this process.
///
/// # Errors
///
/// Returns an error if a variable has an invalid value.
pub fn cache_settings() -> Result<CacheSettings, SettingError> {
    CacheSettings::read(&|name| std::env::var_os(name))
}

/// Returns the maintenance interface of the caches with these settings, and of leftovers in the
/// directory for temporary files.
pub fn upkeep(settings: CacheSettings) -> CacheAdmin {
    CacheAdmin::new(settings, std::env::temp_dir())
}

/// Opens the cache with these settings. Working copies that are not cached go to `spill`.
fn cache(settings: &CacheSettings, spill: &Path) -> Result<Arc<dyn ReferenceCache>, CacheError> {
    Ok(match settings {
        CacheSettings::Off { memory } => {
            Arc::new(WorkingCopies::new(spill.to_owned()).with_memory(*memory))
        }
        CacheSettings::OneOperation { folder, memory } => {
            FolderCache::sweep(folder.as_deref().unwrap_or(spill));
            Arc::new(WorkingCopies::new(spill.to_owned()).with_memory(*memory))
        }
        CacheSettings::Memory(limits) => Arc::new(MemoryCache::new(*limits, spill)?),
        CacheSettings::Ephemeral { folder, limits } => {
            Arc::new(FolderCache::ephemeral(folder.as_deref().unwrap_or(spill), *limits)?)
        }
        CacheSettings::Persistent { folder, key, limits } => {
            Arc::new(FolderCache::persistent(folder, key, *limits, spill)?)
        }
    })
}

impl Connection {
    /// Resolves the endpoint from the options, the environment and the profile of this process.
    ///
    /// # Errors
    ///
    /// Returns an error if the endpoint is invalid or the profile cannot be read.
    pub fn endpoint(&self) -> Result<Endpoint, EndpointError> {
        Endpoint::resolve(&Sources {
            endpoint_url: self.endpoint_url.as_deref(),
            profile: self.profile.as_deref(),
            variable: &|name| std::env::var_os(name),
            file: &|path: &Path| std::fs::read_to_string(path),
        })
    }

    /// Returns whether an attacker on the network could impersonate the store: it is reached by
    /// TLS, and its certificate is not verified.
    pub fn is_unverified(&self) -> Result<bool, EndpointError> {
        Ok(self.no_verify_ssl
            && match self.endpoint()? {
                Endpoint::Embedded(_) => false,
                Endpoint::Url(url) => {
                    url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
                }
                Endpoint::Aws => true,
            })
    }

    /// Opens the store.
    ///
    /// # Errors
    ///
    /// Returns an error if the endpoint or a setting is invalid, or if the store cannot be opened.
    pub async fn store(&self) -> Result<Arc<dyn Store>, WiringError> {
        let conditional_writes = conditional_writes()?;
        let url = match self.endpoint()? {
            Endpoint::Embedded(path) if self.customer_key.is_some() => {
                let refused =
                    StorageError::new(StorageErrorKind::Invalid, "OpenStore", path.display());
                return Err(refused
                    .because("the embedded store encrypts nothing: it takes no customer's key")
                    .into());
            }
            Endpoint::Embedded(path) => {
                return Ok(self.decorator.wrap(Arc::new(DirStore::open(&path)?)));
            }
            Endpoint::Url(url) => Some(url),
            Endpoint::Aws => None,
        };
        let config = S3Config { conditional_writes, ..self.s3(url) };
        Ok(self.decorator.wrap(Arc::new(S3Store::connect(config).await?)))
    }

    /// Returns the name of the store in a cache shared by several stores. Two spellings of one
    /// store only cost an additional fetch.
    fn origin(&self) -> Result<String, EndpointError> {
        Ok(match self.endpoint()? {
            Endpoint::Embedded(path) => {
                let path = std::fs::canonicalize(&path).unwrap_or(path);
                format!("file:{}", path.display())
            }
            Endpoint::Url(url) => url,
            Endpoint::Aws => "aws".to_owned(),
        })
    }

    fn s3(&self, endpoint: Option<String>) -> S3Config {
        S3Config {
            endpoint,
            region: self.region.clone(),
            profile: self.profile.clone(),
            credentials: self.credentials.clone(),
            provider: self.provider.clone(),
            no_sign_request: self.no_sign_request,
            ca_bundle: self.ca_bundle.clone(),
            no_verify_ssl: self.no_verify_ssl,
            customer_key: self.customer_key.clone(),
            addressing_style: self.addressing_style,
            owner_control: self.owner_control,
            max_attempts: self.max_attempts,
            ..S3Config::default()
        }
    }

    /// Returns the region that requests are signed for and that of this machine, if the store is
    /// AWS. Returns `None` for any other store, and if `DG_DISABLE_EC2_DETECTION` is set to
    /// anything but `false`, `no`, `0` or the empty string.
    pub async fn regions(&self) -> Result<Option<Regions>, WiringError> {
        let disabled = std::env::var_os(NO_EC2_DETECTION).is_some_and(|value| {
            let value = value.to_string_lossy().to_ascii_lowercase();
            !matches!(value.as_str(), "" | "false" | "no" | "0")
        });
        match self.endpoint()? {
            Endpoint::Aws if !disabled => Ok(Some(Regions::of(&self.s3(None)).await?)),
            _ => Ok(None),
        }
    }

    /// Opens the store and the cache, and returns the service on top of them.
    ///
    /// # Errors
    ///
    /// Returns an error if a setting is invalid, or if the store or the cache cannot be opened.
    pub async fn service(&self, policy: Policy) -> Result<DeltaService, WiringError> {
        // A cache that cannot be opened is reported before the store is.
        let cache = self.reference_cache()?;
        upkeep(self.cache.clone()).warn_about_legacy();
        let store = self.store().await?;
        Ok(DeltaService::new(store, cache, self.settings(policy)))
    }

    /// Opens the cache, and returns the service on top of it and of a store that is open already.
    /// The endpoint only names the store in a shared cache.
    ///
    /// # Errors
    ///
    /// Returns an error if the cache cannot be opened.
    pub fn service_on(
        &self,
        store: Arc<dyn Store>,
        policy: Policy,
    ) -> Result<DeltaService, WiringError> {
        let (store, cache) = (self.decorator.wrap(store), self.reference_cache()?);
        Ok(DeltaService::new(store, cache, self.settings(policy)))
    }

    /// Opens the cache for the references of this store.
    ///
    /// # Errors
    ///
    /// Returns an error if the cache cannot be opened, or the endpoint is invalid.
    pub fn reference_cache(&self) -> Result<Arc<dyn ReferenceCache>, WiringError> {
        let spool_dir = self.spool_dir();
        let cache = match &self.cache {
            CacheSettings::Persistent { limits, .. } if self.customer_key.is_some() => {
                cache(&CacheSettings::Ephemeral { folder: None, limits: *limits }, &spool_dir)?
            }
            settings => cache(settings, &spool_dir)?,
        };
        Ok(cache.within(&self.origin()?))
    }

    /// Returns the directory for temporary files.
    pub fn spool_dir(&self) -> PathBuf {
        self.spool_dir.clone().unwrap_or_else(std::env::temp_dir)
    }

    fn settings(&self, policy: Policy) -> Settings {
        Settings { policy, spool_dir: self.spool_dir() }
    }
}

/// Reads [`CONDITIONAL_WRITES`].
fn conditional_writes() -> Result<ConditionalWrites, WiringError> {
    let Some(value) = std::env::var_os(CONDITIONAL_WRITES).filter(|value| !value.is_empty()) else {
        return Ok(ConditionalWrites::default());
    };
    let read = value.to_string_lossy().parse();
    read.map_err(|source| WiringError::Variable { name: CONDITIONAL_WRITES, source })
}
