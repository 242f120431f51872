//! Checks of objects: content, attributes, ranges.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use futures::TryStreamExt as _;

use crate::storage::{Attributes, PutBody, PutCondition, StorageErrorKind};

use super::stage::{Stage, refused};
use super::{Failure, Outcome, holds, same};

/// Returns `len` bytes without a pattern that a store could reproduce by chance.
pub(super) fn content(len: usize, seed: u8) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32 ^ u32::from(seed);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(&mut next).take(len).collect()
}

pub(super) async fn object_content_round_trips(stage: &Stage<'_>) -> Outcome {
    for len in [0, 1, 4095, 4096, 65_537, (3 << 20) + 17] {
        let bytes = content(len, 1);
        stage.put("k", bytes.clone()).await?;
        holds(&format!("{len} bytes come back"), stage.read("k").await? == bytes)?;
    }
    Ok(())
}

pub(super) async fn head_reports_size_tag_and_time(stage: &Stage<'_>) -> Outcome {
    let before = SystemTime::now();
    let etag = stage.put("k", "12345").await?;
    let head = stage.store.head(&stage.object("k")?).await?;
    same("size", head.size, 5)?;
    same("tag", &head.etag, &etag)?;
    holds("the tag is not quoted and not empty", !etag.0.is_empty() && !etag.0.contains('"'))?;
    // Whole seconds of another machine's clock: only the order of magnitude can be checked.
    let slack = Duration::from_secs(3600);
    holds(
        "it was written now",
        head.last_modified + slack > before && head.last_modified < before + slack,
    )?;
    let body = stage.store.get(&stage.object("k")?, Some(1..2)).await?;
    same("the head that comes with a range", body.head, head)
}

/// Returns every header, each with a value of its own.
pub(super) fn attributes() -> Attributes {
    let metadata =
        [("dg-tool", "deltaglider/6.1.1"), ("dg-note", "a b;c=\"d\", %20+~"), ("x", "1")];
    Attributes {
        metadata: metadata.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        content_type: Some("application/zip".to_owned()),
        cache_control: Some("max-age=60, private".to_owned()),
        content_disposition: Some("attachment; filename=\"a b.zip\"".to_owned()),
        content_encoding: Some("identity".to_owned()),
        content_language: Some("en, de".to_owned()),
        expires: Some("Wed, 21 Oct 2026 07:28:00 GMT".to_owned()),
        ..Attributes::default()
    }
}

async fn put_with(stage: &Stage<'_>, attributes: &Attributes) -> Outcome {
    let body = PutBody::from_bytes("content");
    stage.store.put(&stage.object("k")?, body, attributes, &PutCondition::None.into()).await?;
    Ok(())
}

pub(super) async fn attributes_come_back(stage: &Stage<'_>) -> Outcome {
    put_with(stage, &attributes()).await?;
    let object = stage.object("k")?;
    same("attributes by head", stage.store.head(&object).await?.attributes, attributes())?;
    same("attributes by get", stage.store.get(&object, None).await?.head.attributes, attributes())
}

pub(super) async fn attributes_are_per_version(stage: &Stage<'_>) -> Outcome {
    put_with(stage, &attributes()).await?;
    let other = Attributes {
        metadata: [("other".to_owned(), "2".to_owned())].into(),
        ..Attributes::default()
    };
    put_with(stage, &other).await?;
    let got = stage.store.head(&stage.object("k")?).await?.attributes;
    // Stores may answer a default type, but nothing of the previous version.
    same("metadata", &got.metadata, &other.metadata)?;
    holds("the old type is gone", got.content_type.as_deref() != Some("application/zip"))?;
    same("Cache-Control", got.cache_control, None)?;
    same("Content-Disposition", got.content_disposition, None)?;
    same("Expires", got.expires, None)
}

fn metadata_of(bytes: usize) -> Attributes {
    let one = |n: usize, len: usize| (format!("name-{n}"), "v".repeat(len - 6));
    let metadata: BTreeMap<_, _> =
        (0..4).map(|n| one(n, if n == 0 { bytes - 3 * 500 } else { 500 })).collect();
    Attributes { metadata, ..Attributes::default() }
}

