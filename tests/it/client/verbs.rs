//! The verbs on single files and listings.

use std::collections::BTreeSet;

use deltaglider::service::FileKind;
use deltaglider::{DeltaGlider, ErrorKind, ListItem};
use futures::TryStreamExt as _;

use super::stage::{client, client_of, content, uri, version};
use crate::scripted_store::ScriptedStore;
use crate::support::edited;

fn is_shared<T: Send + Sync + 'static>() {}
fn is_sent<T: Send + 'static>(_: &T) {}

#[tokio::test]
async fn client_is_shared_and_calls_are_sent() {
    is_shared::<DeltaGlider>();
    is_shared::<deltaglider::Error>();
    let (client, _) = client().await;
    is_sent(&client.put(uri("a"), "a").into_future());
    is_sent(&client.get(uri("a")).into_future());
    is_sent(&client.sync("a", "s3://bucket").into_future());
    is_sent(&client.list("s3://bucket"));
    client.put(uri("a"), "a").await.unwrap();
    is_sent(&client.get(uri("a")).await.unwrap());
}

#[tokio::test]
async fn head_knows_each_kind() {
    let (client, store) = client().await;
    client.put(uri("a-1.zip"), version(0)).await.unwrap();
    client.put(uri("a-2.zip"), version(1)).await.unwrap();
    client.put(uri("a.bin"), "direct").await.unwrap();
    let foreign = deltaglider::domain::ObjectName::new(
        deltaglider::domain::BucketName::new("bucket").unwrap(),
        deltaglider::domain::Key::new("foreign.txt").unwrap(),
    );
    let body = deltaglider::storage::PutBody::from_bytes("foreign");
    let none = deltaglider::storage::PutCondition::None.into();
    deltaglider::storage::ObjectStore::put(&*store, &foreign, body, &Default::default(), &none)
        .await
        .unwrap();
    for (name, kind, size) in [
        ("a-2.zip", FileKind::Delta, version(1).len()),
        ("a.bin", FileKind::Direct, 6),
        ("foreign.txt", FileKind::Foreign, 7),
    ] {
        let info = client.head(uri(name)).await.unwrap();
        assert_eq!((info.kind, info.size), (kind, size as u64), "{name}");
        assert_eq!(info.reference.is_some(), kind == FileKind::Delta);
        assert_eq!(info.created_at.is_some(), kind != FileKind::Foreign);
        assert_eq!(info.ratio() < 0.1, kind == FileKind::Delta);
        let file = client.get(uri(name)).await.unwrap();
        assert_eq!((file.info().kind, &file.info().etag), (kind, &info.etag));
        assert_eq!(file.info().last_modified, info.last_modified);
    }
}

/// Whatever form a name has, and whoever stores it during the put.
#[tokio::test]
async fn if_absent_never_replaces() {
    let (client, store) = client().await;
    for name in ["a.zip", "a.bin"] {
        client.put(uri(name), version(0)).if_absent().await.unwrap();
        for again in [client.put(uri(name), version(1)), client.put(uri(name), "x").without_delta()]
        {
            let error = again.if_absent().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{name}");
        }
        assert!(content(&client, name).await == version(0));
    }
    for name in ["b.zip", "b.bin"] {
        let other = client.clone();
        let act = async move {
            other.put(uri(name), version(2)).await.unwrap();
        };
        let moment = |_: &[String], call: &str| call.starts_with("put b.");
        let racing = client_of(ScriptedStore::at(&store, moment, act)).await;
        let error = racing.put(uri(name), version(3)).if_absent().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{name}");
        assert!(content(&client, name).await == version(2), "{name}");
    }
}

/// One of many concurrent puts of a name succeeds.
#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_puts_succeeds() {
    let (client, _) = client().await;
    let puts = (0..16).map(|n| client.put(uri("a.bin"), n.to_string()).if_absent().into_future());
    let ended = futures::future::join_all(puts.map(tokio::spawn)).await;
    let ended: Vec<_> = ended.into_iter().map(Result::unwrap).collect();
    assert_eq!(ended.iter().filter(|put| put.is_ok()).count(), 1);
    let failed = ended.iter().filter_map(|put| put.as_ref().err());
    assert!(failed.into_iter().all(|error| error.kind() == ErrorKind::AlreadyExists));
}

