//! Storage class, encryption, tags, ACL and customers' keys over HTTP: sent with each kind of
//! request, and read back.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use deltaglider::domain::{BucketName, Key, ObjectName};
use deltaglider::storage::{
    Attributes, BucketAdmin as _, CannedAcl, CopyOptions, CustomerKey, Encryption, KmsKey,
    ObjectStore as _, PutBody, PutCondition, S3Config, S3Store, StorageError, StorageErrorKind,
};
use futures::TryStreamExt as _;
use s3_server::{Fault, MIN_PART_SIZE, Server};

/// Sends and copies objects larger than one part in parts.
async fn store(server: &Server, customer_key: Option<&CustomerKey>) -> S3Store {
    let config = S3Config {
        multipart_threshold: MIN_PART_SIZE + 1,
        part_size: MIN_PART_SIZE,
        copy_part_size: MIN_PART_SIZE,
        customer_key: customer_key.cloned(),
        ..server.config()
    };
    S3Store::connect(config).await.unwrap()
}

fn bucket() -> BucketName {
    BucketName::new("bucket").unwrap()
}

fn object(key: &str) -> ObjectName {
    ObjectName::new(bucket(), Key::new(key).unwrap())
}

fn content(len: u64) -> Vec<u8> {
    (0..len as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

async fn put(
    store: &S3Store,
    key: &str,
    len: u64,
    attributes: &Attributes,
) -> Result<(), StorageError> {
    let body = PutBody::from_bytes(content(len));
    store.put(&object(key), body, attributes, &PutCondition::None.into()).await.map(drop)
}

async fn read(store: &S3Store, key: &str) -> io::Result<Vec<u8>> {
    let body = store.get(&object(key), None).await.map_err(io::Error::other)?;
    body.stream.map_ok(|piece| piece.to_vec()).try_concat().await
}

fn customer_key(byte: u8) -> CustomerKey {
    CustomerKey::new(&[byte; 32]).unwrap()
}

fn attributes() -> Attributes {
    Attributes {
        content_type: Some("application/zip".to_owned()),
        storage_class: Some("STANDARD_IA".parse().unwrap()),
        encryption: Some(Encryption::Kms(KmsKey {
            id: Some("alias/k".to_owned()),
            bucket_key: true,
        })),
        expires: Some("Wed, 21 Oct 2026 07:28:00 GMT".to_owned()),
        ..Attributes::default()
    }
}

fn copied_as(attributes: Attributes) -> CopyOptions {
    CopyOptions { attributes: Some(attributes), ..CopyOptions::default() }
}

fn tags() -> BTreeMap<String, String> {
    [("a b".to_owned(), "c&d".to_owned())].into()
}

/// Storage class, encryption and tags are kept in copies as well.
#[tokio::test]
async fn multipart_keeps_attributes() {
    let server = Server::memory().unwrap();
    let store = store(&server, None).await;
    store.create_bucket(&bucket()).await.unwrap();
    for len in [5, MIN_PART_SIZE + 1] {
        put(&store, "k", len, &Attributes { tags: tags(), ..attributes() }).await.unwrap();
        store.copy(&object("k"), &object("copy"), &CopyOptions::default()).await.unwrap();
        for key in ["k", "copy"] {
            assert_eq!(
                store.head(&object(key)).await.unwrap().attributes,
                attributes(),
                "{key} of {len} bytes"
            );
            assert_eq!(store.tags(&object(key)).await.unwrap(), tags(), "{key} of {len} bytes");
        }
        let other =
            Attributes { content_type: Some("text/plain".to_owned()), ..Attributes::default() };
        store.copy(&object("k"), &object("copy"), &copied_as(other.clone())).await.unwrap();
        assert_eq!(store.head(&object("copy")).await.unwrap().attributes, other, "{len} bytes");
        assert_eq!(store.tags(&object("copy")).await.unwrap(), BTreeMap::new(), "{len} bytes");
    }
    assert_eq!((server.requests_of("UploadPart"), server.requests_of("UploadPartCopy")), (2, 4));
}

#[tokio::test]
async fn acl_is_sent_only_on_request() {
    let server = Server::memory().unwrap();
    let store = store(&server, None).await;
    store.create_bucket(&bucket()).await.unwrap();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let seen = sent.clone();
    server.script(move |call| {
        if matches!(call.operation, "PutObject" | "CreateMultipartUpload" | "CopyObject") {
            let acl = call.headers.get("x-amz-acl").map(|acl| acl.to_str().unwrap().to_owned());
            seen.lock().unwrap().push((call.operation.to_owned(), acl));
        }
        None
    });
    let public = Attributes { acl: Some(CannedAcl::PublicRead), ..Attributes::default() };
    for attributes in [&public, &Attributes::default()] {
        put(&store, "k", 5, attributes).await.unwrap();
        put(&store, "k", MIN_PART_SIZE + 1, attributes).await.unwrap();
    }
    put(&store, "k", 5, &public).await.unwrap();
    store.copy(&object("k"), &object("copy"), &CopyOptions::default()).await.unwrap();
    store.copy(&object("k"), &object("copy"), &copied_as(Attributes::default())).await.unwrap();
    let public = Some("public-read".to_owned());
    let expected = [
        ("PutObject", public.clone()),
        ("CreateMultipartUpload", public.clone()),
        ("PutObject", None),
        ("CreateMultipartUpload", None),
        ("PutObject", public),
        ("CopyObject", None),
        ("CopyObject", None),
    ];
    assert_eq!(*sent.lock().unwrap(), expected.map(|(operation, acl)| (operation.to_owned(), acl)));
}

/// The objects it encrypts cannot be read without it.
#[tokio::test]
async fn customer_key_is_always_sent() {
    let server = Server::memory().unwrap();
    let key = customer_key(1);
    let (plain, with_key, with_other) = (
        store(&server, None).await,
        store(&server, Some(&key)).await,
        store(&server, Some(&customer_key(2))).await,
    );
    plain.create_bucket(&bucket()).await.unwrap();
    assert_eq!((plain.customer_key(), with_key.customer_key()), (None, Some(key.md5())));
    for len in [5, MIN_PART_SIZE + 1] {
        put(&with_key, "k", len, &attributes()).await.unwrap();
        with_key.copy(&object("k"), &object("copy"), &CopyOptions::default()).await.unwrap();
        let by_customer = Some(Encryption::Customer { key_md5: key.md5() });
        for name in ["k", "copy"] {
            assert_eq!(
                with_key.head(&object(name)).await.unwrap().attributes.encryption,
                by_customer
            );
            assert!(read(&with_key, name).await.unwrap() == content(len), "{name} of {len} bytes");
            for store in [&plain, &with_other] {
                for refused in [
                    store.head(&object(name)).await.map(drop).unwrap_err(),
                    store.get(&object(name), None).await.map(drop).unwrap_err(),
                ] {
                    assert_eq!(refused.kind, StorageErrorKind::KeyNeeded, "{refused:?}");
                    assert!(refused.to_string().contains("customer's key"), "{refused}");
                }
            }
        }
    }
    // An object without this encryption is read and copied as well.
    put(&plain, "plain", 5, &Attributes::default()).await.unwrap();
    assert_eq!(with_key.head(&object("plain")).await.unwrap().attributes.encryption, None);
    assert!(read(&with_key, "plain").await.unwrap() == content(5));
    with_key.copy(&object("plain"), &object("copy"), &CopyOptions::default()).await.unwrap();
    assert_eq!(plain.head(&object("copy")).await.unwrap_err().kind, StorageErrorKind::KeyNeeded);
    // The attributes of an object with this key are rejected by a store without it.
    let of_other = with_key.head(&object("k")).await.unwrap().attributes;
    assert_eq!(
        put(&plain, "new", 5, &of_other).await.unwrap_err().kind,
        StorageErrorKind::KeyNeeded
    );
    assert!(put(&with_key, "new", 5, &of_other).await.is_ok());
}

#[tokio::test]
async fn resume_sends_customer_key() {
    let server = Server::memory().unwrap();
    let store = store(&server, Some(&customer_key(1))).await;
    store.create_bucket(&bucket()).await.unwrap();
    put(&store, "k", 100_000, &Attributes::default()).await.unwrap();
    server.script(|call| {
        (call.operation == "GetObject" && call.nth == 1).then_some(Fault::Cut(1000))
    });
    assert!(read(&store, "k").await.unwrap() == content(100_000));
    assert_eq!(server.requests_of("GetObject"), 2);
}

#[tokio::test]
async fn refusal_is_not_a_missing_key() {
    let server = Server::memory().unwrap();
    let (plain, with_key) =
        (store(&server, None).await, store(&server, Some(&customer_key(1))).await);
    plain.create_bucket(&bucket()).await.unwrap();
    put(&plain, "k", 5, &Attributes::default()).await.unwrap();
    server.script(|call| {
        matches!(call.operation, "HeadObject" | "GetObject")
            .then_some(Fault::Refuse { status: 403, code: "AccessDenied" })
    });
    for store in [&plain, &with_key] {
        assert_eq!(store.head(&object("k")).await.unwrap_err().kind, StorageErrorKind::Denied);
        assert_eq!(store.get(&object("k"), None).await.unwrap_err().kind, StorageErrorKind::Denied);
    }
    server.script(|call| {
        matches!(call.operation, "HeadObject" | "GetObject")
            .then_some(Fault::Refuse { status: 400, code: "ExpiredToken" })
    });
    assert_ne!(plain.head(&object("k")).await.unwrap_err().kind, StorageErrorKind::KeyNeeded);
    assert_ne!(with_key.head(&object("k")).await.unwrap_err().kind, StorageErrorKind::KeyNeeded);
}
