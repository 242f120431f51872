//! Checks of conditional writes, sequential and concurrent.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use futures::future::join_all;

use crate::domain::Sha256Digest;
use crate::storage::{
    Attributes, CopyOptions, ETag, ListRequest, PutBody, PutCondition, PutOptions, StorageErrorKind,
};

use super::stage::{Stage, refused};
use super::{Failure, Outcome, holds, same};

/// The number of concurrent writers; enough for several winners on a store that checks first and
/// writes later.
const RACERS: usize = 16;
/// The number of rounds: races are won by chance, so one round proves little.
const MAX_ATTEMPTS: usize = 4;

pub(super) async fn if_absent_creates_once(stage: &Stage<'_>) -> Outcome {
    let etag = stage.put_if("k", "first", &PutCondition::IfAbsent).await??;
    let again = stage.put_if("k", "second", &PutCondition::IfAbsent).await?;
    refused("creating it again", again, StorageErrorKind::AlreadyExists)?;
    let same_content = stage.put_if("k", "first", &PutCondition::IfAbsent).await?;
    refused(
        "creating it again with the same content",
        same_content,
        StorageErrorKind::AlreadyExists,
    )?;
    same("content", stage.read("k").await?, b"first".to_vec())?;
    same("tag", stage.store.head(&stage.object("k")?).await?.etag, etag)?;
    stage.put_if("k/below", "x", &PutCondition::IfAbsent).await??;
    stage.store.delete(&stage.object("k")?, None).await?;
    stage.put_if("k", "third", &PutCondition::IfAbsent).await??;
    same("content of the new one", stage.read("k").await?, b"third".to_vec())
}

pub(super) async fn if_match_replaces_its_version(stage: &Stage<'_>) -> Outcome {
    let first = stage.put("k", "first").await?;
    let second = stage.put_if("k", "second", &PutCondition::IfMatch(first.clone())).await??;
    let late = stage.put_if("k", "late", &PutCondition::IfMatch(first)).await?;
    refused("replacing what was replaced", late, StorageErrorKind::Precondition)?;
    same("content", stage.read("k").await?, b"second".to_vec())?;
    same("tag", stage.store.head(&stage.object("k")?).await?.etag, second)
}

pub(super) async fn if_match_needs_an_object(stage: &Stage<'_>) -> Outcome {
    let etag = stage.put("k", "first").await?;
    stage.store.delete(&stage.object("k")?, None).await?;
    let put = stage.put_if("k", "second", &PutCondition::IfMatch(etag)).await?;
    refused("replacing what was deleted", put, StorageErrorKind::Precondition)?;
    refused(
        "it afterwards",
        stage.store.head(&stage.object("k")?).await,
        StorageErrorKind::NotFound,
    )
}

pub(super) async fn delete_if_match_checks_the_tag(stage: &Stage<'_>) -> Outcome {
    let object = stage.object("k")?;
    let first = stage.put("k", "first").await?;
    let second = stage.put("k", "second").await?;
    let late = stage.store.delete(&object, Some(&first)).await;
    refused("deleting what was replaced", late, StorageErrorKind::Precondition)?;
    same("content", stage.read("k").await?, b"second".to_vec())?;
    stage.store.delete(&object, Some(&second)).await?;
    let again = stage.store.delete(&object, Some(&second)).await;
    refused("deleting what was deleted", again, StorageErrorKind::Precondition)?;
    refused("it afterwards", stage.store.head(&object).await, StorageErrorKind::NotFound)
}

/// Checks entity tags. Where tags identify writes, no tag recurs with the same content, not even in
/// a copy; elsewhere the same content has the same tag.
pub(super) async fn tags_name_what_they_say(stage: &Stage<'_>) -> Outcome {
    let (object, copy) = (stage.object("k")?, stage.object("copy")?);
    let first = stage.put("k", "content").await?;
    stage.store.copy(&object, &copy, &CopyOptions::default()).await?;
    let second = stage.put("k", "content").await?;
    stage.store.delete(&object, None).await?;
    let third = stage.put("k", "content").await?;
    let digest = Sha256Digest::of(b"content");
    let named = stage.store.head(&object).await?.sha256;
    if !stage.store.tags_name_writes() {
        same("the tag of the same content", &third, &first)?;
        return holds(
            "a digest that is given is the content's",
            named.is_none_or(|named| named == digest),
        );
    }
    same("the digest of the content", named, Some(digest))?;
    same("the digest of the copy", stage.store.head(&copy).await?.sha256, Some(digest))?;
    let copied = stage.store.head(&copy).await?.etag;
    let tags = HashSet::from([&first, &second, &third, &copied]);
    same("tags of four writes", tags.len(), 4)?;
    for tag in [&first, &second, &third, &copied] {
        holds("a tag is no MD5", tag.0.len() != 32)?;
    }
    for old in [first, second] {
        let late = stage.store.delete(&object, Some(&old)).await;
        refused(
            "deleting an older write of the same content",
            late,
            StorageErrorKind::Precondition,
        )?;
        let late = stage.put_if("k", "late", &PutCondition::IfMatch(old)).await?;
        refused(
            "replacing an older write of the same content",
            late,
            StorageErrorKind::Precondition,
        )?;
    }
    stage.store.delete(&object, Some(&third)).await?;
    Ok(())
}

