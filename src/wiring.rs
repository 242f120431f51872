//! The only place where adapters meet ports: which store, which cache.

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
    CacheAdmin, CacheError, CacheSettings, Cleared, LegacyCache, SettingError, Survey, Verified,
};
pub use crate::storage::Regions;

/// Where the store is and how it is spoken to. What is left open is taken from the environment and
/// the profile files, as in every AWS SDK.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// `--endpoint-url`; see [`Endpoint`] for what is asked when it is absent.
    pub endpoint_url: Option<String>,
    /// The region of the buckets.
    pub region: Option<String>,
    /// The profile of the configuration files.
    pub profile: Option<String>,
    /// Whether requests are sent without credentials.
    pub no_sign_request: bool,
    /// Certificates (PEM) to trust instead of the system's.
    pub ca_bundle: Option<PathBuf>,
    /// Whether every certificate of the store is accepted; see [`S3Config`].
    pub no_verify_ssl: bool,
    /// Which part of a URL holds the name of the bucket; see [`S3Config`].
    pub addressing_style: Option<AddressingStyle>,
    /// Whether all objects are given to the owner of the bucket; see [`S3Config`].
    pub owner_control: bool,
    /// Times a request is sent that goes on failing; see [`S3Config`].
    pub max_attempts: Option<NonZeroU32>,
    /// Which cache of references there is.
    pub cache: CacheSettings,
    /// The customer's key that objects are written with, and read by where they were. What it
    /// encrypts is kept in no cache that others use.
    pub customer_key: Option<CustomerKey>,
    /// Wraps the store before it is used.
    pub decorator: StoreDecorator,
}

/// A function that wraps the store of a [`Connection`], for instance to count or log its calls. The
/// default wraps nothing.
#[derive(Clone, Default)]
pub struct StoreDecorator(Option<Arc<Decorate>>);

type Decorate = dyn Fn(Arc<dyn Store>) -> Arc<dyn Store> + Send + Sync;

impl StoreDecorator {
    /// Wraps every store in what `decorate` returns for it.
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

/// Says whether the conditions of the store's writes hold among racing writers: `yes`, `no`, or
/// `auto`, which is also what its absence means. See [`ConditionalWrites`].
const CONDITIONAL_WRITES: &str = "DG_CONDITIONAL_WRITES";
/// The variable that keeps `migrate` from asking where this machine is.
const NO_EC2_DETECTION: &str = "DG_DISABLE_EC2_DETECTION";

/// Why there is no store to speak to.
#[derive(Debug, thiserror::Error)]
pub enum WiringError {
    /// What should say where the store is makes no sense.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// A variable of the environment has none of the values it can have.
    #[error("{name}: {source}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// What it has instead.
        source: UnknownConditionalWrites,
    },
    /// A setting of the S3 client cannot be used.
    #[error(transparent)]
    Setting(#[from] S3SettingError),
    /// The store could not be opened.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The cache could not be opened.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Which cache the environment of this process asks for.
pub fn cache_settings() -> Result<CacheSettings, SettingError> {
    CacheSettings::read(&|name| std::env::var_os(name))
}

/// Looks after the caches that these settings lead to, and after what is left in the folder for
/// temporaries.
pub fn upkeep(settings: CacheSettings) -> CacheAdmin {
    CacheAdmin::new(settings, std::env::temp_dir())
}

/// The cache these settings lead to; what it does not keep is worked with in `spill`.
fn cache(settings: &CacheSettings, spill: &Path) -> Result<Arc<dyn ReferenceCache>, CacheError> {
    Ok(match settings {
        CacheSettings::Off => Arc::new(WorkingCopies::new(spill.to_owned())),
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
    /// Where the store is, by the options, the environment and the profile of this process.
    pub fn endpoint(&self) -> Result<Endpoint, EndpointError> {
        Endpoint::resolve(&Sources {
            endpoint_url: self.endpoint_url.as_deref(),
            profile: self.profile.as_deref(),
            variable: &|name| std::env::var_os(name),
            file: &|path: &Path| std::fs::read_to_string(path),
        })
    }

    /// Whether anyone on the way to the store could take its place: it is reached by TLS, and its
    /// certificate is not verified.
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

    /// The store this leads to.
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

    /// The name of the store in a cache that many stores share. Two spellings of one store cost a
    /// fetch.
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

    /// The regions of both ends, where the store is AWS; `None` anywhere else, and where
    /// `DG_DISABLE_EC2_DETECTION` is set and not `false`.
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

    /// Deltas in the store this leads to. Temporaries go to the system's folder for them
    /// (`TMPDIR`).
    pub async fn service(&self, policy: Policy) -> Result<DeltaService, WiringError> {
        let spool_folder = std::env::temp_dir();
        let cache = match &self.cache {
            CacheSettings::Persistent { limits, .. } if self.customer_key.is_some() => {
                cache(&CacheSettings::Ephemeral { folder: None, limits: *limits }, &spool_folder)?
            }
            settings => cache(settings, &spool_folder)?,
        };
        upkeep(self.cache.clone()).tell_of_legacy();
        let store = self.store().await?;
        let cache = cache.within(&self.origin()?);
        Ok(DeltaService::new(store, cache, Settings { policy, spool_folder }))
    }
}

/// What [`CONDITIONAL_WRITES`] says.
fn conditional_writes() -> Result<ConditionalWrites, WiringError> {
    let Some(value) = std::env::var_os(CONDITIONAL_WRITES).filter(|value| !value.is_empty()) else {
        return Ok(ConditionalWrites::default());
    };
    let read = value.to_string_lossy().parse();
    read.map_err(|source| WiringError::Variable { name: CONDITIONAL_WRITES, source })
}
