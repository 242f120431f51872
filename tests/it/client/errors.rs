//! The kinds of errors, and what an error says.

use std::sync::Arc;

use deltaglider::storage::{Call, Layer, Run, StorageError, StorageErrorKind, Store};
use deltaglider::{DeltaGlider, ErrorKind};

use super::stage::{client, client_of, uri, version};

/// A store that answers every read of an object with an error.
#[derive(Debug)]
struct Failing(Arc<dyn Store>, StorageErrorKind);

#[async_trait::async_trait]
impl Layer for Failing {
    fn inner(&self) -> &dyn Store {
        &*self.0
    }

    async fn around<'a, T: Send + 'a>(
        &'a self,
        call: Call<'a>,
        _: Run<'a, T>,
    ) -> Result<T, StorageError> {
        Err(StorageError::new(self.1, call.operation, call.target).because("the reason"))
    }
}

#[tokio::test]
async fn kinds_say_what_to_do() {
    use StorageErrorKind as S;
    let (_, store) = client().await;
    for (storage, kind, is_retryable) in [
        (S::NoSuchBucket, ErrorKind::NoSuchBucket, false),
        (S::NotFound, ErrorKind::NotFound, false),
        (S::Damaged, ErrorKind::Corrupt, false),
        (S::Denied, ErrorKind::PermissionDenied, false),
        (S::Credentials, ErrorKind::Unauthenticated, false),
        (S::Archived, ErrorKind::Archived, false),
        (S::KeyNeeded, ErrorKind::KeyNeeded, false),
        (S::Throttled, ErrorKind::Throttled, true),
        (S::Other, ErrorKind::Other, false),
    ] {
        let failing = client_of(Arc::new(Failing(store.clone(), storage))).await;
        for error in [
            failing.head(uri("a.zip")).await.unwrap_err(),
            failing.get(uri("a.zip")).await.unwrap_err(),
        ] {
            assert_eq!((error.kind(), error.is_retryable()), (kind, is_retryable), "{storage:?}");
            assert_eq!(error.object(), uri("a.zip"));
            assert_eq!(
                error.hint().is_some(),
                !matches!(kind, ErrorKind::NotFound | ErrorKind::Other)
            );
        }
    }
}

/// The message names the call and the object; the chain has the store's own reason.
#[tokio::test]
async fn message_and_chain_are_whole() {
    let (_, store) = client().await;
    let failing = client_of(Arc::new(Failing(store, StorageErrorKind::Denied))).await;
    let error = failing.delete(uri("a.zip")).await.unwrap_err();
    assert_eq!(error.to_string(), "cannot delete s3://bucket/a.zip: permission denied");
    assert!(deltaglider::service::chain(&error).ends_with("the reason"));
    assert!(format!("{error:?}").contains("PermissionDenied"));
}

#[tokio::test]
async fn bad_names_are_invalid_input() {
    let (client, _) = client().await;
    for name in ["bucket/key", "s3://b/key", "s3://bucket", "http://bucket/key", ""] {
        let error = client.put(name, "x").await.unwrap_err();
        assert_eq!((error.kind(), error.object()), (ErrorKind::InvalidInput, name));
    }
    for name in ["s3://bucket/key", "b", "s3://b"] {
        let error = client.create_bucket(name).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{name}");
    }
    let error = client.create_bucket("bucket").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    client.put(uri("a.zip"), version(0)).await.unwrap();
    assert_eq!(client.remove_bucket("bucket").await.unwrap_err().kind(), ErrorKind::NotEmpty);
}

#[tokio::test]
async fn bad_settings_are_reported_by_build() {
    let builders = [
        DeltaGlider::builder().max_ratio(1.5),
        DeltaGlider::builder().endpoint("127.0.0.1:9000"),
        DeltaGlider::builder().customer_key(b"short"),
        DeltaGlider::builder().session_token("lonely"),
        DeltaGlider::builder().cache(deltaglider::Cache::persistent("/tmp", "no key", 1)),
    ];
    for builder in builders {
        let shown = format!("{builder:?}");
        let error = builder.build().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{shown}");
    }
    let builder = DeltaGlider::builder().credentials("id", "hush-hush").customer_key(&[7; 32]);
    assert!(!format!("{builder:?}").contains("hush"));
}