pub(super) async fn metadata_of_2_kib_is_taken(stage: &Stage<'_>) -> Outcome {
    // Stores that also count the `x-amz-meta-` of each name must accept this: 4 names of 11 more
    // bytes.
    let attributes = metadata_of(2048 - 44);
    put_with(stage, &attributes).await?;
    same(
        "metadata",
        stage.store.head(&stage.object("k")?).await?.attributes.metadata,
        attributes.metadata,
    )
}

pub(super) async fn metadata_over_2_kib_is_refused(stage: &Stage<'_>) -> Outcome {
    let object = stage.object("k")?;
    let body = PutBody::from_bytes("x");
    let put = stage.store.put(&object, body, &metadata_of(2049), &PutCondition::None.into()).await;
    refused("metadata of 2049 bytes", put, StorageErrorKind::Invalid)?;
    refused("the object afterwards", stage.store.head(&object).await, StorageErrorKind::NotFound)
}

pub(super) async fn overwrite_replaces_content(stage: &Stage<'_>) -> Outcome {
    let first = stage.put("k", "a longer first version").await?;
    let second = stage.put("k", "second").await?;
    holds("another content has another tag", first != second)?;
    same("content", stage.read("k").await?, b"second".to_vec())?;
    same("tag", stage.store.head(&stage.object("k")?).await?.etag, second)
}

pub(super) async fn a_deleted_object_is_gone(stage: &Stage<'_>) -> Outcome {
    stage.put_all(["a", "a/b", "c"]).await?;
    let object = stage.object("a")?;
    stage.store.delete(&object, None).await?;
    refused("head", stage.store.head(&object).await, StorageErrorKind::NotFound)?;
    refused("get", stage.store.get(&object, None).await, StorageErrorKind::NotFound)?;
    stage.lists(&Default::default(), &["a/b", "c"], &[]).await?;
    // As on S3, deleting an absent object succeeds.
    stage.store.delete(&object, None).await?;
    stage.put("a", "again").await?;
    same("content of the new one", stage.read("a").await?, b"again".to_vec())
}

async fn read_range(stage: &Stage<'_>, start: u64, end: u64) -> Result<Vec<u8>, Failure> {
    let body = stage.store.get(&stage.object("k")?, Some(start..end)).await?;
    Ok(body.stream.map_ok(|piece| piece.to_vec()).try_concat().await?)
}

pub(super) async fn ranges_are_cut_at_the_end(stage: &Stage<'_>) -> Outcome {
    let bytes = content((2 << 20) + 5, 2);
    let len = bytes.len() as u64;
    stage.put("k", bytes.clone()).await?;
    for (start, end) in [
        (0, 1),
        (0, len),
        (1, 3),
        (len - 1, len),
        (7, (1 << 20) + 9),
        (len - 4, len + 100),
        (0, 1 << 40),
    ] {
        let expected = bytes.get(start as usize..end.min(len) as usize).unwrap_or_default();
        holds(
            &format!("bytes {start}..{end} are those"),
            read_range(stage, start, end).await? == expected,
        )?;
    }
    let head = stage.store.get(&stage.object("k")?, Some(3..4)).await?.head;
    same("the size reported with a range is the whole", head.size, len)
}

pub(super) async fn range_beyond_end_is_refused(stage: &Stage<'_>) -> Outcome {
    stage.put("k", "12345").await?;
    for start in [5, 6, 1 << 40] {
        let get = stage.store.get(&stage.object("k")?, Some(start..start + 1)).await;
        refused(&format!("a range from {start}"), get, StorageErrorKind::InvalidRange)?;
    }
    Ok(())
}

pub(super) async fn an_empty_object_has_no_range(stage: &Stage<'_>) -> Outcome {
    stage.put("k", "").await?;
    same("content", stage.read("k").await?, Vec::new())?;
    let get = stage.store.get(&stage.object("k")?, Some(0..1)).await;
    refused("its first byte", get, StorageErrorKind::InvalidRange)
}
