//! Checks of attributes beyond headers and user metadata: storage class, encryption, tags, and the
//! ACL, which no head has.

use std::collections::BTreeMap;

use crate::storage::{
    Attributes, CannedAcl, CopyOptions, Encryption, KmsKey, PutBody, PutCondition, StorageErrorKind,
};

use super::objects::{attributes, content};
use super::stage::{Stage, refused};
use super::{Failure, Outcome, same};

async fn put_with(stage: &Stage<'_>, key: &str, attributes: &Attributes) -> Outcome {
    let body = PutBody::from_bytes(content(1000, 1));
    stage.store.put(&stage.object(key)?, body, attributes, &PutCondition::None.into()).await?;
    Ok(())
}

async fn head_attributes(stage: &Stage<'_>, key: &str) -> Result<Attributes, Failure> {
    let object = stage.object(key)?;
    let head = stage.store.head(&object).await?.attributes;
    same("attributes by get", &stage.store.get(&object, Some(0..1)).await?.head.attributes, &head)?;
    Ok(head)
}

fn kms() -> Option<Encryption> {
    Some(Encryption::Kms(KmsKey {
        id: Some("arn:aws:kms:eu-west-3:123456789012:key/k".to_owned()),
        bucket_key: true,
    }))
}

fn tags() -> BTreeMap<String, String> {
    [("team", "a b"), ("é&=+%", "/:;,?"), ("empty", "")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into()
}

pub(super) async fn a_storage_class_comes_back(stage: &Stage<'_>) -> Outcome {
    let archived = Attributes { storage_class: Some("GLACIER_IR".parse()?), ..attributes() };
    put_with(stage, "k", &archived).await?;
    same("attributes", head_attributes(stage, "k").await?, archived)?;
    let standard = Attributes { storage_class: Some("STANDARD".parse()?), ..attributes() };
    put_with(stage, "k", &standard).await?;
    same("the class of all", head_attributes(stage, "k").await?.storage_class, None)
}

pub(super) async fn encryption_comes_back(stage: &Stage<'_>) -> Outcome {
    for encryption in [Some(Encryption::Aes256), kms()] {
        let encrypted = Attributes { encryption, ..attributes() };
        put_with(stage, "k", &encrypted).await?;
        same("attributes", head_attributes(stage, "k").await?, encrypted)?;
    }
    Ok(())
}

pub(super) async fn tags_are_read_apart(stage: &Stage<'_>) -> Outcome {
    let object = stage.object("k")?;
    put_with(stage, "k", &Attributes { tags: tags(), ..attributes() }).await?;
    same("tags", stage.store.tags(&object).await?, tags())?;
    same("attributes", head_attributes(stage, "k").await?, attributes())?;
    put_with(stage, "k", &attributes()).await?;
    same("tags of the version without", stage.store.tags(&object).await?, BTreeMap::new())?;
    let absent = stage.object("absent")?;
    refused("tags of nothing", stage.store.tags(&absent).await, StorageErrorKind::NotFound)
}

pub(super) async fn more_than_ten_tags_are_refused(stage: &Stage<'_>) -> Outcome {
    let tags = (0..11).map(|n| (format!("tag-{n}"), String::new())).collect();
    let attributes = Attributes { tags, ..Attributes::default() };
    let put = stage
        .store
        .put(&stage.object("k")?, PutBody::from_bytes("x"), &attributes, &PutCondition::None.into())
        .await;
    refused("eleven tags", put, StorageErrorKind::Invalid)
}

pub(super) async fn acl_is_write_only(stage: &Stage<'_>) -> Outcome {
    let owned = Attributes { acl: Some(CannedAcl::BucketOwnerFullControl), ..attributes() };
    put_with(stage, "k", &owned).await?;
    same("attributes", head_attributes(stage, "k").await?, attributes())
}

pub(super) async fn copy_keeps_class_and_tags(stage: &Stage<'_>) -> Outcome {
    let kept = Attributes {
        storage_class: Some("STANDARD_IA".parse()?),
        encryption: kms(),
        ..attributes()
    };
    put_with(stage, "from", &Attributes { tags: tags(), ..kept.clone() }).await?;
    let to = stage.object("to")?;
    stage.store.copy(&stage.object("from")?, &to, &CopyOptions::default()).await?;
    same("attributes", head_attributes(stage, "to").await?, kept)?;
    same("tags", stage.store.tags(&to).await?, tags())
}

pub(super) async fn copy_can_replace_attributes(stage: &Stage<'_>) -> Outcome {
    let source = Attributes {
        storage_class: Some("STANDARD_IA".parse()?),
        encryption: kms(),
        ..attributes()
    };
    put_with(stage, "from", &Attributes { tags: tags(), ..source }).await?;
    let (from, to) = (stage.object("from")?, stage.object("to")?);
    let other = Attributes {
        metadata: [("other".to_owned(), "2".to_owned())].into(),
        content_type: Some("text/plain".to_owned()),
        expires: Some("Thu, 22 Oct 2026 07:28:00 GMT".to_owned()),
        encryption: Some(Encryption::Aes256),
        ..Attributes::default()
    };
    let tag = [("only".to_owned(), "this".to_owned())];
    let etag = stage.store.head(&from).await?.etag;
    let copied_as =
        |attributes| CopyOptions { attributes: Some(attributes), ..CopyOptions::from(&etag) };
    let tagged = Attributes { tags: tag.clone().into(), ..other.clone() };
    stage.store.copy(&from, &to, &copied_as(tagged)).await?;
    same("attributes", head_attributes(stage, "to").await?, other.clone())?;
    same("tags", stage.store.tags(&to).await?, tag.into())?;
    stage
        .store
        .copy(&from, &to, &CopyOptions { if_match: None, ..copied_as(other.clone()) })
        .await?;
    same("tags of a copy without", stage.store.tags(&to).await?, BTreeMap::new())?;
    same("content", stage.read("to").await?, content(1000, 1))?;
    stage.put("from", "another").await?;
    let late = stage.store.copy(&from, &to, &copied_as(other)).await;
    refused("a copy of what was replaced", late, StorageErrorKind::Precondition)
}
