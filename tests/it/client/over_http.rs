//! The client over HTTP: credentials, URLs, parts, and uploads that are abandoned.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use deltaglider::wiring::{Credentials, CredentialsProvider, ProviderError};
use deltaglider::{Body, Cache, DeltaGlider, ErrorKind};
use futures::StreamExt as _;
use s3_server::{ACCESS_KEY, SECRET_KEY, Server};

use super::stage::{content, uri, version};
use crate::support::noise;

async fn client(server: &Server) -> DeltaGlider {
    let builder = DeltaGlider::builder().endpoint(server.url()).region("us-east-1");
    let builder = builder.credentials(ACCESS_KEY, SECRET_KEY).cache(Cache::none(64 << 20));
    let client = builder.build().await.unwrap();
    client.create_bucket("bucket").await.unwrap();
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn verbs_work_over_http() {
    let server = Server::memory().unwrap();
    let client = client(&server).await;
    client.put(uri("a-1.zip"), version(0)).await.unwrap();
    let stored = client.put(uri("a-2.zip"), version(1)).tag("t", "v").await.unwrap();
    assert!(stored.stored < stored.size / 10);
    assert!(content(&client, "a-2.zip").await == version(1));
    assert!(client.verify(uri("a-2.zip")).await.unwrap().compared.sha256().is_some());
    let error = client.presign(uri("a-2.zip")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let url = client.presign(uri("a-2.zip")).rehydrate().await.unwrap();
    assert!(url.url.starts_with(&server.url()) && url.temporary.is_some());
    let url = client.presign(uri("b.bin")).for_upload().expires_in(Duration::from_secs(60)).await;
    assert!(url.unwrap().url.contains("X-Amz-Expires=60"));
}

#[derive(Debug, Default)]
struct Vault(Arc<AtomicU64>);

#[async_trait::async_trait]
impl CredentialsProvider for Vault {
    async fn credentials(&self) -> Result<(Credentials, Option<SystemTime>), ProviderError> {
        if self.0.fetch_add(1, Ordering::Relaxed) > 1 {
            return Err("the vault is sealed".into());
        }
        let keys = Credentials {
            access_key_id: ACCESS_KEY.to_owned(),
            secret_access_key: SECRET_KEY.to_owned(),
            session_token: None,
        };
        // So near that the keys are asked for again.
        Ok((keys, Some(SystemTime::now() + Duration::from_secs(1))))
    }
}

/// The provider is asked again when the keys expire, and its error is the cause of the call's.
#[tokio::test(flavor = "multi_thread")]
async fn provider_is_asked_again() {
    let server = Server::memory().unwrap();
    let asked = Arc::new(AtomicU64::new(0));
    let builder = DeltaGlider::builder().endpoint(server.url()).region("us-east-1");
    let client = builder.credentials_provider(Vault(asked.clone())).build().await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    client.create_bucket("bucket").await.unwrap();
    let failed = loop {
        if let Err(error) = client.list_buckets().await {
            break error;
        }
        assert!(asked.load(Ordering::Relaxed) <= 2);
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(failed.kind(), ErrorKind::Unauthenticated);
    assert!(deltaglider::service::chain(&failed).contains("the vault is sealed"));
    let wrong = DeltaGlider::builder().endpoint(server.url()).credentials("no", "no");
    let error = wrong.build().await.unwrap().list_buckets().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
}

/// A put that is dropped after its first parts leaves no name and, once the client is closed, no
/// upload.
#[tokio::test(flavor = "multi_thread")]
async fn dropped_put_aborts_its_upload() {
    let server = Server::memory().unwrap();
    let client = client(&server).await;
    let pieces = futures::stream::iter((0..80).map(|n| Ok(Bytes::from(noise(1 << 20, n)))));
    let endless = Body::stream(pieces.chain(futures::stream::pending()));
    let put = client.put(uri("big.bin"), endless).into_future();
    let open = async || {
        let bucket = deltaglider::domain::BucketName::new("bucket").unwrap();
        client.service().store().list_uploads(&bucket).await.unwrap().len()
    };
    tokio::select! {
        _ = put => panic!("the stream never ends"),
        () = async {
            while open().await == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        } => {}
    }
    client.close().await;
    assert_eq!(open().await, 0);
    assert_eq!(client.head(uri("big.bin")).await.unwrap_err().kind(), ErrorKind::NotFound);
}
