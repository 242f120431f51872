//! The service that one run of the binary uses: connected when a command needs it, and given time
//! to abort what was interrupted.

use tokio::sync::OnceCell;

use super::args::GlobalOptions;
use super::error::{Failure, warn};
use super::object_options::KeyArgument;
use super::threads::threads;
use crate::domain::policy::Policy;
use crate::service::DeltaService;
use crate::wiring::{CacheSettings, Connection, Regions, StoreDecorator};

/// The global options and the service that they configure.
pub(super) struct Context {
    options: GlobalOptions,
    cache: CacheSettings,
    owner_control: bool,
    decorator: StoreDecorator,
    service: OnceCell<DeltaService>,
}

impl Context {
    pub(super) fn new(
        options: GlobalOptions,
        cache: CacheSettings,
        owner_control: bool,
        decorator: StoreDecorator,
    ) -> Self {
        Self { options, cache, owner_control, decorator, service: OnceCell::new() }
    }

    /// Returns the service, which the first call connects with its policy for stored files.
    pub(super) async fn service(&self, policy: Policy) -> Result<&DeltaService, Failure> {
        self.connected(policy, self.cache.clone()).await
    }

    /// Returns the service for a command that transfers one object: no later operation would read
    /// what it put into a cache of this process alone, so it holds references of at most `memory`
    /// bytes in memory instead.
    pub(super) async fn service_for_one(
        &self,
        policy: Policy,
        memory: u64,
    ) -> Result<&DeltaService, Failure> {
        let cache = match &self.cache {
            CacheSettings::Ephemeral { folder, .. } => {
                CacheSettings::OneOperation { folder: folder.clone(), memory }
            }
            other => other.clone(),
        };
        self.connected(policy, cache).await
    }

    async fn connected(
        &self,
        policy: Policy,
        cache: CacheSettings,
    ) -> Result<&DeltaService, Failure> {
        let connect = || async {
            let connection = Connection { cache, ..self.connection()? };
            let service = connection.service(policy).await?;
            let service = match threads().map_err(Failure::usage)? {
                Some(threads) => service.with_threads(threads),
                None => service,
            };
            if connection.is_unverified().is_ok_and(|unverified| unverified) {
                warn("warning: --no-verify-ssl: the certificate of the store is not verified");
            }
            Ok(service)
        };
        self.service.get_or_try_init(connect).await
    }

    /// Returns the regions of both ends, if the store is AWS and the lookup is not disabled.
    pub(super) async fn regions(&self) -> Result<Option<Regions>, Failure> {
        Ok(self.connection()?.regions().await?)
    }

    fn connection(&self) -> Result<Connection, Failure> {
        Ok(Connection {
            endpoint_url: self.options.endpoint_url.clone(),
            region: self.options.region.clone(),
            profile: self.options.profile.clone(),
            no_sign_request: self.options.no_sign_request,
            ca_bundle: self.options.ca_bundle.clone(),
            no_verify_ssl: self.options.no_verify_ssl,
            addressing_style: self.options.addressing_style,
            owner_control: self.owner_control,
            max_attempts: self.options.max_attempts,
            cache: self.cache.clone(),
            customer_key: self.options.sse_c_key.as_ref().map(KeyArgument::read).transpose()?,
            decorator: self.decorator.clone(),
            ..Connection::default()
        })
    }

    /// Waits until the store has aborted the uploads that were begun and abandoned.
    pub(super) async fn settle(&self) {
        if let Some(service) = self.service.get() {
            service.store().settle().await;
        }
    }
}
