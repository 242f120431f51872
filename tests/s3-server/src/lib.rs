//! S3 servers on a local socket, for tests: the model store in memory, and s3s-fs over a directory.
//!
//! Verifies signatures, counts requests by operation, and injects scripted faults. A server runs
//! until the value is dropped, on threads of its own, so that tests may block.

mod calls;
mod linger;
mod memory;
mod multipart;
mod translate;

use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use deltaglider::storage::{MemoryStore, S3Config, S3Credentials};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::S3;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

pub use calls::{Call, Fault, Rewrite};
pub use memory::{Conditions, MIN_PART_SIZE};

use calls::Calls;
use memory::Memory;

/// The only access key the servers accept.
pub const ACCESS_KEY: &str = "test-access-key";
/// The secret of [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "test-secret-key";

/// A running server.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    calls: Calls,
    memory: Option<Memory>,
    heads: Heads,
    runtime: Option<Runtime>,
}

/// The number of HEAD requests being served, now and at most.
#[derive(Debug, Clone, Default)]
struct Heads(Arc<(AtomicUsize, AtomicUsize)>);

impl Heads {
    fn begin(&self) {
        let now = self.0.0.fetch_add(1, Ordering::Relaxed) + 1;
        self.0.1.fetch_max(now, Ordering::Relaxed);
    }

    fn end(&self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Server {
    /// Starts the model store, empty, at a free port.
    pub fn memory() -> io::Result<Self> {
        Self::memory_with(Conditions::Atomic)
    }

    /// Starts the model store, empty, at a free port, weaker than S3 as `conditions` says.
    pub fn memory_with(conditions: Conditions) -> io::Result<Self> {
        Self::memory_at(0, conditions)
    }

    /// Starts the same at this port of 127.0.0.1; 0 for a free one.
    pub fn memory_at(port: u16, conditions: Conditions) -> io::Result<Self> {
        let memory = Memory::with(conditions);
        Self::start(memory.clone(), Some(memory), port)
    }

    /// Starts s3s-fs over a directory, at this port of 127.0.0.1; 0 for a free one.
    pub fn folder_at(folder: &Path, port: u16) -> io::Result<Self> {
        let fs = s3s_fs::FileSystem::new(folder)
            .map_err(|error| io::Error::other(format!("{error:?}")))?;
        Self::start(fs, None, port)
    }

    fn start(backend: impl S3, memory: Option<Memory>, port: u16) -> io::Result<Self> {
        let calls = Calls::default();
        let mut builder = S3ServiceBuilder::new(backend);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        builder.set_access(calls.clone());
        let service = builder.build();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let heads = Heads::default();
        runtime.spawn(serve(listener, service, heads.clone()));
        Ok(Self { address, calls, memory, heads, runtime: Some(runtime) })
    }

    /// Returns the URL of the server.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns the settings to reach it, with the right key.
    pub fn config(&self) -> S3Config {
        let credentials = S3Credentials {
            access_key_id: ACCESS_KEY.to_owned(),
            secret_access_key: SECRET_KEY.to_owned(),
            session_token: None,
        };
        S3Config {
            endpoint: Some(self.url()),
            region: Some("us-east-1".to_owned()),
            credentials: Some(credentials),
            max_attempts: NonZeroU32::new(3),
            ..S3Config::default()
        }
    }

    /// Returns the number of requests with a valid signature so far, by operation (`HeadObject`,
    /// `PutObject`, …).
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.calls.counts()
    }

    /// Returns the number of requests of one operation so far.
    pub fn requests_of(&self, operation: &str) -> u64 {
        self.requests().get(operation).copied().unwrap_or_default()
    }

    /// Sets the script that chooses the fault of each request. Replaces the previous script.
    pub fn script(&self, script: impl Fn(&Call<'_>) -> Option<Fault> + Send + Sync + 'static) {
        self.calls.script(script);
    }

    /// Returns the maximum number of HEAD requests that were served at the same time.
    pub fn most_heads_at_once(&self) -> usize {
        self.heads.0.1.load(Ordering::Relaxed)
    }

    /// Returns the store behind the model store, for direct access.
    pub fn store(&self) -> Option<Arc<MemoryStore>> {
        self.memory.as_ref().map(Memory::store)
    }

    /// Replaces the store and discards open uploads; the model store only.
    pub fn serve(&self, store: Arc<MemoryStore>) {
        if let Some(memory) = &self.memory {
            memory.replace(store);
        }
    }

    /// Returns the number of multipart uploads that were neither completed nor aborted; the model
    /// store only.
    pub fn open_uploads(&self) -> usize {
        self.memory.as_ref().map_or(0, Memory::open_uploads)
    }

    /// Serves forever.
    pub fn run(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.block_on(pending())
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(listener: tokio::net::TcpListener, service: S3Service, heads: Heads) {
    let builder = Builder::new(TokioExecutor::new());
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // A client that disconnects before it is accepted is not an error of the server.
        let Ok((socket, _)) = listener.accept().await else { continue };
        let service = service.clone();
        let heads = heads.clone();
        let service = service_fn(move |request| {
            let (service, heads) = (service.clone(), heads.clone());
            async move {
                let is_head = request.method() == http::Method::HEAD;
                if is_head {
                    heads.begin();
                }
                let answer = linger::serve(service, request).await;
                if is_head {
                    heads.end();
                }
                answer
            }
        });
        let connection = builder.serve_connection(TokioIo::new(socket), service).into_owned();
        connections.spawn(async move {
            // Tests break off connections on purpose.
            let _ = connection.await;
        });
    }
}
