//! Checks of copies inside the store.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::BucketName;
use crate::storage::{Attributes, CopyOptions, ETag, PutBody, PutCondition, StorageErrorKind};

use super::objects::{attributes, content};
use super::stage::{Stage, refused};
use super::{Failure, Outcome, holds, same};

async fn copy(
    stage: &Stage<'_>,
    from: &str,
    to: &str,
    if_match: Option<&ETag>,
) -> Result<ETag, Failure> {
    let options = CopyOptions { if_match: if_match.cloned(), ..CopyOptions::default() };
    Ok(stage.store.copy(&stage.object(from)?, &stage.object(to)?, &options).await?)
}

pub(super) async fn copy_equals_its_source(stage: &Stage<'_>) -> Outcome {
    for len in [0, 1, (3 << 20) + 17] {
        let (bytes, from, to) = (content(len, 1), stage.object("from")?, stage.object("to")?);
        stage
            .store
            .put(
                &from,
                PutBody::from_bytes(bytes.clone()),
                &attributes(),
                &PutCondition::None.into(),
            )
            .await?;
        let source = stage.store.head(&from).await?;
        let etag = copy(stage, "from", "to", None).await?;
        let head = stage.store.head(&to).await?;
        same("size", head.size, len as u64)?;
        same("tag", &head.etag, &etag)?;
        same("attributes", &head.attributes, &attributes())?;
        // The clocks of stores may have whole seconds.
        holds("it was written after its source", head.last_modified >= source.last_modified)?;
        holds(&format!("{len} bytes were copied"), stage.read("to").await? == bytes)?;
        holds("the source stayed", stage.read("from").await? == bytes)?;
        stage.store.delete(&from, None).await?;
        holds("the copy is independent of its source", stage.read("to").await? == bytes)?;
    }
    // The delay is long enough for whole seconds: the time of a copy is that of the copying.
    stage.put("from", "old").await?;
    let written = stage.store.head(&stage.object("from")?).await?.last_modified;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    copy(stage, "from", "to", None).await?;
    let copied = stage.store.head(&stage.object("to")?).await?.last_modified;
    holds("a copy has a time of its own", copied > written)
}

pub(super) async fn a_copy_replaces_what_was_there(stage: &Stage<'_>) -> Outcome {
    let to = stage.object("to")?;
    stage
        .store
        .put(
            &to,
            PutBody::from_bytes("a longer version before"),
            &attributes(),
            &PutCondition::None.into(),
        )
        .await?;
    let other = Attributes {
        metadata: [("other".to_owned(), "2".to_owned())].into(),
        ..Attributes::default()
    };
    stage
        .store
        .put(&stage.object("from")?, PutBody::from_bytes("new"), &other, &PutCondition::None.into())
        .await?;
    let etag = copy(stage, "from", "to", None).await?;
    same("content", stage.read("to").await?, b"new".to_vec())?;
    let head = stage.store.head(&to).await?;
    same("tag", head.etag, etag)?;
    same("metadata", head.attributes.metadata, other.metadata)?;
    same("Cache-Control", head.attributes.cache_control, None)?;
    stage.lists(&Default::default(), &["from", "to"], &[]).await
}

pub(super) async fn a_copy_goes_to_another_bucket(stage: &Stage<'_>) -> Outcome {
    let other = Stage { bucket: BucketName::new("dg-another-bucket-for-copies")?, ..*stage };
    match stage.store.create_bucket(&other.bucket).await {
        // Left by an interrupted run.
        Err(error) if error.kind == StorageErrorKind::AlreadyExists => {}
        made => made?,
    }
    stage.put("k", "content").await?;
    stage.store.copy(&stage.object("k")?, &other.object("k")?, &CopyOptions::default()).await?;
    let read = other.read("k").await;
    other.clear().await?;
    same("the copy", read?, b"content".to_vec())?;
    same("the source", stage.read("k").await?, b"content".to_vec())
}

pub(super) async fn a_copy_of_nothing_is_refused(stage: &Stage<'_>) -> Outcome {
    stage.put("to", "intact").await?;
    let (from, to) = (stage.object("from")?, stage.object("to")?);
    refused(
        "a copy of nothing",
        stage.store.copy(&from, &to, &CopyOptions::default()).await,
        StorageErrorKind::NotFound,
    )?;
    let etag = stage.store.head(&to).await?.etag;
    let conditional = stage.store.copy(&from, &to, &CopyOptions::from(&etag)).await;
    refused("a copy of nothing under a condition", conditional, StorageErrorKind::NotFound)?;
    same("what was there", stage.read("to").await?, b"intact".to_vec())
}

pub(super) async fn copy_needs_both_buckets(stage: &Stage<'_>) -> Outcome {
    stage.put("k", "content").await?;
    let absent = Stage { bucket: BucketName::new("dg-there-is-no-such-bucket")?, ..*stage };
    let (here, there) = (stage.object("k")?, absent.object("k")?);
    let missing = StorageErrorKind::NoSuchBucket;
    refused(
        "a copy from a missing bucket",
        stage.store.copy(&there, &here, &CopyOptions::default()).await,
        missing,
    )?;
    refused(
        "a copy to a missing bucket",
        stage.store.copy(&here, &there, &CopyOptions::default()).await,
        missing,
    )?;
    same("the object", stage.read("k").await?, b"content".to_vec())
}

pub(super) async fn copy_if_match_checks_source(stage: &Stage<'_>) -> Outcome {
    let first = stage.put("from", "first").await?;
    copy(stage, "from", "to", Some(&first)).await?;
    same("the copy", stage.read("to").await?, b"first".to_vec())?;
    let second = stage.put("from", "second").await?;
    let late = stage
        .store
        .copy(&stage.object("from")?, &stage.object("to")?, &CopyOptions::from(&first))
        .await;
    refused("a copy of what was replaced", late, StorageErrorKind::Precondition)?;
    same("the copy before", stage.read("to").await?, b"first".to_vec())?;
    copy(stage, "from", "to", Some(&second)).await?;
    same("the next copy", stage.read("to").await?, b"second".to_vec())
}

pub(super) async fn a_copy_onto_itself_is_refused(stage: &Stage<'_>) -> Outcome {
    let etag = stage.put("k", "content").await?;
    let object = stage.object("k")?;
    for options in [CopyOptions::default(), CopyOptions::from(&etag)] {
        let onto_itself = stage.store.copy(&object, &object, &options).await;
        refused("a copy onto itself", onto_itself, StorageErrorKind::Invalid)?;
    }
    same("content", stage.read("k").await?, b"content".to_vec())?;
    same("tag", stage.store.head(&object).await?.etag, etag)
}

pub(super) async fn self_copy_changes_attributes(stage: &Stage<'_>) -> Outcome {
    let old = stage.put("k", "content").await?;
    let object = stage.object("k")?;
    let metadata = BTreeMap::from([("name".to_owned(), "value".to_owned())]);
    let attributes = Some(Attributes { metadata: metadata.clone(), ..Attributes::default() });
    let wrong = CopyOptions {
        if_match: Some(ETag("wrong".into())),
        attributes: attributes.clone(),
        newer_than: None,
    };
    let refusal = stage.store.copy(&object, &object, &wrong).await;
    refused("a copy of another version", refusal, StorageErrorKind::Precondition)?;
    let options = CopyOptions { if_match: Some(old), attributes, newer_than: None };
    let tag = stage.store.copy(&object, &object, &options).await?;
    let head = stage.store.head(&object).await?;
    same("content", stage.read("k").await?, b"content".to_vec())?;
    same("metadata", head.attributes.metadata, metadata)?;
    same("tag", head.etag, tag)
}
