//! What one run of the binary speaks to: made when a command needs it, and given time to take back
//! what was interrupted.

use tokio::sync::OnceCell;

use super::args::GlobalOptions;
use super::error::{Failure, warn};
use super::object_options::KeyArgument;
use crate::domain::policy::Policy;
use crate::service::DeltaService;
use crate::wiring::{CacheSettings, Connection, Regions, StoreDecorator};

/// The options of every command, and the service they lead to.
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

    /// The service, with a policy for what is stored; the first one that is asked for stays.
    pub(super) async fn service(&self, policy: Policy) -> Result<&DeltaService, Failure> {
        let connect = || async {
            let connection = self.connection()?;
            let service = connection.service(policy).await?;
            if connection.is_unverified().is_ok_and(|unverified| unverified) {
                warn("warning: --no-verify-ssl: the certificate of the store is not verified");
            }
            Ok(service)
        };
        self.service.get_or_try_init(connect).await
    }

    /// The regions of both ends, if the store is AWS and nobody said not to ask.
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
        })
    }

    /// Waits until the store has taken back what was begun and given up.
    pub(super) async fn settle(&self) {
        if let Some(service) = self.service.get() {
            service.store().settle().await;
        }
    }
}