async fn listed(items: deltaglider::client::ListFiles) -> Vec<String> {
    let items: Vec<_> = items.try_collect().await.unwrap();
    let name = |item| match item {
        ListItem::File(file) => file.object.key.to_string(),
        ListItem::Prefix(prefix) => prefix,
        _ => unreachable!(),
    };
    items.into_iter().map(name).collect()
}

/// Deltas, plain files, names that are prefixes of each other, and reserved names.
#[tokio::test]
async fn listings_match_naive_ones() {
    let (client, _) = client().await;
    let names = [
        "a.zip",
        "a.zip-1",
        "a.zip.b",
        "a.bin",
        "a/b.zip",
        "a/b/c.bin",
        "b.zip.delta.bin",
        "z",
        "reference.bin",
        "a/reference.bin",
    ];
    for name in names {
        client.put(uri(name), version(1)).await.unwrap();
    }
    for prefix in ["", "a", "a/", "a.zip", "q"] {
        for after in ["", "a", "a.zip", "a.zip-1", "a/b.zip", "reference.bin", "zz"] {
            let all = listed(client.list(uri(prefix)).start_after(after)).await;
            let expected: BTreeSet<&str> =
                names.into_iter().filter(|n| n.starts_with(prefix) && *n > after).collect();
            let actual: BTreeSet<&str> = all.iter().map(String::as_str).collect();
            assert_eq!((actual, all.len()), (expected.clone(), expected.len()), "{prefix} {after}");
            let some = listed(client.list(uri(prefix)).start_after(after).limit(3)).await;
            assert_eq!(some, all[..all.len().min(3)]);
        }
    }
    let mut top = listed(client.list("s3://bucket").delimiter("/").start_after("a.zip")).await;
    top.sort();
    assert_eq!(top, ["a.zip-1", "a.zip.b", "a/", "b.zip.delta.bin", "reference.bin", "z"]);
    assert!(client.list("s3://absent-bucket").try_next().await.is_err());
}

