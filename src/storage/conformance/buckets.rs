//! Checks of buckets: created, listed, deleted, and distinguished from missing keys.

use crate::domain::{BucketName, Key};
use crate::storage::{ETag, ListRequest, ListedBucket, PutCondition, StorageErrorKind};

use super::stage::{Stage, refused};
use super::{Failure, Outcome, holds, same};

const ABSENT: &str = "dg-there-is-no-such-bucket";

async fn names(stage: &Stage<'_>) -> Result<Vec<BucketName>, Failure> {
    Ok(stage
        .store
        .list_buckets()
        .await?
        .into_iter()
        .map(|ListedBucket { name, .. }| name)
        .collect())
}

pub(super) async fn bucket_is_created_and_deleted(stage: &Stage<'_>) -> Outcome {
    let listed = names(stage).await?;
    holds("a bucket that was made is listed", listed.contains(&stage.bucket))?;
    holds("buckets are listed by name", listed.is_sorted())?;
    stage.store.delete_bucket(&stage.bucket).await?;
    holds("a bucket that was removed is not listed", !names(stage).await?.contains(&stage.bucket))?;
    let again = stage.store.delete_bucket(&stage.bucket).await;
    refused("removing it again", again, StorageErrorKind::NoSuchBucket)?;
    let list = stage.store.list(&stage.bucket, &ListRequest::default()).await;
    refused("listing a removed bucket", list, StorageErrorKind::NoSuchBucket)?;
    stage.store.create_bucket(&stage.bucket).await?;
    stage.lists(&ListRequest::default(), &[], &[]).await
}

pub(super) async fn a_bucket_is_made_once(stage: &Stage<'_>) -> Outcome {
    stage.put("k", "kept").await?;
    let again = stage.store.create_bucket(&stage.bucket).await;
    refused("making it again", again, StorageErrorKind::AlreadyExists)?;
    same("its object afterwards", stage.read("k").await?, b"kept".to_vec())
}

pub(super) async fn a_bucket_with_an_object_stays(stage: &Stage<'_>) -> Outcome {
    stage.put("a/b", "kept").await?;
    let removed = stage.store.delete_bucket(&stage.bucket).await;
    refused("removing a bucket with an object", removed, StorageErrorKind::NotEmpty)?;
    same("its object afterwards", stage.read("a/b").await?, b"kept".to_vec())?;
    stage.store.delete(&stage.object("a/b")?, None).await?;
    stage.store.delete_bucket(&stage.bucket).await?;
    Ok(())
}

/// Checks that a store whose tags identify writes can delete a bucket together with its objects,
/// and that another store refuses to.
pub(super) async fn bucket_is_deleted_with_objects(stage: &Stage<'_>) -> Outcome {
    let mut held = Vec::new();
    for key in ["a", "b/c", &"K".repeat(100)] {
        held.push((Key::new(key)?, stage.put(key, "kept").await?));
    }
    let delete =
        async |held: &[(Key, ETag)]| stage.store.delete_bucket_holding(&stage.bucket, held).await;
    if !stage.store.tags_name_writes() {
        refused("a bucket with its objects", delete(&held).await, StorageErrorKind::Invalid)?;
        return same("an object afterwards", stage.read("a").await?, b"kept".to_vec());
    }
    let not_empty = StorageErrorKind::NotEmpty;
    refused("a bucket that holds more", delete(&held[1..]).await, not_empty)?;
    let more = [held.clone(), vec![(Key::new("z")?, held[0].1.clone())]].concat();
    refused("a bucket that holds less", delete(&more).await, not_empty)?;
    let before = std::mem::replace(&mut held[0].1, stage.put("a", "kept").await?);
    let late = [vec![(Key::new("a")?, before)], held[1..].to_vec()].concat();
    refused("a bucket whose object was written again", delete(&late).await, not_empty)?;
    for key in ["a", "b/c"] {
        same("an object afterwards", stage.read(key).await?, b"kept".to_vec())?;
    }
    held.reverse();
    delete(&held).await?;
    holds("the bucket is gone", !names(stage).await?.contains(&stage.bucket))?;
    refused("deleting it again", delete(&held).await, StorageErrorKind::NoSuchBucket)?;
    stage.store.create_bucket(&stage.bucket).await?;
    stage.lists(&ListRequest::default(), &[], &[]).await
}

pub(super) async fn missing_bucket_is_reported(stage: &Stage<'_>) -> Outcome {
    let get = stage.store.get(&stage.object("k")?, None).await;
    refused("get of a missing key", get, StorageErrorKind::NotFound)?;
    let absent = Stage { bucket: BucketName::new(ABSENT)?, ..*stage };
    let object = absent.object("k")?;
    let missing = StorageErrorKind::NoSuchBucket;
    refused("get from a missing bucket", stage.store.get(&object, None).await, missing)?;
    refused("delete in a missing bucket", stage.store.delete(&object, None).await, missing)?;
    refused(
        "put into a missing bucket",
        absent.put_if("k", "x", &PutCondition::None).await?,
        missing,
    )?;
    refused(
        "create in a missing bucket",
        absent.put_if("k", "x", &PutCondition::IfAbsent).await?,
        missing,
    )?;
    let condition = PutCondition::IfMatch(ETag("0".repeat(32)));
    refused(
        "replacement in a missing bucket",
        absent.put_if("k", "x", &condition).await?,
        missing,
    )?;
    let list = stage.store.list(&absent.bucket, &ListRequest::default()).await;
    refused("list of a missing bucket", list, missing)?;
    refused("removing a missing bucket", stage.store.delete_bucket(&absent.bucket).await, missing)
}

/// Checks HEAD apart, since its answer has no body: an S3 client must send another request.
pub(super) async fn head_reports_a_missing_bucket(stage: &Stage<'_>) -> Outcome {
    let head = stage.store.head(&stage.object("k")?).await;
    refused("head of a missing key", head, StorageErrorKind::NotFound)?;
    let absent = Stage { bucket: BucketName::new(ABSENT)?, ..*stage };
    let head = stage.store.head(&absent.object("k")?).await;
    refused("head in a missing bucket", head, StorageErrorKind::NoSuchBucket)
}
