//! S3 servers on a socket of this machine, for tests: the model store in memory, and s3s-fs over a
//! folder.
//!
//! Signatures are verified, requests are counted by operation, and faults can be scripted. A server
//! lives as long as the value does, on threads of its own: tests may block.

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

/// The one key the servers know.
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

/// HEAD requests that are being served: how many now, and at most.
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
    /// The model store, empty, at a free port.
    pub fn memory() -> io::Result<Self> {
        Self::memory_with(Conditions::Atomic)
    }

    /// The model store, empty, at a free port, weaker than S3 where `conditions` says so.
    pub fn memory_with(conditions: Conditions) -> io::Result<Self> {
        Self::memory_at(0, conditions)
    }

    /// The same at this port of 127.0.0.1; 0 for a free one.
    pub fn memory_at(port: u16, conditions: Conditions) -> io::Result<Self> {
        let memory = Memory::with(conditions);
        Self::start(memory.clone(), Some(memory), port)
    }

    /// s3s-fs over a folder, at this port of 127.0.0.1; 0 for a free one.
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

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How to reach it with the right key.
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

    /// Requests with a right signature so far, by operation (`HeadObject`, `PutObject`, …).
    pub fn requests(&self) -> BTreeMap<String, u64> {
        self.calls.counts()
    }

    /// Requests of one operation so far.
    pub fn requests_of(&self, operation: &str) -> u64 {
        self.requests().get(operation).copied().unwrap_or_default()
    }

    /// Asks `script` before each operation what shall go wrong. Replaces the script before.
    pub fn script(&self, script: impl Fn(&Call<'_>) -> Option<Fault> + Send + Sync + 'static) {
        self.calls.script(script);
    }

    /// HEAD requests that were served at the same time, at most.
    pub fn most_heads_at_once(&self) -> usize {
        self.heads.0.1.load(Ordering::Relaxed)
    }

    /// The store behind the model store, for what need not go over the socket.
    pub fn store(&self) -> Option<Arc<MemoryStore>> {
        self.memory.as_ref().map(Memory::store)
    }

    /// Serves another store from now on, without open uploads; the model store only.
    pub fn serve(&self, store: Arc<MemoryStore>) {
        if let Some(memory) = &self.memory {
            memory.replace(store);
        }
    }

    /// Multipart uploads that were neither completed nor aborted; the model store only.
    pub fn open_uploads(&self) -> usize {
        self.memory.as_ref().map_or(0, Memory::open_uploads)
    }

    /// Serves for ever.
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
        // A client that is gone before it was accepted is none of the server's errors.
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
            // Clients break connections off as tests want it.
            let _ = connection.await;
        });
    }
}