#[tokio::test]
async fn deletes_are_idempotent_and_counted() {
    let (client, _) = client().await;
    for name in ["a-1.zip", "a-2.zip", "b/c.bin", "b/d.bin"] {
        client.put(uri(name), version(0)).await.unwrap();
    }
    assert!(client.delete(uri("a-1.zip")).await.unwrap().existed());
    assert!(!client.delete(uri("a-1.zip")).await.unwrap().existed());
    let summary = client.delete_many([uri("a-1.zip"), uri("a-2.zip")]).await.unwrap();
    assert_eq!(summary.deleted, 2);
    let error = client.delete_many([uri("b/c.bin"), uri("")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incomplete);
    let summary = error.summary().unwrap();
    assert_eq!((summary.deleted, summary.failures.len()), (1, 1));
    assert_eq!(summary.failures[0].kind(), ErrorKind::InvalidInput);
    assert_eq!(client.delete_prefix(uri("b/")).await.unwrap().deleted, 1);
    assert!(listed(client.list("s3://bucket")).await.is_empty());
    assert!(client.repair("bucket").await.unwrap().findings.is_empty());
    client.remove_bucket("bucket").await.unwrap();
}

#[tokio::test]
async fn copy_and_rename_keep_content() {
    let (client, _) = client().await;
    client.create_bucket("other-bucket").await.unwrap();
    client.put(uri("a.zip"), version(0)).metadata("k", "v").await.unwrap();
    client.copy(uri("a.zip"), "s3://other-bucket/x/b.zip").await.unwrap();
    let stored = client.rename(uri("a.zip"), uri("c/d.zip")).await.unwrap();
    assert_eq!(stored.object.to_string(), uri("c/d.zip"));
    assert_eq!(listed(client.list("s3://bucket")).await, ["c/d.zip"]);
    let copy = client.head("s3://other-bucket/x/b.zip").await.unwrap();
    assert_eq!((copy.size, &*copy.attributes.metadata["k"]), (version(0).len() as u64, "v"));
    let error = client.copy(uri("c/d.zip"), uri("c/d.zip")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = client.rename(uri("absent"), uri("e")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// A source that is replaced during a rename stays.
#[tokio::test]
async fn rename_keeps_newer_source() {
    let (client, store) = client().await;
    client.put(uri("a.bin"), "old").await.unwrap();
    let other = client.clone();
    let act = async move {
        other.put(uri("a.bin"), "new").await.unwrap();
    };
    let moment = |calls: &[String], call: &str| {
        call == "head a.bin" && calls.iter().any(|call| call.starts_with("copy"))
    };
    let scripted = ScriptedStore::at(&store, moment, act);
    let renaming = client_of(scripted.clone()).await;
    let error = renaming.rename(uri("a.bin"), uri("b.bin")).await.unwrap_err();
    assert!(scripted.happened(), "{:?}", scripted.calls());
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.is_retryable());
    assert_eq!(content(&client, "a.bin").await, b"new");
}

/// An analysis states the bytes that the put then stores, and stores no file.
#[tokio::test]
async fn analysis_is_what_put_does() {
    let (client, _) = client().await;
    let nothing = client.analyze(version(0), uri("a-1.zip")).await.unwrap();
    assert_eq!((nothing.delta, nothing.candidates.len()), (None, 0));
    client.put(uri("a-1.zip"), version(0)).await.unwrap();
    let analysis = client.analyze(version(1), uri("a-2.zip")).await.unwrap();
    assert!(analysis.candidates[0].share.unwrap() > 0.8);
    assert_eq!(listed(client.list("s3://bucket")).await, ["a-1.zip"]);
    let stored = client.put(uri("a-2.zip"), version(1)).await.unwrap();
    assert_eq!((analysis.delta, Some(analysis.sha256)), (Some(stored.stored), stored.sha256));
    let unlike = crate::support::noise(600_000, 99);
    let analysis = client.analyze(unlike.clone(), uri("b-1.zip")).await.unwrap();
    assert_eq!((analysis.delta, analysis.candidates[0].share), (None, Some(0.0)));
    // The second version of another file becomes a reference of its own, and comes first.
    client.put(uri("b-1.zip"), unlike.clone()).await.unwrap();
    client.put(uri("b-2.zip"), edited(&unlike, 1)).await.unwrap();
    let similar = client.similar(unlike, uri("b-3.zip")).await.unwrap();
    assert_eq!(similar.len(), 2);
    assert!(similar[0].share > similar[1].share, "{similar:?}");
    let analysis = client.analyze(version(2), uri("c.txt")).await.unwrap();
    assert!(!analysis.is_covered && analysis.delta.is_some());
}

#[tokio::test]
async fn rehydrated_copy_is_purged() {
    let (client, _) = client().await;
    client.put(uri("a.zip"), version(0)).await.unwrap();
    client.put(uri("a.bin"), "plain").await.unwrap();
    let lifetime = std::time::Duration::from_secs(1);
    let copy = client.rehydrate(uri("a.zip")).expires_in(lifetime).await.unwrap();
    let bytes = client.get(&copy).raw().await.unwrap().bytes().await.unwrap();
    assert!(bytes == version(0));
    assert_eq!(client.rehydrate(uri("a.bin")).await.unwrap().to_string(), uri("a.bin"));
    tokio::time::sleep(lifetime * 2).await;
    let planned = client.purge("bucket").dry_run().await.unwrap();
    let purged = client.purge("bucket").await.unwrap();
    assert_eq!((&planned.removed, &purged.removed), (&vec![copy], &planned.removed));
    assert_eq!(client.purge("bucket").await.unwrap().expired, 0);
}

/// The next read of a delta fetches its reference again, and a read in progress goes on.
#[tokio::test]
async fn cleared_cache_is_empty() {
    let (client, store) = client().await;
    let scripted = ScriptedStore::nothing(&store);
    let cached = DeltaGlider::builder()
        .store(scripted.clone())
        .cache(deltaglider::Cache::memory(64 << 20))
        .build()
        .await
        .unwrap();
    client.put(uri("a-1.zip"), version(0)).await.unwrap();
    client.put(uri("a-2.zip"), version(1)).await.unwrap();
    let fetches = || scripted.calls().iter().filter(|call| *call == "get reference.bin").count();
    content(&cached, "a-2.zip").await;
    content(&cached, "a-2.zip").await;
    assert_eq!(fetches(), 1);
    let reading = cached.get(uri("a-2.zip")).await.unwrap();
    cached.clear_cache().await.unwrap();
    assert!(reading.bytes().await.unwrap() == version(1));
    assert!(content(&cached, "a-2.zip").await == version(1));
    assert_eq!(fetches(), 2);
}