/// Checks that a store which dates objects itself dates a new one after the one it replaces.
pub(super) async fn newer_than_dates_the_object(stage: &Stage<'_>) -> Outcome {
    if !stage.store.tags_name_writes() {
        return Ok(());
    }
    let replaced = SystemTime::now() + Duration::from_secs(3600);
    let options = PutOptions { newer_than: Some(replaced), ..PutOptions::default() };
    let object = stage.object("k")?;
    stage.store.put(&object, PutBody::from_bytes("new"), &Attributes::default(), &options).await?;
    let dated = stage.store.head(&object).await?.last_modified;
    holds("it is dated after what it replaces", dated > replaced)?;
    stage.put("k", "newer").await?;
    let again = stage.store.head(&object).await?.last_modified;
    holds("a later write in place is dated later", again > dated)?;
    stage.put("source", "copied").await?;
    let options = CopyOptions { newer_than: Some(again), ..CopyOptions::default() };
    let copy = stage.object("copy")?;
    stage.store.copy(&stage.object("source")?, &copy, &options).await?;
    let copied = stage.store.head(&copy).await?.last_modified;
    holds("a copy is dated after what it replaces", copied > again)?;
    stage.store.delete(&copy, None).await?;
    let listed = stage.store.list(&stage.bucket, &ListRequest::default()).await?;
    same(
        "the time in a listing",
        listed.objects.first().map(|object| object.last_modified),
        Some(again),
    )
}

/// Runs all writers at once, each with its own content; requires one winner, whose content is
/// stored, and the error `loss` for the other ones.
async fn race(
    stage: &Stage<'_>,
    key: &str,
    condition: &PutCondition,
    loss: StorageErrorKind,
) -> Result<ETag, Failure> {
    let racers =
        (0..RACERS).map(|racer| stage.put_if(key, format!("racer {racer}").repeat(500), condition));
    let mut winners = Vec::new();
    for (racer, outcome) in join_all(racers).await.into_iter().enumerate() {
        match outcome? {
            Ok(etag) => winners.push((racer, etag)),
            lost => refused(&format!("racer {racer} that lost"), lost, loss)?,
        }
    }
    same("winners", winners.len(), 1)?;
    let (winner, etag) = winners.pop().ok_or_else(|| Failure("no winner".to_owned()))?;
    let expected = format!("racer {winner}").repeat(500).into_bytes();
    holds("the content is the winner's", stage.read(key).await? == expected)?;
    same("tag", &stage.store.head(&stage.object(key)?).await?.etag, &etag)?;
    Ok(etag)
}

pub(super) async fn racing_creates_have_one_winner(stage: &Stage<'_>) -> Outcome {
    for round in 0..MAX_ATTEMPTS {
        let key = format!("folder {round}/reference.bin");
        race(stage, &key, &PutCondition::IfAbsent, StorageErrorKind::AlreadyExists).await?;
    }
    Ok(())
}

pub(super) async fn racing_updates_have_one_winner(stage: &Stage<'_>) -> Outcome {
    let mut etag = stage.put("k", "start").await?;
    for round in 0..MAX_ATTEMPTS {
        etag =
            race(stage, "k", &PutCondition::IfMatch(etag), StorageErrorKind::Precondition).await?;
        etag = stage.put_if("k", format!("round {round}"), &PutCondition::IfMatch(etag)).await??;
    }
    Ok(())
}

pub(super) async fn racing_put_and_delete_one_wins(stage: &Stage<'_>) -> Outcome {
    let object = stage.object("k")?;
    for round in 0..RACERS {
        let etag = stage.put("k", format!("round {round}")).await?;
        let condition = PutCondition::IfMatch(etag.clone());
        let replace = stage.put_if("k", format!("replaced {round}"), &condition);
        let (replaced, removed) =
            futures::future::join(replace, stage.store.delete(&object, Some(&etag))).await;
        match (replaced?, removed) {
            (Ok(etag), lost) => {
                refused("the remover that lost", lost, StorageErrorKind::Precondition)?;
                same("tag", stage.store.head(&object).await?.etag, etag)?;
            }
            (lost, Ok(())) => {
                refused("the replacer that lost", lost, StorageErrorKind::Precondition)?;
                refused("the object", stage.store.head(&object).await, StorageErrorKind::NotFound)?;
            }
            (lost, Err(error)) => return Err(Failure(format!("both lost: {lost:?}, {error:?}"))),
        }
    }
    Ok(())
}
